-- local tables only: it is of what the log has of files.
-- What goes into the write-ahead log, as pg_walinspect shows it.
-- A metadata file for each transaction.
SET pg_iceberg_am.publish_interval = 0;
CREATE EXTENSION pg_walinspect;
SELECT rm_name, rm_builtin FROM pg_get_wal_resource_managers() WHERE rm_name = 'pg_iceberg';
CREATE FUNCTION records(from_lsn pg_lsn) RETURNS TABLE (record_type text, description text)
LANGUAGE sql AS $$
    SELECT record_type,
           regexp_replace(
               regexp_replace(
                   regexp_replace(description, '(base|pg_tblspc)\S*iceberg_\d+', 'TABLE', 'g'),
                   '(data|metadata)/[-0-9a-z]+?(-m\d)?\.', '\1/*\2.', 'g'),
               '(offset 0 bytes|from metadata/\S+ edits) \d+', 'N', 'g')
      FROM pg_get_wal_records_info(from_lsn, pg_current_wal_insert_lsn())
     WHERE resource_manager = 'pg_iceberg' AND record_type <> 'SYNC_FILES'
$$;
SELECT pg_current_wal_insert_lsn() AS start \gset
CREATE TABLE logged (id int) USING iceberg;
INSERT INTO logged VALUES (1);
INSERT INTO logged VALUES (2);
BEGIN;
INSERT INTO logged VALUES (3);
ROLLBACK;
TRUNCATE logged;
DROP TABLE logged;
CHECKPOINT;
SELECT * FROM records(:'start');
-- Small files are synced by others, who say so before the checkpoint.
SELECT count(*) > 0 AS synced FROM pg_get_wal_records_info(:'start', pg_current_wal_insert_lsn()) WHERE record_type = 'SYNC_FILES';
-- Of a metadata file, only what is new.
CREATE TABLE often (id int) USING iceberg;
DO $$ BEGIN FOR i IN 1..30 LOOP INSERT INTO often VALUES (i); COMMIT; END LOOP; END $$;
SELECT pg_current_wal_insert_lsn() AS start \gset
INSERT INTO often VALUES (31);
CHECKPOINT;
SELECT description ~ 'metadata.json from metadata/\S+ edits \d+$' AS edits, record_length < 32768 AS short
  FROM pg_get_wal_records_info(:'start', pg_current_wal_insert_lsn()) WHERE record_type LIKE 'WRITE_FILES%';
DROP TABLE often;
-- Nothing of temporary tables; of unlogged tables only that they are there.
SELECT pg_current_wal_insert_lsn() AS start \gset
CREATE TEMP TABLE mine (id int) USING iceberg;
INSERT INTO mine VALUES (1);
DROP TABLE mine;
CREATE UNLOGGED TABLE unlogged (id int) USING iceberg;
INSERT INTO unlogged VALUES (1);
DROP TABLE unlogged;
CHECKPOINT;
SELECT * FROM records(:'start');
-- A load goes into the log about once.
CREATE TABLE loaded (id int, text text) USING iceberg;
SELECT pg_current_wal_insert_lsn() AS start \gset
INSERT INTO loaded SELECT g, md5(g::text) FROM generate_series(1, 300000) g;
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'start') < 1.1 * sum(file_size_in_bytes) AS about_once
  FROM lakebase.iceberg_files('loaded');
DROP TABLE loaded;
DROP FUNCTION records(pg_lsn);
DROP EXTENSION pg_walinspect;
