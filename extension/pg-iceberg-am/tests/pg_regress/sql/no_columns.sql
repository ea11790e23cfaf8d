-- Tables without columns took rows, committed them inline, and could then be neither published nor rewritten: a data file
-- has one column at least. Beside each table, the same over heap.
SET client_min_messages = warning;
DROP TABLE IF EXISTS bare, bare_heap, bare_new, bare_large, bare_copy, bare_from_heap, bare_dropped;
DROP MATERIALIZED VIEW IF EXISTS bare_view;
RESET client_min_messages;
CREATE TABLE bare () USING iceberg;
CREATE TABLE bare_heap () USING heap;
INSERT INTO bare DEFAULT VALUES;
INSERT INTO bare DEFAULT VALUES;
INSERT INTO bare SELECT FROM generate_series(1, 3);
INSERT INTO bare_heap SELECT FROM generate_series(1, 5);
SELECT count(*) FROM bare;
SELECT count(*) FROM bare_heap;
TABLE bare;
TABLE bare_heap;
SELECT lakebase.publish('bare') IS NOT NULL AS published;
SELECT count(*), count(DISTINCT ctid) FROM bare;
SELECT relation, row_count FROM lakebase.iceberg_tables WHERE relation = 'bare'::regclass;
-- A row is found by its ctid.
SELECT count(*) FROM bare WHERE ctid = (SELECT max(ctid) FROM bare);
VACUUM FULL bare;
SELECT count(*) FROM bare;
VACUUM ANALYZE bare;
-- Rows behind the rewrite, and in subtransactions that are rolled back.
BEGIN;
INSERT INTO bare DEFAULT VALUES;
SAVEPOINT s;
INSERT INTO bare SELECT FROM generate_series(1, 10);
SELECT count(*) FROM bare;
ROLLBACK TO s;
INSERT INTO bare DEFAULT VALUES;
SELECT count(*) FROM bare;
COMMIT;
SELECT lakebase.publish('bare') IS NOT NULL AS published;
SELECT count(*), count(DISTINCT ctid) FROM bare;
-- Made and filled in one transaction; and more rows than stay in memory.
BEGIN;
CREATE TABLE bare_new () USING iceberg;
INSERT INTO bare_new DEFAULT VALUES;
COMMIT;
SELECT count(*) FROM bare_new;
CREATE TABLE bare_large () USING iceberg;
INSERT INTO bare_large SELECT FROM generate_series(1, 200000);
SELECT count(*), count(DISTINCT ctid) FROM bare_large;
-- A cursor goes back over them.
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT FROM bare;
MOVE FORWARD ALL IN c;
MOVE BACKWARD ALL IN c;
COMMIT;
-- CREATE TABLE AS, materialized views, and other access methods and back.
CREATE TABLE bare_copy USING iceberg AS SELECT FROM bare_heap;
SELECT count(*) FROM bare_copy;
CREATE MATERIALIZED VIEW bare_view USING iceberg AS SELECT FROM bare_heap;
REFRESH MATERIALIZED VIEW bare_view;
SELECT count(*) FROM bare_view;
CREATE TABLE bare_from_heap (a int) USING heap;
INSERT INTO bare_from_heap VALUES (1), (2), (3);
ALTER TABLE bare_from_heap DROP COLUMN a;
ALTER TABLE bare_from_heap SET ACCESS METHOD iceberg;
SELECT count(*) FROM bare_from_heap;
ALTER TABLE bare_from_heap SET ACCESS METHOD heap;
SELECT count(*) FROM bare_from_heap;
-- The last column is dropped: of rows in files, of rows inline, and of rows of the same transaction.
CREATE TABLE bare_dropped (a int) USING iceberg;
INSERT INTO bare_dropped VALUES (1), (2);
INSERT INTO bare_dropped VALUES (3);
BEGIN;
INSERT INTO bare_dropped VALUES (4);
ALTER TABLE bare_dropped DROP COLUMN a;
INSERT INTO bare_dropped DEFAULT VALUES;
SELECT count(*) FROM bare_dropped;
COMMIT;
INSERT INTO bare_dropped DEFAULT VALUES;
SELECT lakebase.publish('bare_dropped') IS NOT NULL AS published;
SELECT count(*), count(DISTINCT ctid) FROM bare_dropped;
VACUUM FULL bare_dropped;
SELECT count(*) FROM bare_dropped;
TRUNCATE bare;
INSERT INTO bare DEFAULT VALUES;
SELECT count(*) FROM bare;
DROP TABLE bare, bare_new, bare_large, bare_copy, bare_from_heap, bare_dropped;
DROP MATERIALIZED VIEW bare_view;
DROP TABLE bare_heap;
