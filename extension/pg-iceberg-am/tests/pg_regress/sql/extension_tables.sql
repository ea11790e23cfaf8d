-- The extension's own tables out of reach: renamed, or locked by a prepared transaction.
CREATE DATABASE regress_iceberg_own_tables;
\set before :DBNAME
\c regress_iceberg_own_tables
CREATE EXTENSION pg_iceberg_am;

-- Tables read as empty, and a rewrite made that permanent.
CREATE TABLE t USING iceberg AS SELECT g AS id FROM generate_series(1, 1000) g;
CREATE TABLE h (id int) USING heap;
ALTER SCHEMA lakebase RENAME TO elsewhere;
SELECT count(*) FROM t;
INSERT INTO t VALUES (1001);
ALTER TABLE t SET ACCESS METHOD heap;
VACUUM FULL t;
CREATE TABLE copied AS SELECT * FROM t;
ALTER SCHEMA elsewhere RENAME TO lakebase;
ALTER TABLE lakebase.inline_commit RENAME TO appended;
SELECT count(*) FROM t;
ALTER TABLE lakebase.appended RENAME TO inline_commit;
SELECT count(*) FROM t;
DROP TABLE t;

-- Of tables in a store a NOTICE says what is left there.
SET client_min_messages = warning;
-- COMMIT PREPARED, of whatever transaction, waited for ever for a prepared one that had dropped the extension.
BEGIN;
INSERT INTO h VALUES (1);
PREPARE TRANSACTION 'regress_iceberg_heap';
BEGIN;
DROP EXTENSION pg_iceberg_am;
PREPARE TRANSACTION 'regress_iceberg_dropped';
SET statement_timeout = '30s';
COMMIT PREPARED 'regress_iceberg_heap';
SELECT * FROM h;
ROLLBACK PREPARED 'regress_iceberg_dropped';
CREATE TABLE t USING iceberg AS SELECT 1 AS id;
DROP TABLE t;
BEGIN;
DROP EXTENSION pg_iceberg_am;
PREPARE TRANSACTION 'regress_iceberg_dropped';
COMMIT PREPARED 'regress_iceberg_dropped';
SELECT count(*) FROM pg_extension WHERE extname = 'pg_iceberg_am';

-- A catalog of a later version, to which a library came back that does not know it.
CREATE EXTENSION pg_iceberg_am;
CREATE TABLE t USING iceberg AS SELECT 1 AS id;
ALTER TABLE lakebase.iceberg_pointer ADD COLUMN later int;
\set VERBOSITY terse
SELECT * FROM t;
INSERT INTO t VALUES (2);
\set VERBOSITY default

\c :before
-- Of tables in a store it tells what is left there.
SET client_min_messages = warning;
DROP DATABASE regress_iceberg_own_tables;
