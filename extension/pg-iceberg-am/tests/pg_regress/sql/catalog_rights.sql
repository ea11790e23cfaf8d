-- lakebase.iceberg_tables told everybody the paths and row counts of all tables; and changes that logical
-- replication brings to the extension's own tables damaged the tables of the subscriber.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_catalog_rights CASCADE;
DROP ROLE IF EXISTS regress_iceberg_reader, regress_iceberg_monitor, regress_iceberg_stranger;
RESET client_min_messages;
CREATE SCHEMA test_catalog_rights;
SET search_path = test_catalog_rights;
CREATE ROLE regress_iceberg_reader;
CREATE ROLE regress_iceberg_monitor IN ROLE pg_monitor;
CREATE ROLE regress_iceberg_stranger;
GRANT USAGE ON SCHEMA test_catalog_rights TO PUBLIC;
CREATE TABLE t (id int) USING iceberg;
CREATE TABLE secret (id int) USING iceberg;
INSERT INTO t VALUES (1);
INSERT INTO secret VALUES (1), (2);
GRANT SELECT ON t TO regress_iceberg_reader;

-- Who may read a table sees where it is.
CREATE VIEW here WITH (security_invoker) AS
    SELECT table_name, row_count, location IS NOT NULL AS has_location FROM lakebase.iceberg_tables WHERE table_namespace = 'test_catalog_rights' ORDER BY 1;
GRANT SELECT ON here TO PUBLIC;
TABLE here;
SET ROLE regress_iceberg_reader;
TABLE here;
SELECT lakebase.iceberg_location('t') IS NOT NULL AS location;
SELECT lakebase.iceberg_location('secret');
SELECT lakebase.iceberg_location('pg_authid') IS NULL AS no_iceberg_table;
-- A function that tells what it is given learns nothing of the others.
CREATE FUNCTION pg_temp.tell(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN RAISE NOTICE 'told %', $1; RETURN true; END $$;
SELECT table_name FROM lakebase.iceberg_tables WHERE pg_temp.tell(table_name) AND table_namespace = 'test_catalog_rights';
SET ROLE regress_iceberg_monitor;
TABLE here;
SELECT lakebase.iceberg_location('secret') IS NOT NULL AS location;
SELECT count(*) FROM lakebase.iceberg_files('secret');
SET ROLE regress_iceberg_stranger;
TABLE here;
-- Rights are checked before the table is locked.
SELECT lakebase.publish('secret');
SELECT lakebase.iceberg_snapshots('secret');
SELECT lakebase.remove_orphan_files('secret');
SELECT lakebase.publish('pg_authid');
RESET ROLE;

-- Every table of the extension keeps out what others write.
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'lakebase'::regnamespace AND c.relkind IN ('r', 'p')
  AND (SELECT count(*) FROM pg_trigger g
       WHERE g.tgrelid = c.oid AND g.tgenabled = 'A'
         AND (g.tgname = 'keep_changes_out' AND g.tgtype = 1 | 2 | 4 | 8 | 16 OR g.tgname = 'keep_truncate_out' AND g.tgtype = 2 | 32)) <> 2;
-- By hand it is an error,
DELETE FROM lakebase.iceberg_pointer;
UPDATE lakebase.iceberg_pointer SET row_count = 0;
INSERT INTO lakebase.inline_commit (relfilenumber, tablespace, backend, row_count, total_bytes, data_rows) VALUES (0, 0, 0, 0, 0, '');
COPY lakebase.inline_commit (relfilenumber, tablespace, backend, row_count, total_bytes, data_rows) FROM stdin;
1	1	-1	1	1	\\x00
\.
TRUNCATE lakebase.iceberg_pointer;
-- and as replication does it, nothing happens.
SET session_replication_role = replica;
WITH gone AS (DELETE FROM lakebase.iceberg_pointer RETURNING 1) SELECT count(*) FROM gone;
WITH changed AS (UPDATE lakebase.iceberg_pointer SET row_count = 0 RETURNING 1) SELECT count(*) FROM changed;
COPY lakebase.inline_commit (relfilenumber, tablespace, backend, row_count, total_bytes, data_rows) FROM stdin;
1	1	-1	1	1	\\x00
\.
SELECT count(*) FROM lakebase.inline_commit WHERE relfilenumber = 1;
TRUNCATE lakebase.inline_commit;
RESET session_replication_role;
-- Rows can be locked, which holds the publisher off.
SELECT count(*) FROM (SELECT FROM lakebase.iceberg_pointer FOR UPDATE) locked WHERE false;
TABLE here;

SET client_min_messages = warning;
DROP SCHEMA test_catalog_rights CASCADE;
DROP FUNCTION pg_temp.tell(text);
DROP ROLE regress_iceberg_reader, regress_iceberg_monitor, regress_iceberg_stranger;
