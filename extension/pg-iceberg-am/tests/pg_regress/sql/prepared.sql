-- local tables only: it looks at files on disk.
-- A PREPARE TRANSACTION that failed because its name was in use replaced the plan of the transaction that had the
-- name: COMMIT PREPARED of that one removed a table that was alive.
CREATE TABLE a (id int) USING iceberg;
CREATE TABLE b USING iceberg AS SELECT generate_series(1, 10) AS id;
BEGIN;
INSERT INTO a VALUES (1);
PREPARE TRANSACTION 'x';
BEGIN;
TRUNCATE b;
PREPARE TRANSACTION 'x';
COMMIT PREPARED 'x';
SELECT (SELECT count(*) FROM a) AS a, (SELECT count(*) FROM b) AS b;
-- So did one that failed for another reason, and then one that was rolled back.
CREATE TEMPORARY TABLE of_session (id int);
BEGIN;
DROP TABLE b;
INSERT INTO of_session VALUES (1);
PREPARE TRANSACTION 'x';
BEGIN;
INSERT INTO a VALUES (2);
PREPARE TRANSACTION 'x';
COMMIT PREPARED 'x';
SELECT (SELECT count(*) FROM a) AS a, (SELECT count(*) FROM b) AS b;
BEGIN;
TRUNCATE b;
PREPARE TRANSACTION 'x';
ROLLBACK PREPARED 'x';
SELECT count(*) FROM b;
-- Names are those of the server's encoding, whatever the client's.
SET client_encoding = 'LATIN1';
BEGIN;
TRUNCATE b;
SELECT format('PREPARE TRANSACTION %L', convert_from('\xc3a4', 'UTF8')) \gexec
SELECT format('ROLLBACK PREPARED %L', convert_from('\xc3a4', 'UTF8')) \gexec
RESET client_encoding;
SELECT count(*) FROM b;
BEGIN;
DROP TABLE b;
SELECT format('PREPARE TRANSACTION %L', convert_from('\xc3a4', 'UTF8')) \gexec
SET client_encoding = 'LATIN1';
SELECT format('COMMIT PREPARED %L', convert_from('\xc3a4', 'UTF8')) \gexec
RESET client_encoding;
SELECT to_regclass('b') AS gone;
-- What is dropped goes with COMMIT PREPARED, what is made with ROLLBACK PREPARED, at once.
CREATE FUNCTION directories() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM pg_ls_dir('base/' || (SELECT oid FROM pg_database WHERE datname = current_database())) name
     WHERE name LIKE 'iceberg\_%' $$;
CREATE TABLE c USING iceberg AS SELECT generate_series(1, 10) AS id;
SELECT directories() AS before \gset
BEGIN;
SAVEPOINT s;
DROP TABLE c;
ROLLBACK TO s;
TRUNCATE c;
INSERT INTO c VALUES (1);
CREATE TABLE made USING iceberg AS SELECT 1 AS id;
CREATE TABLE made_and_dropped USING iceberg AS SELECT 1 AS id;
DROP TABLE made_and_dropped;
INSERT INTO a SELECT generate_series(1, 100000);
PREPARE TRANSACTION 'x';
SELECT directories() - :before AS beside_the_old;
SELECT * FROM lakebase.remove_orphan_files(NULL, interval '0', true);
ROLLBACK PREPARED 'x';
SELECT directories() - :before AS after_rollback;
SELECT * FROM lakebase.remove_orphan_files(NULL, interval '1 day', true);
SELECT count(*) FROM c;
BEGIN;
TRUNCATE c;
PREPARE TRANSACTION 'x';
COMMIT PREPARED 'x';
SELECT directories() - :before AS after_commit;
SELECT * FROM lakebase.remove_orphan_files(NULL, interval '1 day', true);
-- The names of files tell their transactions.
BEGIN;
INSERT INTO c VALUES (1);
SELECT pg_current_xact_id() AS xid \gset
COMMIT;
SELECT lakebase.publish('c') IS NOT NULL AS published;
BEGIN;
CREATE TABLE d USING iceberg AS SELECT 1 AS id;
SELECT pg_current_xact_id() AS xid \gset
COMMIT;
SELECT count(*) > 2 AS files, bool_and(name LIKE '%x' || :'xid' || '-%') AS named
  FROM lakebase.iceberg_location('d') location, unnest(ARRAY['data', 'metadata']) part, pg_ls_dir(location || '/' || part) name;
-- Entries of data files with statistics of many columns made others wait for the outcome.
SELECT 'CREATE TABLE wide (' || string_agg(format('c%s text', g), ', ') || ') USING iceberg' AS create_wide,
       'INSERT INTO wide VALUES (' || string_agg(quote_literal(repeat(g::text, 20)), ', ') || ')' AS insert_wide
  FROM generate_series(1, 250) g \gset
:create_wide;
:insert_wide;
SET statement_timeout = '30s';
BEGIN;
:insert_wide;
PREPARE TRANSACTION 'x';
BEGIN;
:insert_wide;
PREPARE TRANSACTION 'y';
:insert_wide;
SELECT count(*) FROM wide;
COMMIT PREPARED 'x';
ROLLBACK PREPARED 'y';
SELECT count(*), count(DISTINCT ctid), min(c250) FROM wide WHERE c1 = repeat('1', 20);
SELECT lakebase.publish('wide') IS NOT NULL AS published;
SELECT count(*), count(DISTINCT ctid), min(c250) FROM wide WHERE c1 = repeat('1', 20);
DROP TABLE wide;
-- A session whose transactions wait until nothing can be in their way waited for the transaction that it was to commit.
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO c VALUES (2);
PREPARE TRANSACTION 'x';
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO c VALUES (3);
PREPARE TRANSACTION 'y';
SET default_transaction_isolation = 'serializable';
SET default_transaction_read_only = on;
SET default_transaction_deferrable = on;
COMMIT PREPARED 'x';
ROLLBACK PREPARED 'y';
RESET default_transaction_isolation;
RESET default_transaction_read_only;
RESET default_transaction_deferrable;
RESET statement_timeout;
SELECT * FROM c ORDER BY 1;
-- An extension dropped with its tables would leave their directories.
BEGIN;
DROP EXTENSION pg_iceberg_am CASCADE;
PREPARE TRANSACTION 'x';
SELECT count(*) FROM d;
DROP FUNCTION directories();
DROP TABLE a, c, d, of_session;
