-- local tables only: it looks at files on disk.
-- History, small files and superfluous files were kept for ever: a table grew with the number of its commits.
-- A database of its own, for the publisher has its settings from there.
CREATE DATABASE regress_iceberg_upkeep;
ALTER DATABASE regress_iceberg_upkeep SET pg_iceberg_am.publish_interval = 0;
ALTER DATABASE regress_iceberg_upkeep SET pg_iceberg_am.recent_snapshots = 5;
ALTER DATABASE regress_iceberg_upkeep SET pg_iceberg_am.file_keep_time = 0;
\set before :DBNAME
\c regress_iceberg_upkeep
CREATE EXTENSION pg_iceberg_am;
CREATE TABLE t (id int, note text) USING iceberg WITH (autovacuum_enabled = off);
CREATE VIEW files AS
    SELECT row_count, file_count FROM lakebase.iceberg_tables WHERE relation = 't'::regclass;
-- What is in the table's directory: data files, manifest lists, and metadata files.
CREATE FUNCTION on_disk(pattern text) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM pg_ls_dir(lakebase.iceberg_location('t')) dir, pg_ls_dir(lakebase.iceberg_location('t') || '/' || dir) file
     WHERE file ~ pattern
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
    FOR i IN 1..40 LOOP
        INSERT INTO t SELECT 100 * i + g, 'row ' || g FROM generate_series(1, 50) g;
        COMMIT;
    END LOOP;
END $$;
CREATE TEMPORARY TABLE rows_before AS SELECT ctid AS tid, * FROM t;

-- Small files are merged; rows stay where they were.
SELECT * FROM files;
SELECT small_files, snapshot_count, oldest_snapshot < now() AS has_history, is_merging FROM lakebase.upkeep WHERE relation = 't'::regclass;
VACUUM VERBOSE t;
VACUUM VERBOSE t;
SELECT small_files FROM lakebase.upkeep WHERE relation = 't'::regclass;
SELECT count(*) FROM lakebase.progress;
SELECT * FROM files;
SELECT count(*), sum(id) FROM t;
SELECT count(*) FROM t JOIN rows_before b ON b.tid = t.ctid AND b.id = t.id AND b.note = t.note;
SELECT id, note FROM t WHERE id IN (149, 4050) ORDER BY id;
SELECT operation, summary->>'added-data-files' AS added, summary->>'deleted-data-files' AS deleted
  FROM lakebase.iceberg_snapshots('t') ORDER BY sequence_number DESC LIMIT 1;
-- VACUUM merges what is worth it, compact() all.
INSERT INTO t VALUES (1, 'one more');
INSERT INTO t VALUES (2, 'and another');
VACUUM VERBOSE t;
SELECT * FROM files;
SELECT merged_files, new_files, merged_bytes > new_bytes AS smaller FROM lakebase.compact('t');
SELECT * FROM lakebase.compact('t');
SELECT * FROM files;
SELECT count(*), sum(id) FROM t;
-- What had been compressed was not any more if that made less than 16 kB.
CREATE TABLE compressed (id int, note text) USING iceberg WITH (autovacuum_enabled = off);
INSERT INTO compressed SELECT g, 'customer ' || g FROM generate_series(1, 1000) g;
INSERT INTO compressed VALUES (0, 'one more');
SELECT merged_files, new_files, merged_bytes > new_bytes AS smaller FROM lakebase.compact('compressed');

-- History.
SELECT lakebase.expire_snapshots('t', '1 hour');
SELECT lakebase.expire_snapshots('t', '0') > 0 AS expired;
SELECT count(*) FROM lakebase.iceberg_snapshots('t');
SELECT count(*), sum(id) FROM t;
-- Files of what is gone are removed, but not while somebody may read them.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*), sum(id) FROM t;
INSERT INTO t VALUES (3, 'three');
DO $$ BEGIN FOR i IN 1..10 LOOP PERFORM lakebase.expire_snapshots('t'), pg_sleep(0.05); END LOOP; END $$;
SELECT on_disk('parquet') > 40 AS all_there;
SELECT count(*) > 0 AS to_remove FROM lakebase.garbage;
ROLLBACK;
CALL wait_until('NOT EXISTS (SELECT FROM lakebase.garbage)');
SELECT on_disk('parquet') AS data_files, on_disk('^snap-') AS lists;
SELECT count(*), sum(id) FROM t;
SELECT count(*) FROM lakebase.remove_orphan_files('t', '0');

-- By itself, with the commits.
DO $$ BEGIN FOR i IN 1..100 LOOP INSERT INTO t VALUES (10000 + i, 'alone'); COMMIT; END LOOP; END $$;
CALL wait_until('(SELECT count(*) < 60 FROM lakebase.iceberg_snapshots(''t''))');
CALL wait_until('on_disk(''^snap-'') < 60');
ALTER TABLE t RESET (autovacuum_enabled);
DO $$ BEGIN FOR i IN 101..108 LOOP INSERT INTO t VALUES (10000 + i, 'the last'); COMMIT; END LOOP; END $$;
CALL wait_until('(SELECT file_count < 20 FROM files)');
SELECT count(*), sum(id) FROM t;

-- What the table says goes before the settings.
ALTER TABLE t SET ("history.expire.min-snapshots-to-keep" = 4);
DO $$ BEGIN FOR i IN 1..10 LOOP INSERT INTO t VALUES (20000 + i, 'kept'); COMMIT; END LOOP; END $$;
SELECT lakebase.expire_snapshots('t', '0') > 0 AS expired;
SELECT count(*) FROM lakebase.iceberg_snapshots('t');

-- In a transaction that has written to the table, and in one that is rolled back.
BEGIN;
INSERT INTO t VALUES (30000, 'not committed');
SELECT new_files > 0 AS merged FROM lakebase.compact('t');
SELECT count(*) FROM t WHERE id = 30000;
ROLLBACK;
SELECT count(*) FROM t WHERE id = 30000;
SELECT count(*), count(DISTINCT ctid) FROM t;
-- With dropped and renamed columns.
ALTER TABLE t RENAME COLUMN note TO remark;
ALTER TABLE t DROP COLUMN remark;
INSERT INTO t VALUES (40000);
SELECT new_files FROM lakebase.compact('t');
SELECT count(*), max(id) FROM t;
SELECT * FROM t WHERE id > 30000;

-- Unlogged tables, materialized views, and empty ones.
CREATE UNLOGGED TABLE u (id int) USING iceberg;
INSERT INTO u VALUES (1);
INSERT INTO u VALUES (2);
SELECT merged_files, new_files FROM lakebase.compact('u');
SELECT lakebase.expire_snapshots('u', '0') > 0 AS expired;
SELECT array_agg(id ORDER BY id) FROM u;
CREATE MATERIALIZED VIEW m USING iceberg AS SELECT count(*) FROM u;
VACUUM VERBOSE m;
CREATE TABLE empty (id int) USING iceberg;
VACUUM VERBOSE empty;
SELECT merged_files, new_files FROM lakebase.compact('empty');
SELECT lakebase.expire_snapshots('empty');

-- Rights and mistakes.
CREATE ROLE regress_iceberg_upkeep;
SET ROLE regress_iceberg_upkeep;
SELECT * FROM lakebase.compact('t');
SELECT lakebase.expire_snapshots('t');
SET pg_iceberg_am.recent_snapshots = 1;
RESET ROLE;
GRANT MAINTAIN ON t TO regress_iceberg_upkeep;
SET ROLE regress_iceberg_upkeep;
SELECT merged_files FROM lakebase.compact('t');
RESET ROLE;
REVOKE ALL ON t FROM regress_iceberg_upkeep;
DROP ROLE regress_iceberg_upkeep;
SELECT * FROM lakebase.compact('files');
SELECT lakebase.expire_snapshots(NULL) IS NULL AS is_null;
SELECT lakebase.expire_snapshots('t', '-1 hour');
CREATE TABLE h (id int) USING heap;
SELECT lakebase.expire_snapshots('h');
CREATE TEMPORARY TABLE of_session (id int) USING iceberg;
SELECT lakebase.expire_snapshots('of_session');
VACUUM VERBOSE of_session;
-- Temporary tables are kept in order by their sessions, as far as history goes.
DO $$ BEGIN FOR i IN 1..100 LOOP INSERT INTO of_session VALUES (i); COMMIT; END LOOP; END $$;
SELECT count(*) < 5 + 33 AS few_snapshots FROM lakebase.iceberg_snapshots('of_session');
SELECT count(*) FILTER (WHERE file ~ '^snap-') < 5 + 2 * 33 AS few_lists, count(*) FILTER (WHERE file ~ 'metadata.json$') < 200 AS few_metadata
  FROM pg_ls_dir(lakebase.iceberg_location('of_session') || '/metadata') file;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM of_session ORDER BY id;
FETCH 1 FROM c;
SAVEPOINT s;
DO $$ BEGIN FOR i IN 101..110 LOOP INSERT INTO of_session VALUES (i); END LOOP; END $$;
ROLLBACK TO s;
FETCH LAST FROM c;
COMMIT;
SELECT count(*), sum(id) FROM of_session;
BEGIN;
VACUUM t;
ROLLBACK;
-- While it is locked by this session, nobody else can.
BEGIN;
LOCK TABLE t IN ACCESS EXCLUSIVE MODE;
SELECT * FROM lakebase.compact('t');
ROLLBACK;
SELECT count(*) FROM t;

\c :before
DROP DATABASE regress_iceberg_upkeep;
