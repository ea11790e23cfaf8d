-- lakebase.iceberg_tables, iceberg_snapshots() and iceberg_files() tell what is there.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_lakebase_views CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_lakebase_views;
SET search_path = test_lakebase_views;
-- A snapshot for each transaction.
SET pg_iceberg_am.publish_interval = 0;

CREATE VIEW here AS
    SELECT relation, table_namespace, table_name, snapshot_id IS NOT NULL AS has_snapshot, row_count, file_count, total_bytes > 0 AS has_bytes
    FROM lakebase.iceberg_tables WHERE table_namespace = 'test_lakebase_views' ORDER BY table_name COLLATE "C";
SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'lakebase' AND table_name = 'iceberg_tables' ORDER BY ordinal_position;

-- \df+ and \d+ explain everything there is: functions had no descriptions.
SELECT p.oid::regprocedure::text AS undescribed FROM pg_proc p WHERE pronamespace = 'lakebase'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL
UNION ALL SELECT c.oid::regclass::text FROM pg_class c WHERE relnamespace = 'lakebase'::regnamespace AND relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') IS NULL;
CREATE TABLE t (id int, name text) USING iceberg;
CREATE TABLE not_iceberg (id int) USING heap;
SELECT * FROM here;
-- A table is there for other engines from its CREATE TABLE on.
SELECT metadata_location LIKE location || '/metadata/%.metadata.json' AS in_location, location ~ '^(/|(s3|gs|abfss?|https?)://)' AS absolute
FROM lakebase.iceberg_tables WHERE relation = 't'::regclass;
SELECT count(*) FROM lakebase.iceberg_snapshots('t');
SELECT count(*) FROM lakebase.iceberg_files('t');

INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 100) g;
SELECT * FROM here;
SELECT metadata_location AS first_metadata, snapshot_id AS first_snapshot FROM lakebase.iceberg_tables WHERE relation = 't'::regclass \gset
INSERT INTO t VALUES (101, NULL);
SELECT * FROM here;
SELECT metadata_location <> :'first_metadata' AS moved_on, snapshot_id <> :first_snapshot AS new_snapshot FROM lakebase.iceberg_tables WHERE relation = 't'::regclass;
SELECT operation, sequence_number, parent_id = :first_snapshot AS follows_first, snapshot_id = (SELECT snapshot_id FROM lakebase.iceberg_tables WHERE relation = 't'::regclass) AS current,
    committed_at BETWEEN now() - interval '1 hour' AND now() + interval '1 hour' AS just_now,
    summary ->> 'added-records' AS added, summary ->> 'total-records' AS total, summary ->> 'added-data-files' AS files
FROM lakebase.iceberg_snapshots('t') ORDER BY sequence_number;
SELECT record_count, file_size_in_bytes > 0 AS has_bytes, upper(file_format) AS format, sequence_number FROM lakebase.iceberg_files('t') ORDER BY sequence_number;
SELECT (SELECT sum(record_count) FROM lakebase.iceberg_files('t')) = row_count AS rows, (SELECT sum(file_size_in_bytes) FROM lakebase.iceberg_files('t')) = total_bytes AS bytes,
    (SELECT count(*) FROM lakebase.iceberg_files('t')) = file_count AS files
FROM lakebase.iceberg_tables WHERE relation = 't'::regclass;

-- One transaction is one snapshot; a rolled back one and one that wrote nothing are none.
BEGIN;
INSERT INTO t VALUES (102, 'a');
SAVEPOINT s;
INSERT INTO t VALUES (103, 'b');
ROLLBACK TO s;
INSERT INTO t SELECT g, 'c' FROM generate_series(104, 110) g;
COMMIT;
BEGIN;
INSERT INTO t VALUES (200, 'undone');
ROLLBACK;
INSERT INTO t SELECT 1, 'x' WHERE false;
BEGIN;
SAVEPOINT s;
INSERT INTO t VALUES (200, 'undone');
ROLLBACK TO s;
COMMIT;
SELECT count(*) FROM lakebase.iceberg_snapshots('t');
SELECT row_count, (SELECT count(*) FROM t) FROM lakebase.iceberg_tables WHERE relation = 't'::regclass;

-- Reading changes nothing; TRUNCATE, rename, rewrite, drop.
SELECT metadata_location AS metadata FROM lakebase.iceberg_tables WHERE relation = 't'::regclass \gset
SELECT count(*) FROM t;
ANALYZE t;
SELECT metadata_location = :'metadata' AS same FROM lakebase.iceberg_tables WHERE relation = 't'::regclass;
ALTER TABLE t RENAME TO renamed;
SELECT * FROM here;
TRUNCATE renamed;
SELECT * FROM here;
SELECT count(*) FROM lakebase.iceberg_files('renamed');
INSERT INTO renamed SELECT g, 'again' FROM generate_series(1, 7) g;
CREATE MATERIALIZED VIEW m USING iceberg AS SELECT count(*) FROM renamed;
CREATE TABLE parted (id int) PARTITION BY RANGE (id) USING iceberg;
CREATE TABLE leaf PARTITION OF parted DEFAULT;
INSERT INTO parted VALUES (1);
CREATE TABLE "Odd ""name""" (id int) USING iceberg;
SELECT * FROM here;
ALTER TABLE renamed SET ACCESS METHOD heap;
DROP TABLE parted;
SELECT * FROM here;
-- In the transaction that makes it, and after its rollback.
BEGIN;
CREATE TABLE unmade (id int) USING iceberg;
INSERT INTO unmade VALUES (1);
SELECT count(*) FROM lakebase.iceberg_tables WHERE table_name = 'unmade';
ROLLBACK;
SELECT count(*) FROM lakebase.iceberg_tables WHERE table_name = 'unmade';
-- Temporary tables.
CREATE TEMPORARY TABLE of_session (id int) USING iceberg;
INSERT INTO of_session VALUES (1), (2);
SELECT table_name, row_count, file_count FROM lakebase.iceberg_tables WHERE relation = 'of_session'::regclass;
SELECT count(*) FROM lakebase.iceberg_files('of_session');
DROP TABLE of_session;

-- What is no Iceberg table, and who may look.
SELECT * FROM lakebase.iceberg_snapshots('not_iceberg');
SELECT * FROM lakebase.iceberg_files('not_iceberg');
SELECT * FROM lakebase.iceberg_files('here');
SELECT * FROM lakebase.iceberg_files(NULL);
SELECT * FROM lakebase.iceberg_snapshots(0::regclass);
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_iceberg_looker;
RESET client_min_messages;
CREATE ROLE regress_iceberg_looker;
GRANT USAGE ON SCHEMA test_lakebase_views TO regress_iceberg_looker;
SET ROLE regress_iceberg_looker;
SELECT count(*) AS sees FROM lakebase.iceberg_tables WHERE table_namespace = 'test_lakebase_views';
SELECT * FROM lakebase.iceberg_files('m');
SELECT * FROM lakebase.iceberg_snapshots('m');
INSERT INTO lakebase.iceberg_tables (table_name) VALUES ('x');
RESET ROLE;
DROP OWNED BY regress_iceberg_looker;
DROP ROLE regress_iceberg_looker;

-- A transaction's own rows: the view and the history leave them out until it has committed, iceberg_files() has files
-- that it has written; a table that it has made has nothing to publish.
CREATE TABLE own (id int) USING iceberg;
INSERT INTO own VALUES (1);
SET pg_iceberg_am.target_file_size = '1MB';
BEGIN;
INSERT INTO own SELECT generate_series(2, 200000);
CREATE TABLE made (id int) USING iceberg;
INSERT INTO made VALUES (1);
SELECT table_name, row_count, file_count, metadata_location IS NULL AS no_metadata FROM lakebase.iceberg_tables WHERE relation IN ('own'::regclass, 'made'::regclass) ORDER BY 1;
SELECT sequence_number IS NULL AS own_file, count(*) > 0 AS found FROM lakebase.iceberg_files('own') GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM lakebase.iceberg_snapshots('own');
SELECT lakebase.publish('made') IS NULL AS nothing, lakebase.publish('own') IS NULL AS own_nothing;
COMMIT;
SELECT lakebase.publish('made') IS NULL AS nothing;
RESET pg_iceberg_am.target_file_size;

SET client_min_messages = warning;
DROP SCHEMA test_lakebase_views CASCADE;
