-- local tables only: it takes permissions from directories.
-- A table that the publisher could not write was tried over and over, thousands of times while somebody waited for
-- it, with as many errors in the log.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_publisher_failure CASCADE;
CREATE SCHEMA test_publisher_failure;
SET search_path = test_publisher_failure;
SET pg_iceberg_am.publish_interval = '1min';

CREATE TABLE broken (id int) USING iceberg;
CREATE TABLE sound (id int) USING iceberg;
INSERT INTO broken VALUES (1);
INSERT INTO sound VALUES (1);
SELECT lakebase.publish('broken') IS NOT NULL AS published;
SELECT location AS broken_location FROM lakebase.iceberg_tables WHERE relation = 'broken'::regclass \gset
-- What the log has of it. The server's log lies beside its data directory.
CREATE FUNCTION errors() RETURNS int LANGUAGE sql AS $$
    SELECT regexp_count(pg_read_file(current_setting('data_directory') || '/../log/postgresql.log'), 'could not create file "[^\n"]*' || substring(location FROM 'iceberg_\d+') || '/')
      FROM lakebase.iceberg_tables WHERE relation = 'broken'::regclass
$$;
SELECT errors() AS errors_before \gset
\setenv DIR :broken_location
\! chmod a-w "$DIR/data"
INSERT INTO broken VALUES (2);
INSERT INTO sound VALUES (2);
SET statement_timeout = '3s';
SELECT lakebase.publish('broken');
-- Other tables have not waited.
SELECT lakebase.publish('sound') IS NOT NULL AS published;
RESET statement_timeout;
SELECT count(*) FROM broken;
SELECT errors() - :errors_before BETWEEN 1 AND 5 AS few_errors;
\! chmod u+w "$DIR/data"
SELECT lakebase.publish('broken') IS NOT NULL AS published;
SELECT count(*) FROM broken;
SELECT count(*) FROM lakebase.iceberg_files('broken');

DROP SCHEMA test_publisher_failure CASCADE;
