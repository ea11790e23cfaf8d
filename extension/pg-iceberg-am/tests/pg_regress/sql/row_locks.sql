-- SELECT FOR UPDATE and its kin give the rows of a plain SELECT and lock them; in the same transaction they are in
-- the way of nobody.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_row_locks CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_row_locks;
SET search_path = test_row_locks;

\getenv abs_srcdir PG_ABS_SRCDIR
\set both :abs_srcdir '/include/on_heap_and_iceberg.sql'
\i :both

SELECT run('CREATE TABLE t_AM (id int, v text) USING AM'), run('INSERT INTO t_AM SELECT g, ''v'' || g FROM generate_series(1, 5) g'), run('CREATE TABLE s_AM (id int, w text) USING AM'), run('INSERT INTO s_AM VALUES (1, ''w1''), (2, ''w2''), (2, ''again'')');
SELECT run('SELECT * FROM t_AM FOR UPDATE'), run('SELECT * FROM t_AM FOR NO KEY UPDATE'), run('SELECT * FROM t_AM FOR SHARE'), run('SELECT * FROM t_AM FOR KEY SHARE');
SELECT run('SELECT * FROM t_AM WHERE id > 3 FOR UPDATE NOWAIT'), run('SELECT * FROM t_AM WHERE id < 3 FOR SHARE SKIP LOCKED'), run('SELECT * FROM t_AM ORDER BY id DESC LIMIT 2 FOR UPDATE'), run('SELECT * FROM t_AM ORDER BY id OFFSET 3 FOR UPDATE'), run('SELECT FROM t_AM FOR UPDATE');
SELECT run('SELECT t.*, s.w FROM t_AM t JOIN s_AM s USING (id) FOR UPDATE'), run('SELECT t.*, s.w FROM t_AM t JOIN s_AM s USING (id) FOR UPDATE OF s'), run('SELECT t.*, s.w FROM t_AM t LEFT JOIN s_AM s USING (id) FOR UPDATE OF t FOR SHARE OF t'), run('SELECT t.*, s.w FROM t_AM t LEFT JOIN s_AM s USING (id) FOR UPDATE'), run('SELECT * FROM t_AM a, t_AM b WHERE a.id = b.id + 3 FOR UPDATE OF a');
SELECT run('SELECT * FROM (SELECT * FROM t_AM WHERE id = 1) x FOR UPDATE'), run('SELECT * FROM t_AM WHERE id IN (SELECT id FROM s_AM FOR SHARE)'), run('SELECT * FROM t_AM WHERE id = (SELECT max(id) FROM s_AM) FOR UPDATE'), run('WITH l AS (SELECT * FROM t_AM FOR UPDATE) SELECT count(*) FROM l'), run('UPDATE t_AM SET v = v || ''!'' WHERE id IN (SELECT id FROM s_AM FOR UPDATE)');
SELECT run('SELECT count(*) FROM t_AM FOR UPDATE'), run('SELECT DISTINCT v FROM t_AM FOR UPDATE'), run('SELECT v FROM t_AM GROUP BY v FOR SHARE'), run('SELECT id FROM t_AM UNION SELECT id FROM s_AM FOR UPDATE'), run('SELECT * FROM t_AM FOR UPDATE OF x'), run('SELECT v, row_number() OVER () FROM t_AM FOR UPDATE');
-- Locked, changed, locked again, in one transaction and in savepoints.
BEGIN;
SELECT id FROM t_heap ORDER BY id FOR KEY SHARE;
SELECT id FROM t_iceberg ORDER BY id FOR KEY SHARE;
SELECT run('SELECT id FROM t_AM FOR UPDATE'), run('UPDATE t_AM SET v = ''changed'' WHERE id < 3'), run('SELECT * FROM t_AM FOR UPDATE'), run('DELETE FROM t_AM WHERE id = 1'), run('SELECT * FROM t_AM FOR SHARE NOWAIT');
SAVEPOINT a;
SELECT run('SELECT * FROM t_AM WHERE id = 2 FOR UPDATE'), run('UPDATE t_AM SET v = ''undone'' WHERE id = 2'), run('SELECT * FROM t_AM WHERE id = 2 FOR KEY SHARE');
ROLLBACK TO a;
SELECT run('SELECT * FROM t_AM FOR UPDATE'), run('INSERT INTO t_AM VALUES (6, ''own'')'), run('SELECT * FROM t_AM WHERE id = 6 FOR UPDATE'), run('UPDATE t_AM SET v = ''own changed'' WHERE id = 6'), run('SELECT * FROM t_AM WHERE id = 6 FOR SHARE SKIP LOCKED');
COMMIT;
SELECT rows_of('t');
-- Cursors, and changes through them.
BEGIN;
DECLARE h CURSOR FOR SELECT * FROM t_heap WHERE id > 2 FOR UPDATE;
DECLARE i CURSOR FOR SELECT * FROM t_iceberg WHERE id > 2 FOR UPDATE;
FETCH 1 FROM h;
FETCH 1 FROM i;
UPDATE t_heap SET v = 'current' WHERE CURRENT OF h RETURNING *;
UPDATE t_iceberg SET v = 'current' WHERE CURRENT OF i RETURNING *;
FETCH 1 FROM h;
FETCH 1 FROM i;
DELETE FROM t_heap WHERE CURRENT OF h RETURNING *;
DELETE FROM t_iceberg WHERE CURRENT OF i RETURNING *;
UPDATE t_heap SET v = 'gone' WHERE CURRENT OF h;
UPDATE t_iceberg SET v = 'gone' WHERE CURRENT OF i;
FETCH ALL FROM h;
FETCH ALL FROM i;
COMMIT;
SELECT rows_of('t');
BEGIN;
DECLARE plain CURSOR FOR SELECT * FROM t_iceberg WHERE id > 4;
FETCH 1 FROM plain;
UPDATE t_iceberg SET v = 'one' WHERE CURRENT OF plain RETURNING *;
UPDATE t_iceberg SET v = 'two' WHERE CURRENT OF plain RETURNING *;
MOVE 1 FROM plain;
DELETE FROM t_iceberg WHERE CURRENT OF plain RETURNING *;
DELETE FROM t_heap WHERE CURRENT OF plain;
ROLLBACK;
-- Functions; a read-only transaction; rights.
CREATE FUNCTION change_all() RETURNS int LANGUAGE plpgsql AS $$
DECLARE r record; c CURSOR FOR SELECT * FROM t_iceberg FOR UPDATE; n int := 0;
BEGIN
    FOR r IN c LOOP
        UPDATE t_iceberg SET v = 'by the function ' || r.id WHERE CURRENT OF c;
        n := n + 1;
    END LOOP;
    RETURN n;
END $$;
SELECT change_all();
SELECT * FROM t_iceberg ORDER BY id;
BEGIN READ ONLY;
SELECT run('SELECT * FROM t_AM FOR UPDATE'), run('SELECT * FROM t_AM FOR KEY SHARE'), run('UPDATE t_AM SET v = ''x'''), run('DELETE FROM t_AM'), run('MERGE INTO t_AM USING s_AM s ON true WHEN MATCHED THEN DELETE');
COMMIT;

SET client_min_messages = warning;
DROP SCHEMA test_row_locks CASCADE;
