-- EXPLAIN in every form.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_explain CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_explain;
SET search_path = test_explain;

CREATE TABLE t (id int, name text, n int) USING iceberg;
INSERT INTO t SELECT g, 'row ' || g, g % 10 FROM generate_series(1, 1000) g;
ANALYZE t;
-- Runs EXPLAIN and keeps what does not depend on times, memory or the kind of scan node.
CREATE FUNCTION plan_of(options text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (%s) %s', options, query) LOOP
        line := regexp_replace(line, '(Seq Scan|Custom Scan \(\w+\)) on', 'Scan on');
        CONTINUE WHEN line ~ '(Planning|Execution|Memory|Buffers|Time|Serialization|Storage|Buckets|Worker|Files|Iceberg|Projec|Columns|Snapshot)';
        RETURN NEXT line;
    END LOOP;
END $$;
SELECT * FROM plan_of('COSTS off', 'SELECT name FROM t WHERE n = 3');
SELECT * FROM plan_of('ANALYZE, COSTS off, TIMING off, SUMMARY off', 'SELECT count(*) FROM t');
SELECT * FROM plan_of('ANALYZE, COSTS off, TIMING off, SUMMARY off', 'INSERT INTO t SELECT g, NULL, 0 FROM generate_series(1, 5) g');
SELECT * FROM plan_of('COSTS off, VERBOSE', 'INSERT INTO t VALUES (1) RETURNING id');
SELECT * FROM plan_of('ANALYZE, COSTS off, TIMING off, SUMMARY off', 'SELECT a.n, sum(b.id) FROM t a JOIN t b USING (id) GROUP BY a.n') WHERE plan_of ~ 'rows=10 ';
SELECT count(*) FROM t;
-- Every option, every format: no error.
SET client_min_messages = warning;
DO $$
DECLARE o text; q text; r record;
BEGIN
    FOREACH o IN ARRAY ARRAY['ANALYZE', 'ANALYZE, BUFFERS, WAL, SETTINGS, VERBOSE', 'ANALYZE, FORMAT json, VERBOSE', 'FORMAT xml', 'ANALYZE, FORMAT yaml, MEMORY',
        'GENERIC_PLAN', 'VERBOSE', 'ANALYZE, SERIALIZE binary'] LOOP
        FOREACH q IN ARRAY ARRAY['SELECT * FROM t', 'SELECT count(*) FROM t WHERE id > 10 AND name LIKE ''r%''', 'SELECT * FROM t a, t b WHERE a.id = b.n LIMIT 3',
            'SELECT * FROM t TABLESAMPLE SYSTEM (50)', 'SELECT * FROM t WHERE ctid = ''(0,1)''', 'SELECT ctid, tableoid, t FROM t',
            'INSERT INTO t SELECT * FROM t WHERE false', 'CREATE TABLE explained USING iceberg AS SELECT * FROM t WHERE false'] LOOP
            CONTINUE WHEN o = 'GENERIC_PLAN' AND q LIKE 'CREATE%';
            EXECUTE format('EXPLAIN (%s) %s', o, q);
            DROP TABLE IF EXISTS explained;
        END LOOP;
    END LOOP;
END $$;
RESET client_min_messages;
SELECT count(*) FROM t;
EXPLAIN (COSTS off) DECLARE c CURSOR FOR SELECT count(*) FROM t WHERE false;

-- What reaches Iceberg, and what was read and left out for it: VERBOSE told neither, only that there was a filter.
CREATE TABLE read (id int, "The name" text COLLATE "C", price numeric(9, 2), placed date, at timestamptz) USING iceberg;
BEGIN;
SET LOCAL pg_iceberg_am.publish_interval = 0;
INSERT INTO read VALUES (1, 'it''s', 1.50, '2024-02-29', '2024-02-29 12:00:00.5+00'), (2, 'b', 2, NULL, NULL);
COMMIT;
BEGIN;
SET LOCAL pg_iceberg_am.publish_interval = 0;
INSERT INTO read SELECT g, 'c', g, '2025-01-01', '2025-01-01 00:00+00' FROM generate_series(11, 20) g;
COMMIT;
CREATE FUNCTION iceberg_lines(options text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (%s, COSTS off) %s', options, query) LOOP
        IF line ~ 'Iceberg ' THEN RETURN NEXT trim(line); END IF;
    END LOOP;
END $$;
SELECT condition, iceberg_lines('VERBOSE', 'SELECT id FROM read WHERE ' || condition) FROM (VALUES
    ('true'),
    ('id > 5'),
    ('5 < id AND abs(id) = 7'),
    ('abs(id) = 7'),
    ('"The name" = ''it''''s'' OR price <= 1.5'),
    ('NOT (placed < ''2024-03-01'' AND at IS NULL)'),
    ('id IN (1, 2) AND at >= ''2024-02-29 12:00:00.25+00''')) c (condition);
SELECT iceberg_lines('ANALYZE, TIMING off, SUMMARY off', 'SELECT id FROM read WHERE ' || condition) AS line, condition FROM (VALUES
    ('id > 5'), ('id > 50'), ('true')) c (condition);
-- All loops of a scan count together; what LIMIT does not come to is neither read nor left out.
SELECT iceberg_lines('ANALYZE, TIMING off, SUMMARY off', 'SELECT (SELECT count(*) FROM read WHERE id < 5 AND r.id > 0) FROM read r WHERE id < 5');
SELECT iceberg_lines('ANALYZE, TIMING off, SUMMARY off', 'SELECT id FROM read LIMIT 1');
-- A large file has more than one row group, of which statistics leave out some.
CREATE TABLE large USING iceberg AS SELECT g AS id FROM generate_series(1, 1100000) g;
SELECT iceberg_lines('ANALYZE, TIMING off, SUMMARY off', 'SELECT id FROM large WHERE id = 7');
-- Rows in memory are in no file.
BEGIN;
INSERT INTO read VALUES (30);
SELECT iceberg_lines('ANALYZE, VERBOSE, TIMING off, SUMMARY off', 'SELECT id FROM read WHERE id = 30');
ROLLBACK;
PREPARE one (int) AS SELECT id FROM read WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
SELECT iceberg_lines('VERBOSE', 'EXECUTE one(12)');
RESET plan_cache_mode;
CREATE FUNCTION explained(query text) RETURNS json LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, VERBOSE, FORMAT json) ' || query INTO plan;
    RETURN plan;
END $$;
SELECT key, value FROM json_each(explained('SELECT id FROM read WHERE id > 5') -> 0 -> 'Plan') WHERE key LIKE 'Iceberg %';

SET client_min_messages = warning;
DROP SCHEMA test_explain CASCADE;
