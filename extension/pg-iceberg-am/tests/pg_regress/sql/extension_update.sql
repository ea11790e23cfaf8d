-- Tables of version 0.1.0: before ALTER EXTENSION UPDATE rows are inserted and read, after it they are changed as well.
CREATE DATABASE regress_iceberg_earlier;
CREATE DATABASE regress_iceberg_second;
CREATE DATABASE regress_iceberg_new;
\set before :DBNAME
\c regress_iceberg_earlier
CREATE EXTENSION pg_iceberg_am VERSION '0.1.0';
CREATE TABLE t USING iceberg AS SELECT g AS id, 'v' || g AS v FROM generate_series(1, 1000) g;
INSERT INTO t VALUES (1001, 'inline');
CREATE TEMPORARY TABLE own USING iceberg AS SELECT 1 AS id;
INSERT INTO own VALUES (2);
SELECT count(*), sum(id) FROM t;
SELECT sum(id) FROM own;
SELECT row_count FROM lakebase.iceberg_tables WHERE relation = 't'::regclass;
UPDATE t SET v = 'x';
DELETE FROM t;
SELECT * FROM t WHERE id = 1 FOR UPDATE;
SELECT lakebase.publish('t') IS NOT NULL AS published;
VACUUM t;
INSERT INTO t VALUES (1002, 'published');
SELECT count(*), sum(id) FROM t;
TRUNCATE own;

BEGIN;
ALTER EXTENSION pg_iceberg_am UPDATE;
DELETE FROM t WHERE id = 1;
SELECT count(*), sum(id) FROM t;
ROLLBACK;
ALTER EXTENSION pg_iceberg_am UPDATE;
SELECT count(*), sum(id) FROM t;
UPDATE t SET v = v || '!' WHERE id > 998;
DELETE FROM t WHERE id <= 998;
SELECT * FROM t ORDER BY id;
SELECT lakebase.publish('t') IS NOT NULL AS published;
SELECT * FROM t ORDER BY id;
SELECT row_count FROM lakebase.iceberg_tables WHERE relation = 't'::regclass;
INSERT INTO own VALUES (3);
UPDATE own SET id = 4;
TABLE own;

-- Version 0.2.0, which changes rows one by one; some of the changes wait for the metadata.
\c regress_iceberg_second
CREATE EXTENSION pg_iceberg_am VERSION '0.2.0';
CREATE TABLE t USING iceberg AS SELECT g AS id, 'v' || g AS v FROM generate_series(1, 1000) g;
UPDATE t SET v = 'x' WHERE id <= 500;
DELETE FROM t WHERE id BETWEEN 401 AND 600;
SELECT count(*), count(*) FILTER (WHERE v = 'x') FROM t;
ALTER TABLE t ADD COLUMN c int DEFAULT 5;
ALTER TABLE t ALTER COLUMN id TYPE bigint;
SELECT count(*), count(*) FILTER (WHERE v = 'x') FROM t;
ALTER EXTENSION pg_iceberg_am UPDATE;
ALTER TABLE t ALTER COLUMN id TYPE bigint;
ALTER TABLE t ADD COLUMN c int DEFAULT 5;
SELECT count(*), sum(c) FROM t;
SELECT count(*), count(*) FILTER (WHERE v = 'x') FROM t;
UPDATE t SET v = 'y' WHERE id <= 300;
DELETE FROM t WHERE id > 900;
SELECT count(*), count(*) FILTER (WHERE v = 'x'), count(*) FILTER (WHERE v = 'y') FROM t;
SELECT lakebase.publish('t') IS NOT NULL AS published;
SELECT count(*), count(*) FILTER (WHERE v = 'x'), count(*) FILTER (WHERE v = 'y') FROM t;

-- It is the catalog that a new extension has.
\set definitions 'SELECT string_agg(definition, chr(10) ORDER BY definition) FROM (SELECT format(''%s.%s %s %s %s %s'', attrelid::regclass, attname, atttypid::regtype, attnotnull, attstorage, pg_get_expr(adbin, adrelid)) FROM pg_attribute LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum) JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = ''lakebase''::regnamespace AND relkind IN (''r'', ''v'') AND attnum > 0 UNION ALL SELECT format(''%s %s'', oid::regclass, reltoastrelid <> 0) FROM pg_class WHERE relnamespace = ''lakebase''::regnamespace AND relkind = ''r'' UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = ''lakebase'' UNION ALL SELECT pg_get_viewdef(oid) FROM pg_class WHERE relnamespace = ''lakebase''::regnamespace AND relkind = ''v'' UNION ALL SELECT format(''%s %s %s'', tgrelid::regclass, tgname, tgenabled) FROM pg_trigger WHERE NOT tgisinternal UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = ''lakebase''::regnamespace UNION ALL SELECT format(''%s %s'', objoid::regclass, description) FROM pg_description WHERE classoid = ''pg_class''::regclass AND objsubid = 0 AND objoid IN (SELECT oid FROM pg_class WHERE relnamespace = ''lakebase''::regnamespace)) x (definition)'
:definitions \gset second_
\c regress_iceberg_earlier
:definitions \gset earlier_
\c regress_iceberg_new
CREATE EXTENSION pg_iceberg_am;
:definitions \gset new_
SELECT :'earlier_string_agg' = :'new_string_agg' AS same_catalog, :'second_string_agg' = :'new_string_agg' AS same_catalog_of_second;

\c :before
SET client_min_messages = warning;
DROP DATABASE regress_iceberg_earlier;
DROP DATABASE regress_iceberg_second;
DROP DATABASE regress_iceberg_new;
