-- Changes of rows among other things of their transactions: what once went wrong.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_row_changes CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_row_changes;
SET search_path = test_row_changes;

-- A row of a table that was truncated before: the foreign key was not looked at again.
CREATE TABLE keys (id int PRIMARY KEY) USING heap;
INSERT INTO keys VALUES (1), (2);
CREATE TABLE refers (id int, k int REFERENCES keys DEFERRABLE INITIALLY DEFERRED, x int) USING iceberg;
INSERT INTO refers VALUES (1, 1, 0), (2, 2, 0);
BEGIN;
DELETE FROM refers WHERE id = 1;
TRUNCATE refers;
INSERT INTO refers VALUES (10, 999, 0);
UPDATE refers SET x = 1 WHERE id = 10;
COMMIT;
SELECT * FROM refers ORDER BY id;

-- Columns that change with the rows: what was inline came back.
CREATE TABLE columns (id int, a text, b int) USING iceberg;
INSERT INTO columns SELECT g, 'a' || g, g FROM generate_series(1, 5) g;
INSERT INTO columns VALUES (100, 'x', 1);
UPDATE columns SET a = 'upd' WHERE id = 100;
UPDATE columns SET a = 'upd3' WHERE id = 3;
BEGIN;
ALTER TABLE columns DROP COLUMN b;
UPDATE columns SET a = 'upd1' WHERE id = 1;
DELETE FROM columns WHERE id = 2;
INSERT INTO columns VALUES (6, 'new');
UPDATE columns SET a = a || '!' WHERE id = 6;
SELECT * FROM columns ORDER BY id;
COMMIT;
SELECT * FROM columns ORDER BY id;
SELECT lakebase.publish('columns') IS NOT NULL AS published;
SELECT * FROM columns ORDER BY id;

-- Samples and statistics leave deleted rows out, and give no row twice.
CREATE TABLE sampled (id int, v text) USING iceberg;
INSERT INTO sampled SELECT g, 'v' || g FROM generate_series(1, 1000) g;
DELETE FROM sampled WHERE id % 2 = 0;
SELECT count(*), count(DISTINCT id) FROM sampled TABLESAMPLE bernoulli (100);
SELECT count(*), count(DISTINCT id) FROM sampled TABLESAMPLE system (100);
SELECT lakebase.publish('sampled') IS NOT NULL AS published;
SELECT count(*), count(DISTINCT id) FROM sampled TABLESAMPLE bernoulli (100);
SELECT count(*), count(DISTINCT id) FROM sampled TABLESAMPLE system (100);
ANALYZE sampled;
SELECT reltuples FROM pg_class WHERE oid = 'sampled'::regclass;
SELECT n_distinct FROM pg_stats WHERE schemaname = 'test_row_changes' AND tablename = 'sampled' AND attname = 'id';
DELETE FROM sampled;
ANALYZE sampled;
SELECT count(*) FROM sampled TABLESAMPLE bernoulli (100);

-- Publishing waits for what others have committed, not for the transaction itself.
CREATE TABLE published (id int) USING iceberg;
INSERT INTO published VALUES (1), (2);
DELETE FROM published WHERE id = 2;
BEGIN;
DELETE FROM published WHERE id = 1;
SELECT lakebase.publish('published') IS NOT NULL AS published;
SELECT count(*) FROM published;
ROLLBACK;
SELECT count(*) FROM published;

-- What notes row locks is found again where the extension's own table has been written anew.
BEGIN;
SELECT count(*) FROM (SELECT FROM columns FOR UPDATE) x;
CLUSTER lakebase.row_change USING row_change_row;
UPDATE columns SET a = 'clustered' WHERE id = 1;
COMMIT;
SELECT * FROM columns ORDER BY id;

-- Delete files: one for each data file, which supersedes the one before.
CREATE TABLE deleted (id int, v text) USING iceberg;
INSERT INTO deleted SELECT g, 'v' || g FROM generate_series(1, 1000) g;
SELECT * FROM lakebase.iceberg_delete_files('deleted');
DELETE FROM deleted WHERE id % 100 = 0;
SELECT lakebase.publish('deleted') IS NOT NULL AS published;
SELECT content, file_format, record_count FROM lakebase.iceberg_delete_files('deleted');
DELETE FROM deleted WHERE id % 100 = 1;
SELECT lakebase.publish('deleted') IS NOT NULL AS published;
SELECT content, file_format, record_count, file_size_in_bytes > 0 AS has_bytes, file_path LIKE '%-deletes.parquet' AS named FROM lakebase.iceberg_delete_files('deleted');
SELECT * FROM lakebase.iceberg_delete_files('pg_class');
DROP TABLE deleted;

-- Files of which much has been deleted are written again in the background, without it.
CREATE TABLE thinned (id int, v text) USING iceberg;
INSERT INTO thinned SELECT g, 'v' || g FROM generate_series(1, 1000) g;
DELETE FROM thinned WHERE id % 5 < 2;
SELECT lakebase.publish('thinned') IS NOT NULL AS published;
DO $$
BEGIN
    FOR i IN 1..300 LOOP
        EXIT WHEN (SELECT sum(record_count) FROM lakebase.iceberg_files('thinned')) = 600;
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;
SELECT sum(record_count) FROM lakebase.iceberg_files('thinned');
SELECT summary->>'total-position-deletes' AS deletes, summary->>'total-delete-files' AS delete_files, summary->>'total-records' AS rows FROM lakebase.iceberg_snapshots('thinned') ORDER BY sequence_number DESC LIMIT 1;
SELECT count(*), sum(id) FROM thinned;

SET client_min_messages = warning;
DROP SCHEMA test_row_changes CASCADE;
