-- Merged files that could not be put in place, because somebody had locked their table's metadata, kept those of all
-- other tables from being merged.
CREATE DATABASE regress_iceberg_upkeep_locked;
ALTER DATABASE regress_iceberg_upkeep_locked SET pg_iceberg_am.publish_interval = 0;
\set before :DBNAME
\c regress_iceberg_upkeep_locked
CREATE EXTENSION pg_iceberg_am;
CREATE TABLE held (id int) USING iceberg WITH (autovacuum_enabled = off);
CREATE TABLE other (id int) USING iceberg;
CREATE PROCEDURE wait_until(condition text) LANGUAGE plpgsql AS $$
DECLARE holds bool;
BEGIN
    FOR i IN 1..600 LOOP
        EXECUTE 'SELECT ' || condition INTO holds;
        EXIT WHEN holds;
        COMMIT;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE NOTICE '%: %', condition, holds;
END
$$;
CREATE FUNCTION files(regclass) RETURNS bigint LANGUAGE sql RETURN (SELECT file_count FROM lakebase.iceberg_tables WHERE relation = $1);
DO $$ BEGIN FOR i IN 1..20 LOOP INSERT INTO held VALUES (i); COMMIT; END LOOP; END $$;
BEGIN;
SELECT count(*) FROM (SELECT FROM lakebase.iceberg_pointer WHERE relfilenumber = pg_relation_filenode('held') FOR UPDATE);
PREPARE TRANSACTION 'regress_iceberg_upkeep_locked';
ALTER TABLE held RESET (autovacuum_enabled);
DO $$ BEGIN FOR i IN 1..20 LOOP INSERT INTO other VALUES (i); COMMIT; END LOOP; END $$;
CALL wait_until($$(SELECT is_merging FROM lakebase.upkeep WHERE relation = 'held'::regclass)$$);
DO $$ BEGIN FOR i IN 21..40 LOOP INSERT INTO other VALUES (i); COMMIT; END LOOP; END $$;
CALL wait_until($$files('other') < 15$$);
SELECT last_error ~ '^could not put merged data files in place: the table in "(base|pg_tblspc/\d+/\w+)/\d+/iceberg_\d+" or its metadata are locked$' AS failed
  FROM lakebase.upkeep WHERE relation = 'held'::regclass;
SELECT files('held');
COMMIT PREPARED 'regress_iceberg_upkeep_locked';
CALL wait_until($$files('held') < 15$$);
SELECT count(*), sum(id) FROM held;
SELECT count(*), sum(id) FROM other;

\c :before
-- Of tables in a store it tells what is left there.
SET client_min_messages = warning;
DROP DATABASE regress_iceberg_upkeep_locked;
