-- local tables only: it reads metadata files.
-- Options that only Iceberg tables have: PostgreSQL refused them, and every later SET of its own options with them.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_table_options CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_table_options;
SET search_path = test_table_options;
CREATE FUNCTION opts(regclass) RETURNS text[] LANGUAGE sql AS 'SELECT reloptions FROM pg_class WHERE oid = $1';
CREATE FUNCTION props(regclass) RETURNS TABLE (name text, value text) LANGUAGE sql AS $$
    SELECT key, value FROM jsonb_each_text(pg_read_file(substr(lakebase.publish($1), 1))::jsonb -> 'properties')
     WHERE key NOT IN ('pg-lakebase.columns', 'pg-lakebase.types') ORDER BY key $$;

CREATE TABLE t (id int, v text) USING iceberg
    WITH (fillfactor = 70, "write.target-file-size-bytes" = 1048576, "history.expire.max-snapshot-age-ms" = '86400000', toast.autovacuum_enabled = false);
SELECT opts('t');
INSERT INTO t VALUES (1, 'one');
SELECT * FROM props('t');
-- PostgreSQL's own options beside ours.
ALTER TABLE t SET (fillfactor = 80, autovacuum_enabled = off);
ALTER TABLE t SET ("write.parquet.compression-level" = 9), RESET (fillfactor, "history.expire.max-snapshot-age-ms");
SELECT opts('t');
INSERT INTO t VALUES (2, 'two');
SELECT * FROM props('t');
BEGIN;
ALTER TABLE t SET ("write.target-file-size-bytes" = 2097152);
SAVEPOINT s;
ALTER TABLE t RESET ("write.parquet.compression-level");
ROLLBACK TO s;
SELECT opts('t');
ROLLBACK;
SELECT opts('t');
VACUUM FULL t;
TRUNCATE t;
SELECT opts('t');

-- Others read and write the table meanwhile.
BEGIN;
ALTER TABLE t SET ("write.a" = 1), RESET ("write.target-file-size-bytes");
SELECT mode FROM pg_locks WHERE relation = 't'::regclass AND pid = pg_backend_pid() ORDER BY 1;
SELECT opts('t');
ROLLBACK;

-- What is refused, and changes nothing.
ALTER TABLE t SET ("pg-lakebase.columns" = '{}');
ALTER TABLE t SET ("write.data.path" = '/tmp');
ALTER TABLE t SET ("write.target-file-size-bytes" = 5);
ALTER TABLE t SET ("write.target-file-size-bytes" = many);
ALTER TABLE t SET ("write.parquet.compression-codec" = gzip);
-- These were taken for Iceberg's default of five days.
ALTER TABLE t SET ("history.expire.max-snapshot-age-ms" = '30 days');
ALTER TABLE t SET ("history.expire.max-snapshot-age-ms" = -1);
ALTER TABLE t SET ("history.expire.min-snapshots-to-keep" = 0);
ALTER TABLE t SET ("write.metadata.previous-versions-max" = few);
ALTER TABLE t SET (no_such_option = 1);
ALTER TABLE t SET ("write.a" = 1, no_such_option = 1);
ALTER TABLE t RESET ("write.a" = 1);
CREATE TABLE refused (id int) USING iceberg WITH (no_such_option = 1, "write.a" = 1);
CREATE TABLE h (id int) USING heap WITH ("write.a" = 1);
CREATE TABLE h (id int) USING heap;
ALTER TABLE h SET ("write.a" = 1);
ALTER TABLE h RESET ("write.a");
CREATE TABLE p (id int) PARTITION BY RANGE (id) USING iceberg WITH ("write.a" = 1);
CREATE TABLE p (id int) PARTITION BY RANGE (id) USING iceberg;
ALTER TABLE p SET ("write.a" = 1);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10) WITH ("write.a" = 1);
SELECT opts('p1'), opts('p');
CREATE ROLE option_user;
GRANT ALL ON SCHEMA test_table_options TO option_user;
SET ROLE option_user;
ALTER TABLE t SET ("write.a" = 1);
ALTER TABLE t SET (fillfactor = 90);
RESET ROLE;
DROP OWNED BY option_user;
DROP ROLE option_user;
SELECT opts('t');

-- Every way to make a table, from plans that are kept too.
CREATE TABLE made_as USING iceberg WITH ("write.target-file-size-bytes" = 1048576) AS
    SELECT g AS id, sha512(g::text::bytea) AS a, sha512((g + 1)::text::bytea) AS b FROM generate_series(1, 60000) g;
SELECT count(*) > 3 AS closes_at_target FROM lakebase.iceberg_files('made_as');
CREATE MATERIALIZED VIEW mv USING iceberg WITH ("write.a" = 1) AS SELECT * FROM t;
ALTER MATERIALIZED VIEW mv SET ("write.b" = 2, fillfactor = 50);
REFRESH MATERIALIZED VIEW mv;
CREATE TABLE IF NOT EXISTS t (id int) USING iceberg WITH ("write.a" = 1);
CREATE TABLE alike (LIKE t INCLUDING ALL) USING iceberg WITH ("write.a" = 1);
CREATE TEMP TABLE temporary (id serial) USING iceberg WITH ("write.a" = 1);
CREATE SCHEMA test_table_options_nested CREATE TABLE nested (id int) USING iceberg WITH ("write.a" = 1);
DO $$ BEGIN FOR i IN 1..3 LOOP
    CREATE TABLE looped (id int) USING iceberg WITH ("write.a" = 1);
    IF opts('looped') <> '{write.a=1}' THEN RAISE 'lost in round %', i; END IF;
    ALTER TABLE looped SET ("write.a" = 2, fillfactor = 50);
    IF opts('looped') <> '{fillfactor=50,write.a=2}' THEN RAISE 'lost in round %: %', i, opts('looped'); END IF;
    DROP TABLE looped;
END LOOP; END $$;
PREPARE kept AS SELECT 1 AS id;
EXPLAIN (COSTS OFF) CREATE TABLE explained USING iceberg WITH ("write.a" = 1) AS SELECT 1 AS id;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) CREATE TABLE explained USING iceberg WITH ("write.a" = 1) AS SELECT 1 AS id;
CREATE TABLE executed USING iceberg WITH ("write.a" = 1) AS EXECUTE kept;
SELECT relname, reloptions FROM pg_class WHERE relname IN ('made_as', 'mv', 'alike', 'temporary', 'nested', 'explained', 'executed', 'looped') ORDER BY 1;

-- Rows written after a rollback to a savepoint go by the options from before it.
CREATE TABLE rolled_back (LIKE made_as) USING iceberg WITH ("write.target-file-size-bytes" = 1048576);
BEGIN;
SAVEPOINT s;
ALTER TABLE rolled_back RESET ("write.target-file-size-bytes");
INSERT INTO rolled_back SELECT * FROM made_as LIMIT 1;
ROLLBACK TO s;
INSERT INTO rolled_back SELECT * FROM made_as;
COMMIT;
SELECT count(*) > 3 AS closes_at_target FROM lakebase.iceberg_files('rolled_back');
BEGIN;
INSERT INTO rolled_back SELECT * FROM made_as LIMIT 1;
TRUNCATE rolled_back;
ALTER TABLE rolled_back RESET ("write.target-file-size-bytes");
INSERT INTO rolled_back SELECT * FROM made_as;
COMMIT;
SELECT count(*) AS files FROM lakebase.iceberg_files('rolled_back');

-- Metadata of a rewritten table had lost them until the next commit.
CREATE TABLE rewritten (id int) USING iceberg WITH ("write.kept" = 'yes');
INSERT INTO rewritten VALUES (1);
VACUUM FULL rewritten;
SELECT lakebase.publish('rewritten') AS metadata \gset
SELECT pg_read_file(:'metadata')::jsonb->'properties'->>'write.kept' AS kept;
CREATE MATERIALIZED VIEW refreshed USING iceberg WITH ("write.kept" = 'yes') AS SELECT 1 AS id;
REFRESH MATERIALIZED VIEW refreshed;
SELECT lakebase.publish('refreshed') AS metadata \gset
SELECT pg_read_file(:'metadata')::jsonb->'properties'->>'write.kept' AS kept;

-- By the extended protocol.
CREATE TABLE extended (id int) USING iceberg WITH ("write.a" = 1) \bind \g
ALTER TABLE extended SET ("write.b" = 2) \bind \g
SELECT opts('extended');

-- To heap our options go, since heap has no use for them and its dump could not be restored with them.
ALTER TABLE t SET ACCESS METHOD heap;
SELECT opts('t');
ALTER TABLE t SET ACCESS METHOD iceberg, SET ("write.a" = 1);
SELECT opts('t');
ALTER TABLE t SET ACCESS METHOD heap, SET ("write.a" = 2);
SELECT opts('t');

SET client_min_messages = warning;
DROP SCHEMA test_table_options, test_table_options_nested CASCADE;
