-- local tables only: it is of what is refused there.
-- Tablespaces in object stores: their options, and what cannot lie there.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_object_tablespaces CASCADE;
DROP TABLESPACE IF EXISTS regress_lake;
DROP TABLESPACE IF EXISTS regress_lake_2;
DROP TABLESPACE IF EXISTS regress_plain;
RESET client_min_messages;
CREATE SCHEMA test_object_tablespaces;
SET search_path = test_object_tablespaces;
SET allow_in_place_tablespaces = on;
\set SHOW_CONTEXT never
SELECT current_setting('data_directory') || '/../log/postgresql.log' AS log \gset
SELECT size AS logged_before FROM pg_stat_file(:'log') \gset

-- What is wrong with options is told by name.
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's4', bucket = 'b');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 'local', bucket = '/');
CREATE TABLESPACE regress_lake LOCATION '' WITH (bucket = 'b');
CREATE TABLESPACE regress_lake LOCATION '' WITH (nonsense = 'b');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 'azure', container = 'c');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', regoin = 'x');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', bucket_name = 'x');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', container = 'c');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 'gcs', bucket = 'b', region = 'c');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', bucket = 'c');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', protocol = 's3', bucket = 'b');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = '');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b/c');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = E'b\n');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', prefix = 'a/../b');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', prefix = '/');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', allow_http = maybe);
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', endpoint = 'localhost:9000');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', endpoint = 'http://localhost:9000');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', endpoint = 'https://127.0.0.1:9000', virtual_hosted_style_request);
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', random_page_cost = 'dear');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', a.b = 'c');
-- Credentials are not for everybody to read, wherever they are hidden.
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', secret_access_key = 'hush-hush');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 'gcs', bucket = 'b', service_account_key = 'x');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 'azure', container = 'c', account = 'a', sas_token = 'x');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', endpoint = 'https://me:secret@host');
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 'azure', container = 'c', account = 'a', endpoint = 'https://host?sig=secret');
-- The log does not tell them either.
SELECT pg_read_file(current_setting('data_directory') || '/../log/postgresql.log') ~ ('hush' || '-hush') AS logged;
-- The SQLSTATE.
DO $$ BEGIN
    ALTER TABLESPACE pg_default SET (bucket = 'b');
EXCEPTION WHEN invalid_parameter_value THEN RAISE NOTICE '%: %', SQLSTATE, SQLERRM;
END $$;
-- Only superusers create tablespaces, and nothing is tried for others.
CREATE ROLE regress_lake_user;
SET ROLE regress_lake_user;
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', nonsense = 'x');
RESET ROLE;
SELECT count(*) FROM pg_tablespace WHERE spcname ~ '^regress_lake';
BEGIN;
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b');
ROLLBACK;

-- Both kinds of options stand in the catalog.
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', random_page_cost = 1.5, bucket = 'my-bucket',
    region = 'eu-central-1', prefix = '/it''s/here/', endpoint = 'http://localhost:9000/', allow_http, skip_signature = off, probe = off);
SELECT unnest(spcoptions) FROM pg_tablespace WHERE spcname = 'regress_lake';
CREATE TABLESPACE regress_lake LOCATION '' WITH (protocol = 's3', bucket = 'b', probe = off);
ALTER TABLESPACE regress_lake SET (region = 'eu-north-1', seq_page_cost = 2);
ALTER TABLESPACE regress_lake RESET (skip_signature, random_page_cost, nonsense);
SELECT unnest(spcoptions) FROM pg_tablespace WHERE spcname = 'regress_lake';
ALTER TABLESPACE regress_lake SET (effective_io_concurrency = 3);
ALTER TABLESPACE regress_lake SET (effective_io_concurrency = 'many');
ALTER TABLESPACE regress_lake SET (nonsense = 1);
ALTER TABLESPACE regress_lake SET (account = 'a');
ALTER TABLESPACE regress_lake SET (protocol = 'gcs');
ALTER TABLESPACE regress_lake SET (region = 'a', region = 'b');
ALTER TABLESPACE regress_lake RESET (region = 'a');
ALTER TABLESPACE regress_lake RESET (bucket);
ALTER TABLESPACE regress_lake RESET (protocol);
ALTER TABLESPACE regress_lake RESET (allow_http);
ALTER TABLESPACE regress_lake SET (secret_access_key = 'x');
SELECT unnest(spcoptions) FROM pg_tablespace WHERE spcname = 'regress_lake';
-- As any statement that can be undone.
BEGIN;
ALTER TABLESPACE regress_lake SET (bucket = 'another');
ROLLBACK;
DO $$ BEGIN
    ALTER TABLESPACE regress_lake SET (bucket = 'another');
    RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN NULL;
END $$;
SELECT spcoptions @> '{bucket=''my-bucket''}' AS still FROM pg_tablespace WHERE spcname = 'regress_lake';
-- What pg_dumpall makes of it.
SELECT format('ALTER TABLESPACE regress_lake_2 SET (%s)', array_to_string(spcoptions, ', ')) AS dumped
    FROM pg_tablespace WHERE spcname = 'regress_lake' \gset
CREATE TABLESPACE regress_lake_2 LOCATION '';
:dumped;
SELECT a.spcoptions = b.spcoptions AS same FROM pg_tablespace a, pg_tablespace b
    WHERE a.spcname = 'regress_lake' AND b.spcname = 'regress_lake_2';

-- Owners may rename it and change PostgreSQL's options; those of the store say where the server's credentials go.
SET ROLE regress_lake_user;
ALTER TABLESPACE regress_lake SET (region = 'x');
RESET ROLE;
GRANT CREATE ON TABLESPACE regress_lake TO regress_lake_user;
ALTER TABLESPACE regress_lake OWNER TO regress_lake_user;
SET ROLE regress_lake_user;
ALTER TABLESPACE regress_lake SET (region = 'x');
ALTER TABLESPACE regress_lake SET (endpoint = 'https://elsewhere');
ALTER TABLESPACE regress_lake SET (credentials = 'another');
ALTER TABLESPACE regress_lake RESET (region);
ALTER TABLESPACE regress_lake SET (random_page_cost = 3);
RESET ROLE;
ALTER TABLESPACE regress_lake SET (region = 'x');
ALTER TABLESPACE regress_lake RENAME TO regress_lake_3;
SELECT tablespace FROM lakebase.stores WHERE tablespace ~ '^regress' ORDER BY tablespace COLLATE "C";
ALTER TABLESPACE regress_lake_3 RENAME TO regress_lake;
ALTER TABLESPACE regress_nowhere SET (protocol = 's3', bucket = 'b');
ALTER TABLESPACE pg_default SET (protocol = 's3', bucket = 'b');
ALTER TABLESPACE pg_global SET (protocol = 's3', bucket = 'b');

-- Nothing else than Iceberg tables lies there.
CREATE TABLE heap_there (id int) USING heap TABLESPACE regress_lake;
CREATE UNLOGGED TABLE heap_there (id int) USING heap TABLESPACE regress_lake;
CREATE TABLE heap_there USING heap TABLESPACE regress_lake AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW heap_there USING heap TABLESPACE regress_lake AS SELECT 1 AS id;
CREATE TEMPORARY TABLE heap_there (id int) USING heap TABLESPACE regress_lake;
CREATE UNLOGGED TABLE unlogged_there (id int) USING iceberg TABLESPACE regress_lake;
CREATE TABLE local (id int, t text) USING heap;
CREATE INDEX ON local (id) TABLESPACE regress_lake;
CREATE INDEX CONCURRENTLY failed ON local (id) TABLESPACE regress_lake;
DROP INDEX IF EXISTS failed;
CREATE TABLE heap_there (id int PRIMARY KEY USING INDEX TABLESPACE regress_lake) USING heap;
ALTER TABLE local ADD PRIMARY KEY (id) USING INDEX TABLESPACE regress_lake;
CREATE INDEX local_id ON local (id);
ALTER TABLE local SET TABLESPACE regress_lake;
ALTER INDEX local_id SET TABLESPACE regress_lake;
REINDEX (TABLESPACE regress_lake) INDEX local_id;
ALTER TABLE local OWNER TO regress_lake_user;
ALTER TABLE ALL IN TABLESPACE pg_default OWNED BY regress_lake_user SET TABLESPACE regress_lake;
ALTER INDEX ALL IN TABLESPACE pg_default OWNED BY regress_lake_user SET TABLESPACE regress_lake;
ALTER MATERIALIZED VIEW ALL IN TABLESPACE pg_default OWNED BY regress_lake_user SET TABLESPACE regress_lake;
CREATE MATERIALIZED VIEW view USING heap AS SELECT 1 AS id;
ALTER MATERIALIZED VIEW view SET TABLESPACE regress_lake;
CREATE DATABASE regress_lake_database TABLESPACE regress_lake;
ALTER DATABASE contrib_regression SET TABLESPACE regress_lake;
SET default_tablespace = regress_lake;
CREATE TABLE heap_there (id int) USING heap;
CREATE INDEX ON local (id);
CREATE SEQUENCE sequence;
CREATE VIEW plain_view AS SELECT 1 AS id;
DO $$ BEGIN
    CREATE TABLE heap_there (id int) USING heap;
EXCEPTION WHEN feature_not_supported THEN RAISE NOTICE '%', SQLERRM;
END $$;
RESET default_tablespace;
-- Partitioned tables have no files; their partitions do.
CREATE TABLE parted (id int) PARTITION BY RANGE (id) TABLESPACE regress_lake;
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10) USING heap;
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10) USING heap TABLESPACE pg_default;
CREATE INDEX ON parted (id) TABLESPACE regress_lake;
CREATE INDEX parted_id ON parted (id);
ALTER INDEX parted_id SET TABLESPACE regress_lake;
SELECT count(*) FROM pg_class WHERE reltablespace = (SELECT oid FROM pg_tablespace WHERE spcname = 'regress_lake') AND relkind <> 'p';

-- Temporary Iceberg tables are local.
CREATE TEMPORARY TABLE temporary_there (id int) USING iceberg TABLESPACE regress_lake;
INSERT INTO temporary_there SELECT generate_series(1, 10);
SELECT sum(id) FROM temporary_there;
SET temp_tablespaces = regress_lake;
CREATE TEMPORARY TABLE by_default (id int) USING iceberg;
INSERT INTO by_default VALUES (1);
SELECT s.spcname FROM pg_class c JOIN pg_tablespace s ON s.oid = c.reltablespace WHERE c.oid = 'by_default'::regclass;
CREATE TEMPORARY TABLE heap_there (id int) USING heap;
RESET temp_tablespaces;

-- While anything lies there, it means the same store.
ALTER TABLESPACE regress_lake SET (bucket = 'another');
ALTER TABLESPACE regress_lake SET (region = 'another');
DROP TABLE temporary_there, by_default;
ALTER TABLESPACE regress_lake SET (bucket = 'another', prefix = 'x');
CREATE TABLESPACE regress_plain LOCATION '';
CREATE TABLE on_plain (id int) USING heap TABLESPACE regress_plain;
ALTER TABLESPACE regress_plain SET (protocol = 'gcs', bucket = 'b');
DROP TABLE on_plain;
ALTER TABLESPACE regress_plain SET (protocol = 'gcs', bucket = 'b', probe = off);
CREATE TABLE on_plain (id int) USING heap TABLESPACE regress_plain;
ALTER TABLESPACE regress_plain RESET (protocol, bucket, probe);
CREATE TABLE on_plain (id int) USING heap TABLESPACE regress_plain;
SELECT spcoptions FROM pg_tablespace WHERE spcname = 'regress_plain';
DROP TABLE on_plain;

-- A store is tried where a statement names it, and what is wrong with it is told.
CREATE FUNCTION tried(options text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    EXECUTE format('ALTER TABLESPACE regress_plain SET (%s)', options);
    RETURN 'usable';
EXCEPTION WHEN others THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN format(E'%s: %s\n%s\n%s', SQLSTATE, SQLERRM,
        substring(detail FROM 'Connection refused|no entry .*'), hint);
END $$;
SELECT tried($$protocol = 's3', bucket = 'b', endpoint = 'http://127.0.0.1:1', allow_http = true, skip_signature = true$$);
SELECT tried($$protocol = 's3', bucket = 'b', credentials = 'nobody'$$);
-- Not all that long if one does not want to wait.
SET statement_timeout = '300ms';
SELECT clock_timestamp() AS before \gset
ALTER TABLESPACE regress_plain SET (protocol = 's3', bucket = 'b', endpoint = 'http://127.0.0.1:1', allow_http = true, skip_signature = true);
RESET statement_timeout;
SELECT clock_timestamp() - :'before' < '1.3 s' AS soon;
SELECT spcoptions FROM pg_tablespace WHERE spcname = 'regress_plain';

-- Everybody may see what is done there: nothing as yet.
SET ROLE regress_lake_user;
SELECT tablespace, requests, cache_hits FROM lakebase.stores WHERE tablespace ~ '^regress' ORDER BY tablespace COLLATE "C";
SELECT operation, requests, errors, bytes, total_time FROM lakebase.store_operations WHERE tablespace = 'regress_lake';
SELECT capacity, bytes >= 0 AS has_bytes, files >= 0 AS has_files, evictions FROM lakebase.cache;
SELECT * FROM lakebase.storage_service;
RESET ROLE;
GRANT pg_monitor TO regress_lake_user;
SET ROLE regress_lake_user;
SELECT status, version ~ '^\d+\.\d+\.\d+$' AS has_version, pid IS NOT NULL AS has_process, started < clock_timestamp() AS was_started FROM lakebase.storage_service;
RESET ROLE;

-- Where nothing was written to any store yet, who looks for other servers there has nothing to complain of.
SELECT pg_read_file(:'log', :logged_before, size) ~ 'could not read directory' AS complained FROM pg_stat_file(:'log');
-- Sockets, ports and users are checked.
ALTER SYSTEM SET pg_lakebase.metrics = '0.0.0.0:9187';
ALTER SYSTEM SET pg_lakebase.metrics = 'metrics';
ALTER SYSTEM SET pg_lakebase.metrics = 'run/metrics';
ALTER SYSTEM SET pg_lakebase.storage_socket = 'run/socket';
ALTER SYSTEM SET pg_lakebase.storage_service_user = 'regress_no_such_user';

SET client_min_messages = warning;
DROP SCHEMA test_object_tablespaces CASCADE;
DROP TABLESPACE regress_lake;
DROP TABLESPACE regress_lake_2;
DROP TABLESPACE regress_plain;
DROP ROLE regress_lake_user;
