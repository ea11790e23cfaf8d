-- local tables only: it takes permissions from directories.
-- Files that could not be removed of one table kept those of all others, and the log had an error every half second.
CREATE DATABASE regress_iceberg_upkeep_failure;
ALTER DATABASE regress_iceberg_upkeep_failure SET pg_iceberg_am.publish_interval = 0;
ALTER DATABASE regress_iceberg_upkeep_failure SET pg_iceberg_am.file_keep_time = 0;
\set before :DBNAME
\c regress_iceberg_upkeep_failure
CREATE EXTENSION pg_iceberg_am;
CREATE TABLE broken (id int) USING iceberg WITH (autovacuum_enabled = off);
CREATE TABLE sound (id int) USING iceberg WITH (autovacuum_enabled = off);
CREATE FUNCTION errors() RETURNS int LANGUAGE sql AS $$
    SELECT regexp_count(pg_read_file(current_setting('data_directory') || '/../log/postgresql.log'), 'could not remove file "[^\n"]*' || substring(location FROM 'iceberg_\d+') || '/')
      FROM lakebase.iceberg_tables WHERE relation = 'broken'::regclass
$$;
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
DO $$ BEGIN
    FOR i IN 1..10 LOOP
        INSERT INTO broken VALUES (i);
        INSERT INTO sound VALUES (i);
        COMMIT;
    END LOOP;
END $$;
SELECT relation, last_run, last_error, last_error_at, next_run > now() AS has_next_run FROM lakebase.upkeep ORDER BY relation::text;
SELECT errors() AS errors_before \gset
SELECT location AS broken_location FROM lakebase.iceberg_tables WHERE relation = 'broken'::regclass \gset
\setenv DIR :broken_location
\! chmod a-w "$DIR/metadata"
-- History cannot be dropped of the one: that writes metadata.
\set VERBOSITY terse
SELECT lakebase.expire_snapshots('broken', '0');
-- VACUUM said nothing of what it could not do, unless it was VERBOSE.
VACUUM broken;
\set VERBOSITY default
SELECT last_error LIKE 'could not create file "%/metadata/%": Permission denied%' AS failed, last_error_at > now() - interval '1 minute' AS just_now
  FROM lakebase.upkeep WHERE relation = 'broken'::regclass;
\! chmod u+w "$DIR/metadata"
-- While somebody may need the files they stay.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM broken;
SELECT lakebase.expire_snapshots('broken', '0') > 0 AS expired;
SELECT lakebase.expire_snapshots('sound', '0') > 0 AS expired;
\! chmod a-w "$DIR/metadata"
COMMIT;
-- Then those of the other go.
CALL wait_until('(SELECT superfluous_files = 0 FROM lakebase.upkeep WHERE relation = ''sound''::regclass)');
CALL wait_until('(SELECT last_error LIKE ''could not remove file "%/metadata/%": Permission denied%'' FROM lakebase.upkeep WHERE relation = ''broken''::regclass)');
SELECT pg_sleep(5);
SELECT errors() - :errors_before BETWEEN 1 AND 5 AS few_errors;
SELECT relation, superfluous_files > 0 AS to_remove, last_run IS NOT NULL AS has_run, last_error IS NOT NULL AS has_failed, next_run < now() + interval '5 min' AS is_tried_again
  FROM lakebase.upkeep ORDER BY relation::text;
-- What is wrong with a table is for those who may read it.
CREATE ROLE regress_iceberg_upkeep_failure;
SET ROLE regress_iceberg_upkeep_failure;
SELECT count(*) FROM lakebase.upkeep;
SELECT count(*) FROM lakebase.upkept();
RESET ROLE;
-- And for who monitors the server.
GRANT pg_monitor TO regress_iceberg_upkeep_failure;
SET ROLE regress_iceberg_upkeep_failure;
SELECT relation, small_files > 0 AS has_files, oldest_snapshot IS NOT NULL AS has_history, last_error IS NOT NULL AS has_failed FROM lakebase.upkeep ORDER BY relation::text;
SELECT * FROM lakebase.iceberg_files('broken');
RESET ROLE;
DROP ROLE regress_iceberg_upkeep_failure;
\! chmod u+w "$DIR/metadata"
CALL wait_until('(SELECT superfluous_files = 0 FROM lakebase.upkeep WHERE relation = ''broken''::regclass)');
SELECT count(*), sum(id) FROM broken;

\c :before
DROP DATABASE regress_iceberg_upkeep_failure;
