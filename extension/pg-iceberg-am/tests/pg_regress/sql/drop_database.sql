-- A database of its own: CREATE EXTENSION, DROP EXTENSION, DROP DATABASE, and a template.
SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_iceberg_copy;
DROP DATABASE IF EXISTS regress_iceberg_db;
RESET client_min_messages;
SELECT current_database() AS home \gset
CREATE DATABASE regress_iceberg_db TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_iceberg_db
CREATE TABLE t (id int) USING iceberg;
CREATE EXTENSION pg_iceberg_am;
CREATE EXTENSION pg_iceberg_am;
CREATE TABLE t (id int, name text) USING iceberg;
INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 100) g;
CREATE MATERIALIZED VIEW m USING iceberg AS SELECT count(*) FROM t;
SELECT count(*) FROM lakebase.iceberg_tables;

-- What belongs to the extension cannot be dropped by itself.
DROP ACCESS METHOD iceberg;
DROP VIEW lakebase.iceberg_tables;
-- The extension is not dropped from under its tables.
DROP EXTENSION pg_iceberg_am;
SELECT count(*) FROM t;
-- A rolled back DROP leaves all as it was.
BEGIN;
DROP EXTENSION pg_iceberg_am CASCADE;
SELECT to_regclass('t');
ROLLBACK;
SELECT count(*), sum(id) FROM t;
INSERT INTO t VALUES (101, 'still there');
DROP EXTENSION pg_iceberg_am CASCADE;
SELECT to_regclass('t'), to_regclass('m');
-- And again from the start.
CREATE EXTENSION pg_iceberg_am;
CREATE TABLE t (id int, name text) USING iceberg;
SELECT count(*) FROM t;
INSERT INTO t VALUES (1, 'second life');

-- A copy of the database would not have the files: it is refused, and so is moving the database.
\c :home
CREATE DATABASE regress_iceberg_copy TEMPLATE regress_iceberg_db STRATEGY file_copy;
CREATE DATABASE regress_iceberg_copy TEMPLATE regress_iceberg_db STRATEGY wal_log;
ALTER DATABASE regress_iceberg_db SET TABLESPACE pg_global;
DROP DATABASE regress_iceberg_db;
SELECT count(*) FROM pg_database WHERE datname LIKE 'regress\_iceberg\_%';
