-- DELETE does with Iceberg tables what it does with heap tables.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_delete CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_delete;
SET search_path = test_delete;

\getenv abs_srcdir PG_ABS_SRCDIR
\set both :abs_srcdir '/include/on_heap_and_iceberg.sql'
\i :both

SELECT run('CREATE TABLE t_AM (id int, grp text, n int) USING AM'), run('INSERT INTO t_AM SELECT g, ''g'' || g % 3, g FROM generate_series(1, 20) g'), run('INSERT INTO t_AM VALUES (NULL, NULL, NULL), (21, NULL, 0)'),
    run('CREATE TABLE s_AM (id int) USING AM'), run('INSERT INTO s_AM VALUES (3), (3), (4), (99), (NULL)');
SELECT run('DELETE FROM t_AM WHERE id = 1'), run('DELETE FROM t_AM WHERE id = 1'), run('DELETE FROM t_AM WHERE false'), run('DELETE FROM t_AM WHERE grp IS NULL AND id IS NULL'), rows_of('t');
SELECT run('DELETE FROM t_AM WHERE id = 2 RETURNING *'), run('DELETE FROM t_AM t USING s_AM s WHERE s.id = t.id RETURNING t.*'), run('DELETE FROM t_AM a USING t_AM b WHERE a.id = b.id + 1 AND b.id = 5 RETURNING a.id, b.id'), rows_of('t');
SELECT run('DELETE FROM t_AM WHERE id IN (SELECT id + 4 FROM s_AM)'), run('DELETE FROM t_AM WHERE id NOT IN (SELECT id FROM s_AM)'), run('DELETE FROM t_AM WHERE n = (SELECT max(n) FROM t_AM)'), run('DELETE FROM t_AM o WHERE EXISTS (SELECT FROM t_AM i WHERE i.n > o.n AND i.grp = o.grp AND o.n > 12)'), rows_of('t');
-- CTEs: rows that move from one table to the other, rows of before, a row that two would delete.
SELECT run('WITH d AS (DELETE FROM t_AM WHERE n > 15 RETURNING id) INSERT INTO s_AM SELECT id FROM d'), run('WITH d AS (DELETE FROM s_AM) SELECT * FROM s_AM'), rows_of('t'), rows_of('s');
SELECT run('WITH d AS (DELETE FROM t_AM WHERE id = 9 RETURNING id) DELETE FROM t_AM USING d WHERE t_AM.id = d.id OR t_AM.id = d.id + 1'), run('WITH u AS (UPDATE t_AM SET n = -1 WHERE id = 11 RETURNING id) DELETE FROM t_AM USING u WHERE t_AM.id = u.id'), rows_of('t');
-- Then rows put in again, deleted again, all of them.
SELECT run('INSERT INTO t_AM VALUES (1, ''again'', 1)'), run('DELETE FROM t_AM'), run('DELETE FROM t_AM'), rows_of('t'), run('SELECT count(*) FROM t_AM'), run('INSERT INTO t_AM VALUES (1, ''again'', 1)'), rows_of('t');
-- Errors leave everything.
SELECT run('INSERT INTO t_AM SELECT g, ''x'', g FROM generate_series(2, 6) g'), run('DELETE FROM t_AM WHERE 1 / (id - 4) IS NOT NULL'), run('DELETE FROM t_AM WHERE nothing = 1'), run('DELETE FROM t_AM RETURNING 1 / (id - 3)'), rows_of('t');
-- Many rows: parts of files, whole files.
SELECT run('CREATE TABLE many_AM (a int, c text) USING AM'), run('INSERT INTO many_AM SELECT g, ''c'' || g FROM generate_series(1, 20000) g'), run('INSERT INTO many_AM SELECT g, ''c'' || g FROM generate_series(20001, 40000) g');
SELECT run('DELETE FROM many_AM WHERE a % 2 = 0'), run('SELECT count(*), sum(a), min(c), max(c) FROM many_AM'), run('DELETE FROM many_AM WHERE a <= 20000'), run('SELECT count(*), sum(a), min(c), max(c) FROM many_AM'), run('DELETE FROM many_AM WHERE a % 7 = 0 AND a > 30000'), run('SELECT count(*), sum(a), min(c), max(c) FROM many_AM');
SELECT run('INSERT INTO many_AM SELECT a, c FROM many_AM'), run('UPDATE many_AM SET a = -a WHERE a > 39000'), run('DELETE FROM many_AM WHERE a BETWEEN -39100 AND 25000'), run('SELECT count(*), sum(a), min(c), max(c), count(DISTINCT a) FROM many_AM');
VACUUM many_heap;
VACUUM many_iceberg;
SELECT run('SELECT count(*), sum(a), min(c), max(c) FROM many_AM'), run('DELETE FROM many_AM WHERE a < 30000'), run('SELECT count(*), sum(a), min(c), max(c) FROM many_AM');
VACUUM FULL many_heap;
VACUUM FULL many_iceberg;
SELECT run('SELECT count(*), sum(a), min(c), max(c) FROM many_AM'), run('DELETE FROM many_AM'), run('SELECT count(*) FROM many_AM');
-- Aggregates and LIMIT over what is left, EXCEPT of one kind and the other.
SELECT run('INSERT INTO many_AM SELECT g, ''z'' FROM generate_series(1, 100) g'), run('DELETE FROM many_AM WHERE a % 3 = 1'), run('SELECT a FROM many_AM ORDER BY a LIMIT 5'), run('SELECT count(*) FILTER (WHERE a > 50), max(a) FROM many_AM');
SELECT count(*) FROM ((TABLE many_heap EXCEPT ALL TABLE many_iceberg) UNION ALL (TABLE many_iceberg EXCEPT ALL TABLE many_heap)) d;
-- Inheritance, and a table without columns.
SELECT run('CREATE TABLE parent_AM (a int) USING AM'), run('CREATE TABLE child_AM () INHERITS (parent_AM) USING AM'), run('INSERT INTO parent_AM VALUES (1), (2)'), run('INSERT INTO child_AM VALUES (1), (2)'), run('DELETE FROM ONLY parent_AM WHERE a = 1'), rows_of('parent'), run('DELETE FROM parent_AM WHERE a = 2'), rows_of('parent');
SELECT run('CREATE TABLE nothing_AM () USING AM'), run('INSERT INTO nothing_AM DEFAULT VALUES'), run('INSERT INTO nothing_AM DEFAULT VALUES'), run('DELETE FROM nothing_AM'), run('SELECT count(*) FROM nothing_AM');

SET client_min_messages = warning;
DROP SCHEMA test_delete CASCADE;
