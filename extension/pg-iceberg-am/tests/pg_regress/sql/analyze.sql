-- ANALYZE finds the statistics that it finds for a heap table of the same rows.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_analyze CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_analyze;
SET search_path = test_analyze;

CREATE TABLE t (id int, grp text, n numeric(8, 2), maybe int, tags text[]) USING iceberg;
CREATE TABLE twin (LIKE t) USING heap;
INSERT INTO twin SELECT g, 'group ' || g % 5, g % 100, CASE WHEN g % 4 = 0 THEN g END, ARRAY['a', 'b' || g % 2] FROM generate_series(1, 5000) g;
INSERT INTO t TABLE twin;
-- All 5000 rows are in the sample of 30000: what is found is exact.
ANALYZE t;
ANALYZE twin;
SELECT reltuples FROM pg_class WHERE oid = 't'::regclass;
SELECT relpages > 0 AS has_pages FROM pg_class WHERE oid = 't'::regclass;
SELECT i.attname FROM pg_stats i JOIN pg_stats h USING (schemaname, attname)
WHERE i.schemaname = 'test_analyze' AND i.tablename = 't' AND h.tablename = 'twin'
    AND (i.null_frac, i.n_distinct, i.most_common_freqs, i.histogram_bounds::text, i.most_common_elems::text)
        IS DISTINCT FROM (h.null_frac, h.n_distinct, h.most_common_freqs, h.histogram_bounds::text, h.most_common_elems::text);
SELECT attname, null_frac, n_distinct FROM pg_stats WHERE schemaname = 'test_analyze' AND tablename = 't' ORDER BY attname;
-- The rows are laid down in order of id, and ANALYZE sees that.
SELECT attname, correlation FROM pg_stats WHERE schemaname = 'test_analyze' AND tablename = 't' AND attname = 'id';

-- More rows than the sample: an estimate of the count is exact, or nearly.
CREATE TABLE large (id int, grp int) USING iceberg;
INSERT INTO large SELECT g, g % 7 FROM generate_series(1, 60000) g;
INSERT INTO large SELECT g, g % 7 FROM generate_series(60001, 60010) g;
SET default_statistics_target = 10;
ANALYZE large;
SELECT reltuples BETWEEN 57000 AND 63000 AS about_right FROM pg_class WHERE oid = 'large'::regclass;
SELECT n_distinct = 7 AS seven FROM pg_stats WHERE schemaname = 'test_analyze' AND tablename = 'large' AND attname = 'grp';
SELECT n_distinct BETWEEN -1 AND -0.9 AS unique FROM pg_stats WHERE schemaname = 'test_analyze' AND tablename = 'large' AND attname = 'id';
SELECT min(b::int) < 3000 AND max(b::int) > 57000 AS spread FROM pg_stats, unnest(histogram_bounds::text::text[]) b
WHERE schemaname = 'test_analyze' AND tablename = 'large' AND attname = 'id';
RESET default_statistics_target;

-- Of columns, of an empty table, in a transaction, with extended statistics.
ANALYZE t (id, grp);
CREATE TABLE empty (id int) USING iceberg;
ANALYZE empty;
SELECT reltuples, relpages FROM pg_class WHERE oid = 'empty'::regclass;
BEGIN;
INSERT INTO empty SELECT generate_series(1, 50);
ANALYZE empty;
SELECT reltuples FROM pg_class WHERE oid = 'empty'::regclass;
ROLLBACK;
TRUNCATE t;
ANALYZE t;
SELECT reltuples FROM pg_class WHERE oid = 't'::regclass;
CREATE STATISTICS both_columns (ndistinct, dependencies, mcv) ON id, grp FROM large;
ANALYZE large;
SELECT count(*) FROM pg_stats_ext WHERE statistics_schemaname = 'test_analyze' AND n_distinct IS NOT NULL;
CREATE TABLE parent (id int, grp int) PARTITION BY RANGE (id);
ALTER TABLE parent ATTACH PARTITION large FOR VALUES FROM (0) TO (100000);
ANALYZE parent;
SELECT reltuples BETWEEN 57000 AND 63000 AS about_right FROM pg_class WHERE oid = 'parent'::regclass;
ANALYZE nothing_of_that_name;
-- The planner uses it.
CREATE FUNCTION estimated_rows(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
    RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
SELECT estimated_rows('SELECT * FROM large') BETWEEN 57000 AND 63000 AS whole,
    estimated_rows('SELECT * FROM large WHERE grp = 3') BETWEEN 6000 AND 11000 AS seventh,
    estimated_rows('SELECT * FROM large WHERE id < 600') BETWEEN 300 AND 1200 AS hundredth;

SET client_min_messages = warning;
DROP SCHEMA test_analyze CASCADE;
