-- Transactions that come close after one another share a metadata file; PostgreSQL sees each at once.
-- A database of its own, for the publisher has the interval from there.
CREATE DATABASE regress_iceberg_publish;
ALTER DATABASE regress_iceberg_publish SET pg_iceberg_am.publish_interval = '1min';
\set before :DBNAME
\c regress_iceberg_publish
CREATE EXTENSION pg_iceberg_am;
CREATE TABLE shared (id int, note text) USING iceberg;
CREATE VIEW here AS
    SELECT row_count, file_count, total_bytes > 0 AS has_bytes, unpublished_rows
      FROM lakebase.iceberg_tables WHERE relation = 'shared'::regclass;
INSERT INTO shared VALUES (1, 'one');
INSERT INTO shared VALUES (2, 'two'), (3, 'three');
-- Few rows wait as they are, more of them as data files.
SELECT * FROM here;
SELECT * FROM shared ORDER BY id;
SELECT record_count, sequence_number FROM lakebase.iceberg_files('shared') ORDER BY 1;
SELECT count(*) FROM lakebase.iceberg_snapshots('shared');
SELECT pg_relation_size('shared') > 0 AS has_size;
ANALYZE shared;
SELECT reltuples FROM pg_class WHERE oid = 'shared'::regclass;
-- What a transaction does on top, and takes back.
BEGIN;
INSERT INTO shared VALUES (4, 'four');
SELECT count(*) FROM shared;
SAVEPOINT s;
INSERT INTO shared VALUES (5, 'five');
ROLLBACK TO s;
INSERT INTO shared VALUES (6, 'six');
SELECT count(*) FROM shared;
ROLLBACK;
SELECT count(*) FROM shared;
INSERT INTO shared SELECT g, repeat('many ', 10) FROM generate_series(1000, 1999) g;
SELECT * FROM here;
SELECT count(*), sum(id), max(note) FROM shared;
SELECT id FROM shared WHERE id > 1997 OR note = 'two' ORDER BY id;
SELECT count(*), count(DISTINCT ctid) FROM shared;
-- One snapshot for all of them; the metadata file is returned.
SELECT lakebase.publish('shared') AS metadata \gset
SELECT metadata_location = :'metadata' AS is_current FROM lakebase.iceberg_tables WHERE relation = 'shared'::regclass;
SELECT * FROM here;
SELECT operation, summary->>'added-data-files' AS files, summary->>'added-records' AS rows FROM lakebase.iceberg_snapshots('shared');
SELECT record_count, sequence_number FROM lakebase.iceberg_files('shared') ORDER BY 1;
SELECT count(*), sum(id), max(note) FROM shared;
-- Again, and nothing to do.
SELECT lakebase.publish('shared') = :'metadata' AS same;
-- A snapshot from before, across the publication.
INSERT INTO shared VALUES (4, 'four');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM shared;
SELECT lakebase.publish('shared') <> :'metadata' AS moved_on;
SELECT count(*) FROM shared;
SELECT sum(unpublished_rows) FROM here;
COMMIT;
SELECT sum(unpublished_rows) FROM here;
-- A cursor across the publication.
INSERT INTO shared VALUES (5, 'five');
BEGIN;
DECLARE over_it SCROLL CURSOR FOR SELECT id FROM shared WHERE id < 1000 ORDER BY id;
FETCH 2 FROM over_it;
SELECT lakebase.publish('shared') IS NOT NULL AS published;
FETCH ALL FROM over_it;
FETCH FIRST FROM over_it;
COMMIT;
INSERT INTO shared VALUES (6, 'six');
-- TRUNCATE and DROP take what waits with them.
TRUNCATE shared;
SELECT * FROM here;
SELECT count(*) FROM shared;
INSERT INTO shared VALUES (7, 'seven');
CREATE TABLE dropped (id int) USING iceberg;
INSERT INTO dropped VALUES (1);
SELECT relfilenode AS number FROM pg_class WHERE relname = 'dropped' \gset
SELECT count(*) FROM lakebase.inline_commit WHERE relfilenumber = :number;
DROP TABLE dropped;
SELECT count(*) FROM lakebase.inline_commit WHERE relfilenumber = :number;
-- Rewrites carry it along.
VACUUM FULL shared;
SELECT * FROM here;
INSERT INTO shared VALUES (8, 'eight');
ALTER TABLE shared SET ACCESS METHOD heap;
SELECT * FROM shared ORDER BY id;
ALTER TABLE shared SET ACCESS METHOD iceberg;
INSERT INTO shared VALUES (9, 'nine');
SELECT * FROM shared ORDER BY id;
-- Orphans are looked for among the rest.
SELECT count(*) FROM lakebase.remove_orphan_files('shared', '0');
SELECT * FROM shared ORDER BY id;
-- Columns with statistics beyond what a row of a heap table can hold: published with the commit.
SELECT 'CREATE TABLE wide (' || string_agg(format('c%s text', i), ', ') || ') USING iceberg' AS create_wide,
       'INSERT INTO wide VALUES (' || string_agg(quote_literal(repeat('x', 20) || i), ', ') || ')' AS insert_x,
       'INSERT INTO wide VALUES (' || string_agg(quote_literal(repeat('y', 20) || i), ', ') || ')' AS insert_y
  FROM generate_series(1, 300) i \gset
:create_wide;
:insert_x;
:insert_y;
SELECT row_count, unpublished_rows FROM lakebase.iceberg_tables WHERE relation = 'wide'::regclass;
SELECT c1, c300 FROM wide ORDER BY 1;
-- Temporary tables are published by their session, with each transaction.
CREATE TEMP TABLE mine (id int) USING iceberg;
INSERT INTO mine VALUES (1);
INSERT INTO mine VALUES (2);
SELECT row_count, unpublished_rows FROM lakebase.iceberg_tables WHERE relation = 'mine'::regclass;
SELECT lakebase.publish('mine') IS NOT NULL AS published;
-- Unlogged ones as others.
CREATE UNLOGGED TABLE unlogged (id int) USING iceberg;
INSERT INTO unlogged VALUES (1);
INSERT INTO unlogged VALUES (2);
SELECT row_count, unpublished_rows FROM lakebase.iceberg_tables WHERE relation = 'unlogged'::regclass;
SELECT lakebase.publish('unlogged') IS NOT NULL AS published;
SELECT count(*) FROM unlogged;
-- Rights and mistakes.
CREATE ROLE regress_iceberg_publisher;
SET ROLE regress_iceberg_publisher;
SELECT lakebase.publish('shared');
RESET ROLE;
DROP ROLE regress_iceberg_publisher;
SELECT lakebase.publish('here');
SELECT lakebase.publish(NULL);
BEGIN;
LOCK TABLE shared;
INSERT INTO shared VALUES (10, 'ten');
SELECT lakebase.publish('shared') IS NOT NULL AS published;
ROLLBACK;
-- Without an interval, every transaction makes its own metadata file.
SET pg_iceberg_am.publish_interval = 0;
SELECT lakebase.publish('shared') IS NOT NULL AS published;
SELECT count(*) AS snapshots FROM lakebase.iceberg_snapshots('shared') \gset
INSERT INTO shared VALUES (11, 'eleven');
INSERT INTO shared VALUES (12, 'twelve');
SELECT unpublished_rows FROM here;
SELECT count(*) - :snapshots AS new FROM lakebase.iceberg_snapshots('shared');
-- Many transactions one after the other: what they leave in the catalog is cleaned up.
RESET pg_iceberg_am.publish_interval;
CREATE TABLE many (id int) USING iceberg;
DO $$ BEGIN FOR i IN 1..1200 LOOP INSERT INTO many VALUES (i); COMMIT; END LOOP; END $$;
SELECT lakebase.publish('many') IS NOT NULL AS published;
SELECT count(*), sum(id) FROM many;
DO $$ BEGIN
    FOR i IN 1..200 LOOP
        EXIT WHEN (SELECT vacuum_count > 0 FROM pg_stat_user_tables WHERE relname = 'inline_commit');
        PERFORM pg_sleep(0.1), pg_stat_clear_snapshot();
    END LOOP;
END $$;
SELECT vacuum_count > 0 AS vacuumed FROM pg_stat_user_tables WHERE relname = 'inline_commit';
-- A publisher that waits is not in the way of DROP DATABASE.
INSERT INTO shared VALUES (13, 'thirteen');
SELECT unpublished_rows FROM here;
DO $$ BEGIN
    FOR i IN 1..200 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'pg_iceberg publisher');
        PERFORM pg_sleep(0.05);
    END LOOP;
    PERFORM pg_stat_clear_snapshot();
    ASSERT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'pg_iceberg publisher');
END $$;
\c :before
-- Of tables in a store it tells what is left there.
SET client_min_messages = warning;
DROP DATABASE regress_iceberg_publish;
