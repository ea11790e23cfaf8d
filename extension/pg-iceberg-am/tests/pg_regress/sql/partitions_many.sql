-- A load over many Iceberg partitions takes the memory, the threads and the open files that a session may have, and
-- not so many for each partition; and loads what it loads on heap.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_partitions_many CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_partitions_many;
SET search_path = test_partitions_many;

CREATE FUNCTION usage(OUT rss_mb int, OUT threads int, OUT files int) LANGUAGE plpgsql AS $$
DECLARE status text := pg_read_file('/proc/self/status', 0, 10000);
BEGIN
    rss_mb := substring(status FROM 'RssAnon:\s+(\d+) kB')::int / 1024;
    threads := substring(status FROM 'Threads:\s+(\d+)')::int;
    files := (SELECT count(*) FROM pg_ls_dir('/proc/self/fd'));
END $$;
-- Of every so many rows one looks at what is in use; the peak is kept in a setting.
CREATE FUNCTION peak(g int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE now record; before int[];
BEGIN
    IF g % 2000 = 0 THEN
        SELECT * INTO now FROM usage();
        before := coalesce(nullif(current_setting('test.peak', true), ''), '{0,0,0}');
        PERFORM set_config('test.peak', ARRAY[greatest(before[1], now.rss_mb), greatest(before[2], now.threads), greatest(before[3], now.files)]::text, false);
    END IF;
    RETURN g;
END $$;

CREATE TABLE leaves (part int, id int, note text) PARTITION BY LIST (part);
CREATE TABLE twin (part int, id int, note text) USING heap;
DO $$ BEGIN
    FOR i IN 0..499 LOOP
        EXECUTE format('CREATE TABLE leaf_%s PARTITION OF leaves FOR VALUES IN (%s) USING iceberg', i, i);
        IF i % 100 = 99 THEN COMMIT; END IF;
    END LOOP;
END $$;

-- 140 MB of rows; without a bound they would all be in memory.
SET pg_iceberg_am.write_work_mem = '24MB';
SET pg_iceberg_am.encoder_threads = 2;
SELECT rss_mb AS rss_before FROM usage() \gset
BEGIN;
INSERT INTO leaves SELECT g % 500, peak(g), repeat(md5(g::text), 50) FROM generate_series(1, 90000) g;
SAVEPOINT s;
INSERT INTO leaves SELECT g % 500, g, repeat('undone', 500) FROM generate_series(1, 5000) g;
ROLLBACK TO s;
INSERT INTO leaves SELECT g % 500, g, 'more' FROM generate_series(90001, 92000) g;
COMMIT;
SELECT p[1] - :rss_before < 100 AS memory_is_bounded, p[2] <= 3 AS threads_are_bounded, p[3] < current_setting('max_files_per_process')::int AS files_are_bounded
  FROM (SELECT current_setting('test.peak')::int[]) AS peak (p);
SELECT count(*), count(DISTINCT part), sum(id), sum(hashtext(note)::int8) FROM leaves;
INSERT INTO twin SELECT g % 500, g, repeat(md5(g::text), 50) FROM generate_series(1, 90000) g;
INSERT INTO twin SELECT g % 500, g, 'more' FROM generate_series(90001, 92000) g;
SELECT count(*), count(DISTINCT part), sum(id), sum(hashtext(note)::int8) FROM twin;
SELECT count(*) FROM (TABLE leaves EXCEPT ALL TABLE twin) wrong;
-- Rows that are written early do not make many small files.
SELECT count(DISTINCT f.file_path) BETWEEN 500 AND 1500 AS few_files, sum(f.record_count)
  FROM generate_series(0, 499) i, LATERAL lakebase.iceberg_files(format('leaf_%s', i)::regclass) f;
SELECT count(*), count(DISTINCT (tableoid, ctid)) FROM leaves;

-- Threads are a session's, however many large files it writes at a time.
CREATE TABLE large (part int, id int) PARTITION BY LIST (part);
DO $$ BEGIN
    FOR i IN 0..3 LOOP
        EXECUTE format('CREATE TABLE large_%s PARTITION OF large FOR VALUES IN (%s) USING iceberg', i, i);
    END LOOP;
END $$;
RESET pg_iceberg_am.write_work_mem;
SET test.peak = '';
INSERT INTO large SELECT g % 4, peak(g) FROM generate_series(1, 560000) g;
SELECT p[2] BETWEEN 2 AND 3 AS threads_are_bounded FROM (SELECT current_setting('test.peak')::int[]) AS peak (p);
SELECT count(*), sum(id) FROM large;
SELECT threads FROM usage();

SET client_min_messages = warning;
DROP TABLE large;
DO $$ BEGIN
    FOR i IN 0..499 LOOP
        EXECUTE format('DROP TABLE leaf_%s', i);
        IF i % 50 = 49 THEN COMMIT; END IF;
    END LOOP;
END $$;
DROP SCHEMA test_partitions_many CASCADE;
