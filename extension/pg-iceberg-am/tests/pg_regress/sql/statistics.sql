-- Cumulative statistics count what is inserted once and what scans read, as for heap tables: rows counted twice, so
-- that autovacuum analysed too early, and Iceberg scan nodes not at all.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_statistics CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_statistics;
SET search_path = test_statistics;

CREATE TABLE ice (id int, name text) USING iceberg WITH (autovacuum_enabled = off);
CREATE TABLE twin (id int, name text) USING heap WITH (autovacuum_enabled = off);
CREATE VIEW counters AS
    SELECT relname, n_tup_ins AS ins, n_live_tup AS live, n_dead_tup AS dead, n_mod_since_analyze AS modified,
        n_ins_since_vacuum AS since_vacuum, seq_scan AS scans, seq_tup_read AS read
    FROM pg_stat_all_tables WHERE schemaname = 'test_statistics' ORDER BY relname;
-- Does the same with both.
CREATE PROCEDURE on_each(statement text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(statement, 'ice');
    EXECUTE format(statement, 'twin');
END $$;

-- Rows by one, and by many (tuple_insert and multi_insert).
CALL on_each('INSERT INTO %I VALUES (1, ''one''), (2, ''two'')');
CALL on_each('INSERT INTO %I SELECT g, g FROM generate_series(3, 2000) g');
COPY ice FROM stdin;
2001	x
2002	x
2003	x
\.
COPY twin FROM stdin;
2001	x
2002	x
2003	x
\.
SELECT pg_stat_force_next_flush();
SELECT * FROM counters;

-- What is rolled back, wholly or in part, was inserted but is not live. Heap has dead rows then, Iceberg has none.
BEGIN;
CALL on_each('INSERT INTO %I SELECT g, g FROM generate_series(1, 100) g');
SELECT relname, n_tup_ins FROM pg_stat_xact_all_tables WHERE schemaname = 'test_statistics' ORDER BY relname;
ROLLBACK;
BEGIN;
CALL on_each('INSERT INTO %I VALUES (2004, ''kept'')');
SAVEPOINT a;
CALL on_each('INSERT INTO %I SELECT g, g FROM generate_series(1, 10) g');
SAVEPOINT b;
CALL on_each('INSERT INTO %I SELECT g, g FROM generate_series(1, 20) g');
ROLLBACK TO b;
CALL on_each('INSERT INTO %I VALUES (0, ''gone'')');
RELEASE b;
ROLLBACK TO a;
CALL on_each('INSERT INTO %I VALUES (2005, ''kept'')');
RELEASE a;
COMMIT;
SELECT pg_stat_force_next_flush();
SELECT * FROM counters;

-- TRUNCATE, and one that is rolled back with rows inserted before and after.
BEGIN;
CALL on_each('INSERT INTO %I VALUES (1, ''before'')');
CALL on_each('TRUNCATE %I');
CALL on_each('INSERT INTO %I VALUES (2, ''after''), (3, ''after'')');
ROLLBACK;
SELECT pg_stat_force_next_flush();
SELECT * FROM counters;
VACUUM ANALYZE ice;
VACUUM ANALYZE twin;
SELECT pg_stat_force_next_flush();
SELECT * FROM counters;
CALL on_each('TRUNCATE %I');
SELECT pg_stat_force_next_flush();
CALL on_each('INSERT INTO %I SELECT g, g FROM generate_series(1, 50) g');
SELECT pg_stat_force_next_flush();
SELECT relname, ins, live, dead, modified, since_vacuum FROM counters;

-- Scans: whole ones, filtered ones, ended early, begun anew, never begun, and by the node of PostgreSQL's own.
SELECT pg_stat_reset_single_table_counters('ice'::regclass), pg_stat_reset_single_table_counters('twin'::regclass);
CALL on_each('SELECT count(*) FROM %I');
CALL on_each('SELECT FROM %I WHERE id %% 2 = 0');
CALL on_each('DO $d$ BEGIN PERFORM FROM %I LIMIT 5; END $d$');
CALL on_each('EXPLAIN SELECT FROM %I');
CALL on_each('SELECT FROM %I WHERE false');
SET enable_material = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
CALL on_each('SELECT FROM generate_series(1, 3) g LEFT JOIN LATERAL (SELECT FROM %I WHERE id > g LIMIT 1) x ON true');
SET pg_iceberg_am.enable_custom_scan = off;
CALL on_each('SELECT FROM generate_series(1, 4) g LEFT JOIN LATERAL (SELECT FROM %I WHERE id > g LIMIT 1) x ON true');
SELECT pg_stat_force_next_flush();
SELECT relname, scans, read FROM counters;

SET client_min_messages = warning;
DROP SCHEMA test_statistics CASCADE;
