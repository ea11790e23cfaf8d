-- Size functions tell the bytes of the files.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_sizes CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_sizes;
SET search_path = test_sizes;

CREATE TABLE t (id int, filler text) USING iceberg;
SELECT pg_relation_size('t') AS relation, pg_table_size('t') >= 0 AS table_size, pg_indexes_size('t') AS indexes, pg_total_relation_size('t') >= 0 AS total;
INSERT INTO t SELECT g, md5(g::text) || md5((-g)::text) FROM generate_series(1, 10000) g;
-- 640,000 random bytes of hexadecimal: between half of that and twice that.
SELECT pg_relation_size('t') BETWEEN 320000 AND 1280000 AS data, pg_total_relation_size('t') >= pg_relation_size('t') AS total_over_data,
    pg_table_size('t') >= pg_relation_size('t') AS table_over_data, pg_total_relation_size('t') < 3000000 AS not_absurd;
SELECT pg_relation_size('t', 'fsm'), pg_relation_size('t', 'vm'), pg_relation_size('t', 'init');
CREATE TABLE size_before USING heap AS SELECT pg_relation_size('t') AS bytes;
INSERT INTO t SELECT g, md5(g::text) || md5((-g)::text) FROM generate_series(10001, 20000) g;
SELECT pg_relation_size('t') > 1.5 * bytes AND pg_relation_size('t') < 3 * bytes AS twice FROM size_before;
SELECT pg_size_pretty(pg_relation_size('t')) ~ '^\d+ (kB|MB)$' AS pretty;
-- What compresses well is small, and a heap table of it is not.
CREATE TABLE same (id int, filler text) USING iceberg;
CREATE TABLE same_heap (id int, filler text) USING heap;
INSERT INTO same SELECT g, repeat('same ', 20) FROM generate_series(1, 20000) g;
INSERT INTO same_heap TABLE same;
SELECT pg_total_relation_size('same') * 3 < pg_total_relation_size('same_heap') AS small;
-- Own writes count at the latest from the commit on; a rollback and a TRUNCATE take them away.
TRUNCATE size_before;
INSERT INTO size_before SELECT pg_relation_size('t');
BEGIN;
INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 10000) g;
SELECT pg_relation_size('t') >= bytes AS not_less FROM size_before;
ROLLBACK;
SELECT pg_relation_size('t') = bytes AS same FROM size_before;
TRUNCATE t;
SELECT pg_relation_size('t');
-- For temporary tables, materialized views, tables without rows, and names that are gone.
CREATE TEMPORARY TABLE of_session USING iceberg AS SELECT g FROM generate_series(1, 1000) g;
CREATE MATERIALIZED VIEW m USING iceberg AS SELECT g FROM generate_series(1, 1000) g;
SELECT pg_relation_size('of_session') > 0 AS temporary, pg_relation_size('m') > 0 AS matview;
SELECT pg_relation_size(0) IS NULL AS gone;
SELECT count(pg_total_relation_size(oid)) = count(*) AS all_answer FROM pg_class WHERE relkind IN ('r', 'm', 't') AND relnamespace = 'test_sizes'::regnamespace;
-- Everything in pg_class answers: indexes, views, sequences and all that has no size.
SELECT count(pg_relation_size(oid)) = count(*) AS relation, count(pg_table_size(oid)) = count(*) AS table_size,
    count(pg_total_relation_size(oid)) = count(*) AS total, count(pg_relation_size(oid, 'fsm')) = count(*) AS fsm, count(pg_indexes_size(oid)) = count(*) AS indexes
FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace;
-- What psql shows with \dt+.
SELECT pg_size_pretty(pg_table_size('same')) ~ '^\d+ (bytes|kB|MB)$' AS pretty;
SELECT pg_relation_filenode('t') IS NOT NULL AS has_filenode, pg_relation_filepath('m') IS NOT NULL AS has_path;

SET client_min_messages = warning;
DROP SCHEMA test_sizes CASCADE;
