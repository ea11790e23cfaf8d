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

SET client_min_messages = warning;
DROP SCHEMA test_explain CASCADE;
