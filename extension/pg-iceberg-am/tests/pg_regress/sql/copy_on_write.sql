-- Tables whose published snapshots have no delete files: data files are written again without the rows that are gone.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_copy_on_write CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_copy_on_write;
SET search_path = test_copy_on_write;
CREATE FUNCTION published(t regclass) RETURNS TABLE (files bigint, records bigint, delete_files bigint, deletes bigint) LANGUAGE sql AS $$
    SELECT count(*), sum(record_count)::bigint, (SELECT count(*) FROM lakebase.iceberg_delete_files(t)), (SELECT sum(record_count)::bigint FROM lakebase.iceberg_delete_files(t))
      FROM lakebase.iceberg_files(t) $$;
CREATE FUNCTION publish(t regclass) RETURNS bool LANGUAGE sql AS 'SELECT lakebase.publish(t) IS NOT NULL';

CREATE TABLE t (id int, v text) USING iceberg WITH (autovacuum_enabled = off, "write.delete.mode" = 'copy-on-write', "write.update.mode" = 'merge-on-read');
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 1000) g;
SELECT publish('t');
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1001, 2000) g;
SELECT publish('t');
DELETE FROM t WHERE id % 100 = 0 AND id <= 1000;
SELECT publish('t');
SELECT * FROM published('t');
SELECT count(*), sum(id), max(v) FROM t;
-- As updates are not asked to copy, their files have deletes, until a row of one of them is deleted.
UPDATE t SET v = 'changed' WHERE id IN (1, 1001);
SELECT publish('t');
SELECT * FROM published('t');
DELETE FROM t WHERE id = 2;
SELECT publish('t');
SELECT * FROM published('t');
SELECT count(*), sum(id), min(v) FROM t;
-- Rows of ids as before: what was read by ctid is found again.
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM t WHERE id BETWEEN 500 AND 510 ORDER BY id FOR UPDATE;
FETCH 3 FROM c;
UPDATE t SET v = 'by cursor' WHERE CURRENT OF c;
COMMIT;
SELECT * FROM t WHERE v = 'by cursor';
-- Updates too.
ALTER TABLE t SET ("write.update.mode" = 'copy-on-write');
UPDATE t SET v = 'again' WHERE id BETWEEN 700 AND 710 OR id BETWEEN 1700 AND 1710;
SELECT publish('t');
SELECT * FROM published('t');
SELECT count(*), sum(id), count(*) FILTER (WHERE v = 'again') FROM t;
-- Nothing is left of a file.
DELETE FROM t WHERE id < 1001;
SELECT publish('t');
SELECT * FROM published('t');
SELECT count(*), sum(id) FROM t;
-- MERGE, beside the other modes; many rows; a file that this transaction has left to be folded; version 3.
CREATE TABLE m (id int, v int) USING iceberg WITH (autovacuum_enabled = off, format_version = 3, "write.merge.mode" = 'copy-on-write');
INSERT INTO m SELECT g, 0 FROM generate_series(1, 20000) g;
SELECT publish('m');
MERGE INTO m USING generate_series(19000, 21000) AS s (id) ON m.id = s.id WHEN MATCHED AND s.id % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 1 WHEN NOT MATCHED THEN INSERT VALUES (s.id, 2);
SELECT publish('m');
SELECT records, delete_files FROM published('m');
SELECT v, count(*), sum(id) FROM m GROUP BY v ORDER BY v;
BEGIN;
INSERT INTO m SELECT g, 3 FROM generate_series(30001, 110000) g;
UPDATE m SET v = 4 WHERE id % 1000 = 1;
DELETE FROM m WHERE v = 3 AND id % 2 = 0;
COMMIT;
SELECT publish('m');
SELECT records, delete_files FROM published('m');
SELECT v, count(*), sum(id) FROM m GROUP BY v ORDER BY v;
VACUUM m;
SELECT v, count(*), sum(id) FROM m GROUP BY v ORDER BY v;
-- What is refused.
ALTER TABLE m SET ("write.delete.mode" = 'sometimes');

SET client_min_messages = warning;
DROP SCHEMA test_copy_on_write CASCADE;
