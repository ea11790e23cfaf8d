-- A database of its own: CREATE EXTENSION, DROP EXTENSION, DROP DATABASE, and a template.
SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_iceberg_copy;
DROP DATABASE IF EXISTS regress_iceberg_db;
RESET client_min_messages;
SELECT current_database() AS home \gset
CREATE DATABASE regress_iceberg_db TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_iceberg_db
CREATE TABLE t (id int) USING iceberg;
-- Where the extension is not, what bears its functions' names is not called for PostgreSQL's.
CREATE SCHEMA lakebase;
CREATE FUNCTION lakebase.table_size(regclass) RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT 42::bigint';
CREATE FUNCTION lakebase.database_size(name) RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT 42::bigint';
SELECT pg_table_size('pg_class') <> 42 AS table_size, pg_database_size(current_database()) <> 42 AS database_size;
DROP SCHEMA lakebase CASCADE;
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
-- Of tables in a store a NOTICE says what is left there.
SET client_min_messages = warning;
-- A rolled back DROP leaves all as it was.
BEGIN;
DROP EXTENSION pg_iceberg_am CASCADE;
SELECT to_regclass('t');
ROLLBACK;
SELECT count(*), sum(id) FROM t;
INSERT INTO t VALUES (101, 'still there');
DROP EXTENSION pg_iceberg_am CASCADE;
SELECT to_regclass('t'), to_regclass('m');
-- A plan that was made with the extension's functions is made anew without them.
CREATE EXTENSION pg_iceberg_am;
SET plan_cache_mode = force_generic_plan;
PREPARE sizes (regclass) AS SELECT pg_table_size($1) > 0 AS size;
EXECUTE sizes ('pg_class');
DROP EXTENSION pg_iceberg_am CASCADE;
RESET client_min_messages;
EXECUTE sizes ('pg_class');
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
ALTER DATABASE regress_iceberg_db SET TABLESPACE pg_default;
-- PostgreSQL's own errors come first: who has no rights learns nothing of what is in a database.
CREATE ROLE regress_iceberg_nobody;
CREATE ROLE regress_iceberg_maker CREATEDB;
SET ROLE regress_iceberg_nobody;
CREATE DATABASE regress_iceberg_copy TEMPLATE regress_iceberg_db;
ALTER DATABASE regress_iceberg_db SET TABLESPACE pg_default;
SET ROLE regress_iceberg_maker;
CREATE DATABASE regress_iceberg_copy TEMPLATE regress_iceberg_db;
RESET ROLE;
CREATE DATABASE regress_iceberg_copy TEMPLATE regress_iceberg_no_such_db;
ALTER DATABASE regress_iceberg_no_such_db SET TABLESPACE pg_default;
SELECT count(*) FROM pg_database WHERE datname LIKE 'regress\_iceberg\_%';
-- The template that is taken when none is named is a template as well.
\c template1
CREATE EXTENSION pg_iceberg_am;
CREATE TABLE regress_iceberg_in_template (id int) USING iceberg;
\c :home
CREATE DATABASE regress_iceberg_copy;
CREATE DATABASE regress_iceberg_copy TEMPLATE template0;
DROP DATABASE regress_iceberg_copy;
\c template1
SET client_min_messages = warning;
DROP EXTENSION pg_iceberg_am CASCADE;
RESET client_min_messages;
\c :home
CREATE DATABASE regress_iceberg_copy;
DROP DATABASE regress_iceberg_copy;
-- A database with the extension and without tables is a good template.
CREATE DATABASE regress_iceberg_template TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_iceberg_template
CREATE EXTENSION pg_iceberg_am;
CREATE TABLE t (id int) USING iceberg;
INSERT INTO t VALUES (1);
DROP TABLE t;
\c :home
CREATE DATABASE regress_iceberg_copy TEMPLATE regress_iceberg_template STRATEGY file_copy;
\c regress_iceberg_copy
CREATE TABLE t (id int) USING iceberg;
INSERT INTO t VALUES (2);
SELECT * FROM t;
\c :home
-- Of tables in a store it tells what is left there.
SET client_min_messages = warning;
DROP DATABASE regress_iceberg_copy;
DROP DATABASE regress_iceberg_template;

-- A DROP DATABASE that is refused leaves the database's publisher at work, which has something to do: the
-- pointer row is locked.
\c regress_iceberg_db
BEGIN;
SELECT count(*) FROM (SELECT FROM lakebase.iceberg_pointer FOR UPDATE) locked;
PREPARE TRANSACTION 'regress_iceberg_hold';
INSERT INTO t VALUES (2, 'waits');
DO $$ BEGIN
    FOR i IN 1..400 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE datname = 'regress_iceberg_db' AND backend_type = 'pg_iceberg publisher');
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$;
\c :home
SET ROLE regress_iceberg_nobody;
DROP DATABASE regress_iceberg_db;
RESET ROLE;
BEGIN;
DROP DATABASE regress_iceberg_db;
ROLLBACK;
\c regress_iceberg_db
DROP DATABASE regress_iceberg_db;
ROLLBACK PREPARED 'regress_iceberg_hold';
DO $$ BEGIN
    FOR i IN 1..400 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM lakebase.inline_commit);
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$;
SELECT count(*) AS waiting FROM lakebase.inline_commit;
SELECT count(*) FROM t;
\c :home
-- Of tables in a store it tells what is left there.
SET client_min_messages = warning;
DROP DATABASE regress_iceberg_db;
DROP ROLE regress_iceberg_nobody, regress_iceberg_maker;
SELECT count(*) FROM pg_database WHERE datname LIKE 'regress\_iceberg\_%';
