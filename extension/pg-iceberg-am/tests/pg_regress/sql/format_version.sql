-- local tables only: it reads metadata files.
-- Tables of version 3 of the Iceberg format: deletion vectors, row ids that other engines see, upgrades.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_format_version CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_format_version;
SET search_path = test_format_version;
CREATE FUNCTION meta(regclass) RETURNS jsonb LANGUAGE sql AS $$ SELECT pg_read_file(lakebase.publish($1))::jsonb $$;
CREATE FUNCTION version_of(regclass) RETURNS TABLE (version text, next_row_id text, first_row_id text, added_rows text) LANGUAGE sql AS $$
    SELECT m ->> 'format-version', m ->> 'next-row-id', s ->> 'first-row-id', s ->> 'added-rows'
      FROM meta($1) m LEFT JOIN LATERAL jsonb_array_elements(m -> 'snapshots') s ON s -> 'snapshot-id' = m -> 'current-snapshot-id' $$;
CREATE FUNCTION deletes(t regclass) RETURNS TABLE (content text, format text, records bigint, file_count bigint) LANGUAGE sql AS $$
    SELECT content, file_format, sum(record_count)::bigint, count(DISTINCT file_path) FROM lakebase.iceberg_delete_files(t) GROUP BY 1, 2 ORDER BY 1, 2 $$;
CREATE FUNCTION opts(regclass) RETURNS text[] LANGUAGE sql AS 'SELECT reloptions FROM pg_class WHERE oid = $1';

-- From the beginning. The table's name says so in no other place than its options.
CREATE TABLE t (id int, v text) USING iceberg WITH (format_version = 3, autovacuum_enabled = off);
SELECT * FROM version_of('t');
INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 10) g;
SELECT opts('t'), v.* FROM version_of('t') v;
INSERT INTO t SELECT g, 'v' || g FROM generate_series(11, 15) g;
SELECT * FROM version_of('t');
DELETE FROM t WHERE id IN (2, 3, 12);
SELECT count(*) AS published FROM meta('t');
SELECT * FROM deletes('t');
UPDATE t SET v = 'changed' WHERE id % 5 = 0;
SELECT count(*) AS published FROM meta('t');
SELECT * FROM deletes('t');
SELECT string_agg(id || v, ' ' ORDER BY id) FROM t;
-- One vector for each data file, however often rows of it are deleted.
DELETE FROM t WHERE id = 4;
SELECT count(*) AS published FROM meta('t');
DELETE FROM t WHERE id = 6;
SELECT count(*) AS published FROM meta('t');
SELECT * FROM deletes('t');
SELECT string_agg(id || v, ' ' ORDER BY id) FROM t;
-- Merged files have no deletes; the file of vectors goes with the last of them.
VACUUM t;
SELECT * FROM deletes('t');
SELECT string_agg(id || v, ' ' ORDER BY id) FROM t;
-- A row deleted and inserted by its own transaction; all rows of a file; rolled back.
BEGIN;
DELETE FROM t WHERE id > 10;
INSERT INTO t VALUES (99, 'new');
DELETE FROM t WHERE id = 99;
SAVEPOINT s;
DELETE FROM t;
ROLLBACK TO s;
COMMIT;
SELECT string_agg(id || v, ' ' ORDER BY id) FROM t;
TRUNCATE t;
INSERT INTO t VALUES (1, 'one'), (2, 'two');
DELETE FROM t WHERE id = 1;
SELECT v.* FROM version_of('t') v;
SELECT * FROM deletes('t');
VACUUM FULL t;
SELECT v.version FROM version_of('t') v;
TABLE t;

-- A table of version 2 is given version 3: its delete files stay until rows of the same data files are deleted.
CREATE TABLE u (id int, v text) USING iceberg WITH (autovacuum_enabled = off);
INSERT INTO u SELECT g, 'v' || g FROM generate_series(1, 10) g;
SELECT count(*) AS published FROM meta('u');
INSERT INTO u SELECT g, 'v' || g FROM generate_series(11, 20) g;
SELECT count(*) AS published FROM meta('u');
DELETE FROM u WHERE id IN (1, 11);
SELECT * FROM version_of('u');
SELECT * FROM deletes('u');
BEGIN;
ALTER TABLE u SET (format_version = 3);
SELECT opts('u');
ROLLBACK;
SELECT opts('u');
ALTER TABLE u SET (format_version = 3);
DELETE FROM u WHERE id = 12;
SELECT * FROM version_of('u');
SELECT * FROM deletes('u');
SELECT count(*), sum(id), min(id) FROM u;
DELETE FROM u WHERE id = 2;
SELECT count(*) AS published FROM meta('u');
SELECT * FROM deletes('u');
SELECT count(*), sum(id), min(id) FROM u;
-- By the transaction itself that changes columns.
BEGIN;
DELETE FROM u WHERE id = 3;
ALTER TABLE u RENAME v TO w;
COMMIT;
SELECT * FROM deletes('u');
SELECT count(*), sum(id), min(w) FROM u;

-- What is refused.
ALTER TABLE u SET (format_version = 2);
ALTER TABLE u RESET (format_version);
ALTER TABLE u RESET (format_version), SET (format_version = 3);
CREATE TABLE refused (id int) USING iceberg WITH (format_version = 1);
CREATE TABLE refused (id int) USING iceberg WITH (format_version = 4);
CREATE TABLE refused (id int) USING iceberg WITH (format_version = new);
CREATE TABLE refused (id int) USING heap WITH (format_version = 3);
SELECT opts('u');
-- What says nothing new.
ALTER TABLE u SET (format_version = 3);
CREATE TABLE two (id int) USING iceberg WITH (format_version = 2);
ALTER TABLE two SET (format_version = 2), RESET (format_version);
SELECT opts('two'), v.* FROM version_of('two') v;
-- Temporary and unlogged tables, materialised views, CREATE TABLE AS, partitions.
CREATE TEMP TABLE tt (id int) USING iceberg WITH (format_version = 3);
INSERT INTO tt SELECT generate_series(1, 5);
DELETE FROM tt WHERE id = 3;
SELECT * FROM deletes('tt');
SELECT string_agg(id::text, ' ' ORDER BY id) FROM tt;
CREATE UNLOGGED TABLE ut USING iceberg WITH (format_version = 3) AS SELECT generate_series(1, 5) AS id;
DELETE FROM ut WHERE id = 3;
SELECT version, next_row_id FROM version_of('ut');
SELECT * FROM deletes('ut');
CREATE MATERIALIZED VIEW mv USING iceberg WITH (format_version = 3) AS SELECT id FROM ut;
REFRESH MATERIALIZED VIEW mv;
SELECT version FROM version_of('mv');
-- Heap and back: the option is gone with the access method.
ALTER TABLE t SET ACCESS METHOD heap;
SELECT opts('t');
ALTER TABLE t SET ACCESS METHOD iceberg;
SELECT version FROM version_of('t');
TABLE t;

SET client_min_messages = warning;
DROP SCHEMA test_format_version CASCADE;
