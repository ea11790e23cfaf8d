-- UPDATE does with Iceberg tables what it does with heap tables.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_update CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_update;
SET search_path = test_update;

\getenv abs_srcdir PG_ABS_SRCDIR
\set both :abs_srcdir '/include/on_heap_and_iceberg.sql'
\i :both

SELECT run('CREATE TABLE t_AM (id int, grp text DEFAULT ''d'', n numeric, twice numeric GENERATED ALWAYS AS (n * 2) STORED) USING AM'),
    run('INSERT INTO t_AM (id, grp, n) SELECT g, ''g'' || g % 3, g FROM generate_series(1, 9) g'),
    run('CREATE TABLE s_AM (id int, add numeric) USING AM'), run('INSERT INTO s_AM VALUES (1, 100), (2, 200), (2, 200), (3, NULL), (99, 1)');
SELECT rows_of('t');
SELECT run('UPDATE t_AM SET n = n + 1'), rows_of('t');
-- All rows twice, one row several times, no row.
SELECT run('UPDATE t_AM SET n = n + 1'), run('UPDATE t_AM SET n = n + 1'), rows_of('t');
SELECT run('UPDATE t_AM SET n = 0 WHERE id = 5'), run('UPDATE t_AM SET n = n - 1 WHERE id = 5'), run('UPDATE t_AM SET n = 7 WHERE id = 1000'), run('UPDATE t_AM SET n = 7 WHERE false');
SELECT run('SELECT * FROM t_AM WHERE id = 5');
-- Defaults, NULLs, several columns, generated columns.
SELECT run('UPDATE t_AM SET grp = DEFAULT, n = NULL WHERE id = 6 RETURNING *'), run('UPDATE t_AM SET (grp, n) = (''x'', 60) WHERE id = 6 RETURNING *'), run('UPDATE t_AM SET (grp, n) = (SELECT ''y'', max(add) FROM s_AM) WHERE id = 6 RETURNING *');
SELECT run('UPDATE t_AM SET twice = 1 WHERE id = 6'), run('UPDATE t_AM SET twice = DEFAULT WHERE id = 6'), run('UPDATE t_AM SET id = id, id = 7'), run('UPDATE t_AM SET nothing = 1');
SELECT run('UPDATE t_AM SET n = NULL WHERE n IS NULL'), run('UPDATE t_AM SET n = -1 WHERE n IS NOT NULL AND id IS DISTINCT FROM 6'), rows_of('t');
-- FROM, the table itself, subqueries.
SELECT run('UPDATE t_AM t SET n = s.add FROM s_AM s WHERE s.id = t.id RETURNING t.id, t.n, s.add'), rows_of('t');
SELECT run('UPDATE t_AM t SET grp = o.grp FROM t_AM o WHERE o.id = t.id + 1'), rows_of('t');
SELECT run('UPDATE t_AM t SET grp = ''many'' FROM t_AM a, t_AM b WHERE a.id > b.id AND t.id = a.id - b.id'), rows_of('t');
SELECT run('UPDATE t_AM SET n = (SELECT count(*) FROM t_AM o WHERE o.id < t_AM.id)'), rows_of('t');
SELECT run('UPDATE t_AM SET n = n + 1000 WHERE id IN (SELECT id FROM s_AM)'), run('UPDATE t_AM SET n = -n WHERE NOT EXISTS (SELECT FROM s_AM s WHERE s.id = t_AM.id)'), run('UPDATE t_AM SET n = 0 WHERE n = (SELECT max(n) FROM t_AM)'), rows_of('t');
SELECT run('UPDATE t_AM t SET n = x.r FROM (SELECT id, row_number() OVER (ORDER BY id DESC) AS r FROM t_AM) x WHERE x.id = t.id'), rows_of('t');
SELECT run('UPDATE t_AM t SET n = h.add FROM s_heap h LEFT JOIN s_iceberg i USING (id) WHERE t.id = h.id'), run('UPDATE t_AM t SET n = l.m FROM LATERAL (SELECT max(add) AS m FROM s_AM) l'), run('UPDATE t_AM SET n = l.m FROM s_AM s, LATERAL (SELECT s.add + 1 AS m) l WHERE s.id = t_AM.id'), rows_of('t');
-- CTEs that change rows: each sees the rows of before; a row that both change is changed once.
SELECT run('WITH u AS (UPDATE t_AM SET n = 1 RETURNING id) UPDATE s_AM SET add = (SELECT count(*) FROM u)'), rows_of('s');
SELECT run('WITH u AS (UPDATE t_AM SET n = 500 WHERE id < 3 RETURNING id, n) INSERT INTO s_AM SELECT id, n FROM u'), run('WITH d AS (DELETE FROM s_AM WHERE id > 50 RETURNING *) UPDATE t_AM SET n = d.add FROM d WHERE t_AM.id = 4'), run('WITH u AS (UPDATE t_AM SET n = n + 1 WHERE id = 1) SELECT n FROM t_AM WHERE id = 1'), rows_of('t'), rows_of('s');
-- NOT NULL, CHECK, types, what is raised in the middle leaves nothing.
SELECT run('ALTER TABLE t_AM ALTER id SET NOT NULL, ADD CONSTRAINT small CHECK (n < 10000)');
SELECT run('UPDATE t_AM SET id = NULL WHERE id = 9'), run('UPDATE t_AM SET n = 20000 WHERE id = 9'), run('UPDATE t_AM SET n = 1 / (id - 7)'), run('UPDATE t_AM SET n = ''x''::text'), rows_of('t');
-- Arrays, composites, wide rows.
CREATE TYPE pair AS (x int, y text);
SELECT run('CREATE TABLE w_AM (id int, a int[], p pair, big text, b bytea) USING AM'), run('INSERT INTO w_AM SELECT g, ARRAY[g, NULL, g * 2], ROW(g, ''y'' || g)::pair, repeat(''0123456789'', 20000 * (g % 2)), decode(repeat(''ab'', g), ''hex'') FROM generate_series(1, 4) g');
SELECT run('UPDATE w_AM SET a[2] = id, p.y = (p).y || ''!'''), run('UPDATE w_AM SET a = a || 7, big = big || ''x'' WHERE id = 1'), run('UPDATE w_AM SET a = NULL, p = NULL WHERE id = 2'), run('SELECT id, a, p, length(big), md5(big), b FROM w_AM');
SELECT run('UPDATE w_AM SET p.x = (p).x + 1, a = array_append(a, 5)'), run('UPDATE w_AM SET big = repeat(chr(65 + id), 300000)'), run('UPDATE w_AM SET b = decode(repeat(''00ff'', 100000), ''hex'') WHERE id = 3'), run('SELECT id, a, p, length(big), md5(big), md5(b) FROM w_AM');
-- Many rows, dropped and added columns.
SELECT run('CREATE TABLE many_AM (a int, gone int, c text, e int DEFAULT 5) USING AM'), run('INSERT INTO many_AM SELECT g, g, ''c'' || g FROM generate_series(1, 20000) g'), run('ALTER TABLE many_AM DROP COLUMN gone');
SELECT run('UPDATE many_AM SET e = a WHERE a % 2 = 0'), run('UPDATE many_AM SET a = a + 1'), run('UPDATE many_AM SET c = NULL WHERE a % 5 = 0'), run('SELECT count(*), sum(a), sum(e), count(c), min(c), max(c) FROM many_AM');
-- Prepared statements with generic plans.
PREPARE up_heap(int, int) AS UPDATE many_heap SET e = $2 WHERE a = $1;
PREPARE up_iceberg(int, int) AS UPDATE many_iceberg SET e = $2 WHERE a = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE up_heap(100, -1);
EXECUTE up_iceberg(100, -1);
EXECUTE up_heap(NULL, -1);
EXECUTE up_iceberg(NULL, -1);
RESET plan_cache_mode;
SELECT run('SELECT * FROM many_AM WHERE e < 0');
-- Inheritance.
SELECT run('CREATE TABLE parent_AM (a int, b text) USING AM'), run('CREATE TABLE child_AM (c int) INHERITS (parent_AM) USING AM'), run('CREATE TABLE other_AM (d int) INHERITS (parent_AM) USING heap'), run('INSERT INTO parent_AM VALUES (1, ''p'')'), run('INSERT INTO child_AM VALUES (2, ''c'', 20)'), run('INSERT INTO other_AM VALUES (3, ''o'', 30)');
SELECT run('UPDATE parent_AM SET a = a + 10 RETURNING *'), run('UPDATE ONLY parent_AM SET b = ''only'''), run('SELECT tableoid::regclass::text = ''parent_AM'', a, b FROM parent_AM'), rows_of('child'), rows_of('other');
-- Temporary and unlogged tables.
SELECT run('CREATE TEMPORARY TABLE temp_AM (a int) USING AM'), run('INSERT INTO temp_AM VALUES (1), (2)'), run('UPDATE temp_AM SET a = a + 1'), run('DELETE FROM temp_AM WHERE a = 2'), rows_of('temp');
SELECT run('CREATE UNLOGGED TABLE unlogged_AM (a int) USING AM'), run('INSERT INTO unlogged_AM VALUES (1), (2)'), run('UPDATE unlogged_AM SET a = a + 1'), run('DELETE FROM unlogged_AM WHERE a = 2'), rows_of('unlogged');
-- What is no table of rows that can be changed.
SELECT run('CREATE MATERIALIZED VIEW matview_AM USING AM AS SELECT 1 AS a'), run('UPDATE matview_AM SET a = 2'), run('DELETE FROM matview_AM'), run('MERGE INTO matview_AM USING (VALUES (1)) v (a) ON true WHEN MATCHED THEN DELETE'), run('SELECT * FROM matview_AM FOR UPDATE'), rows_of('matview');

SET client_min_messages = warning;
DROP SCHEMA test_update CASCADE;
