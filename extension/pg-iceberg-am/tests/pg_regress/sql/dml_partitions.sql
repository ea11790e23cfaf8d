-- UPDATE, DELETE, MERGE and row locks of partitioned tables whose leaves are Iceberg and heap tables, with rows that
-- move from one to the other.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_dml_partitions CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_dml_partitions;
SET search_path = test_dml_partitions;


CREATE TABLE p (a int, b text, n int) PARTITION BY RANGE (a);
CREATE TABLE p_ice PARTITION OF p FOR VALUES FROM (0) TO (10) USING iceberg;
CREATE TABLE p_heap PARTITION OF p FOR VALUES FROM (10) TO (20) USING heap;
CREATE TABLE p_cols (n int, gone int, b text, a int) USING iceberg;
ALTER TABLE p_cols DROP COLUMN gone;
ALTER TABLE p ATTACH PARTITION p_cols FOR VALUES FROM (20) TO (30);
CREATE TABLE p_sub PARTITION OF p FOR VALUES FROM (30) TO (50) PARTITION BY LIST (b);
CREATE TABLE p_sub_x PARTITION OF p_sub FOR VALUES IN ('x') USING iceberg;
CREATE TABLE p_sub_d PARTITION OF p_sub DEFAULT USING iceberg;
CREATE TABLE twin (a int, b text, n int) USING heap;
INSERT INTO p SELECT g, CASE WHEN g % 2 = 0 THEN 'x' ELSE 'y' END, g FROM generate_series(0, 49, 3) g;
INSERT INTO twin TABLE p;
-- Runs it on the partitioned table and on its twin, an ordinary heap table, which T stands for.
CREATE FUNCTION run(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE outcome text[] := '{}'; name text; n bigint;
BEGIN
    FOREACH name IN ARRAY '{p,twin}'::text[] LOOP
        BEGIN
            EXECUTE regexp_replace(statement, '\mT\M', name, 'g');
            GET DIAGNOSTICS n = ROW_COUNT;
            outcome := outcome || (n || ' rows');
        EXCEPTION WHEN OTHERS THEN
            outcome := outcome || (SQLSTATE || ' ' || SQLERRM);
        END;
    END LOOP;
    RETURN CASE WHEN outcome[1] = outcome[2] THEN outcome[1] ELSE format('partitioned: %s; ordinary: %s', outcome[1], outcome[2]) END;
END $$;
CREATE FUNCTION differences() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM ((SELECT * FROM p EXCEPT ALL SELECT * FROM twin) UNION ALL (SELECT * FROM twin EXCEPT ALL SELECT * FROM p)) d
$$;
CREATE FUNCTION leaves() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(l || ' ' || c, ', ' ORDER BY l) FROM (SELECT tableoid::regclass::text AS l, count(*) AS c FROM p GROUP BY 1) x $$;
SELECT leaves(), differences();

SELECT run('UPDATE T SET n = n + 1'), run('UPDATE T SET n = n + 1 WHERE a = 3'), run('UPDATE T SET n = -n WHERE a > 15 AND a < 33'), run('DELETE FROM T WHERE a = 6'), run('DELETE FROM T WHERE a = (SELECT 42)'), leaves(), differences();
-- Within a leaf, from Iceberg to heap, from heap to Iceberg, between Iceberg leaves, all at once, and back.
SELECT run('UPDATE T SET a = a + 1 WHERE a = 0'), run('UPDATE T SET a = a + 10 WHERE a < 10'), leaves(), differences();
SELECT run('UPDATE T SET a = a + 10 WHERE a BETWEEN 10 AND 19'), leaves(), differences();
SELECT run('UPDATE T SET b = CASE b WHEN ''x'' THEN ''z'' ELSE ''x'' END WHERE a >= 30'), leaves(), differences();
SELECT run('UPDATE T SET a = (a * 7 + 3) % 50, n = n + 1'), leaves(), differences();
SELECT run('UPDATE T SET b = ''x'', a = 49 - a'), leaves(), differences();
SELECT tableoid::regclass, * FROM p ORDER BY a, n;
WITH u AS (UPDATE p SET a = (a + 10) % 50 WHERE a IN (7, 15, 28, 44) RETURNING tableoid::regclass, *) SELECT * FROM u ORDER BY a, n;
TRUNCATE twin;
INSERT INTO twin TABLE p;
-- No leaf; a leaf named by itself.
UPDATE p SET a = 1000 WHERE a = (SELECT max(a) FROM p);
UPDATE p_cols SET a = 15 WHERE n = (SELECT max(n) FROM p_cols);
UPDATE p_sub_x SET b = 'y' WHERE n = (SELECT max(n) FROM p_sub_x);
SELECT differences();
-- FROM, USING, CTEs, MERGE.
SELECT run('UPDATE T SET n = s.n, a = s.a + 5 FROM (SELECT a, max(n) AS n FROM T GROUP BY a) s WHERE T.a = s.a AND s.a < 20'), run('DELETE FROM T USING T o WHERE T.a = o.a + 5'), leaves(), differences();
SELECT run('WITH d AS (DELETE FROM T WHERE a % 2 = 1 RETURNING *) INSERT INTO T SELECT 49 - a, b, n FROM d'), run('WITH u AS (UPDATE T SET a = 5 WHERE a = (SELECT min(a) FROM T) RETURNING n) INSERT INTO T SELECT 45, ''cte'', n FROM u'), leaves(), differences();
SELECT run('MERGE INTO T USING (SELECT g AS a, ''m'' || g AS b FROM generate_series(0, 40, 5) g) s ON T.a = s.a WHEN MATCHED AND s.a % 10 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET a = T.a + 3, b = s.b WHEN NOT MATCHED THEN INSERT VALUES (s.a, s.b, 0) WHEN NOT MATCHED BY SOURCE AND T.a % 2 = 0 THEN UPDATE SET n = 77'), leaves(), differences();
DELETE FROM p WHERE a IN (2, 8);
INSERT INTO p VALUES (8, 'moves', 8);
WITH m AS (MERGE INTO p USING (VALUES (8), (2)) s (a) ON p.a = s.a WHEN MATCHED THEN UPDATE SET a = 14 WHEN NOT MATCHED THEN INSERT VALUES (s.a, 'ret', 1) RETURNING merge_action(), p.*) SELECT * FROM m ORDER BY a;
TRUNCATE twin;
INSERT INTO twin TABLE p;
-- Row locks, run-time pruning, prepared statements.
SELECT count(*) = (SELECT count(*) FROM twin) AS same FROM (SELECT * FROM p FOR UPDATE) x;
SELECT count(*) = (SELECT count(*) FROM twin WHERE a > 20) AS same FROM (SELECT * FROM p WHERE a > (SELECT 20) FOR SHARE SKIP LOCKED) x;
PREPARE change(int, int) AS UPDATE p SET a = $2 WHERE a = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE change(14, 4);
EXECUTE change(4, 24);
EXECUTE change(24, 14);
EXECUTE change(14, 13);
RESET plan_cache_mode;
SELECT count(*) > 0 AS moved, bool_and(tableoid = 'p_heap'::regclass) AS to_heap FROM p WHERE b = 'moves';
-- Triggers of leaves at a move: DELETE there, INSERT here; of the partitioned table: transition tables of an UPDATE.
CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% % % % -> %', TG_TABLE_NAME, TG_WHEN, TG_OP, CASE WHEN TG_OP <> 'INSERT' THEN OLD::text END, CASE WHEN TG_OP <> 'DELETE' THEN NEW::text END;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE FUNCTION say_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE NOTICE 'old % new %', (SELECT array_agg(x ORDER BY x) FROM old_rows x), (SELECT array_agg(x ORDER BY x) FROM new_rows x); RETURN NULL; END $$;
TRUNCATE p, twin;
INSERT INTO p VALUES (1, 'x', 1), (11, 'x', 11), (21, 'x', 21);
CREATE TRIGGER b BEFORE INSERT OR UPDATE OR DELETE ON p FOR EACH ROW EXECUTE FUNCTION say();
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON p FOR EACH ROW EXECUTE FUNCTION say();
CREATE TRIGGER s AFTER UPDATE ON p REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION say_rows();
UPDATE p SET n = n + 1 WHERE a = 1;
UPDATE p SET a = 12 WHERE a = 1;
UPDATE p SET a = 22 WHERE a = 11;
UPDATE p SET a = 2 WHERE a = 21;
DELETE FROM p WHERE a = 2;
SELECT tableoid::regclass, * FROM p ORDER BY a;

SET client_min_messages = warning;
DROP SCHEMA test_dml_partitions CASCADE;
