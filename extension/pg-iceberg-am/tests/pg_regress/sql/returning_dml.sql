-- RETURNING gives of Iceberg rows what it gives of heap rows: old rows of DELETE, new rows of UPDATE, both kinds of
-- MERGE, what other tables add.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_returning_dml CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_returning_dml;
SET search_path = test_returning_dml;

\getenv abs_srcdir PG_ABS_SRCDIR
\set both :abs_srcdir '/include/on_heap_and_iceberg.sql'
\i :both

SELECT run('CREATE TABLE t_AM (id int, v text, n int GENERATED ALWAYS AS (id * 2) STORED) USING AM'), run('CREATE TABLE s_AM (id int, w text) USING AM'), run('INSERT INTO t_AM VALUES (1, ''v1''), (2, ''v2''), (3, ''v3''), (4, ''v4'')'), run('INSERT INTO s_AM VALUES (1, ''w1''), (2, ''w2''), (9, ''w9'')');
SELECT run('INSERT INTO t_AM VALUES (5, ''v5''), (6, NULL) RETURNING *'), run('UPDATE t_AM SET id = id + 10 WHERE id > 4 RETURNING *'), run('UPDATE t_AM SET v = upper(v) RETURNING id, v, length(v), n + id AS x'), run('DELETE FROM t_AM WHERE id > 10 RETURNING id, v, n');
SELECT run('UPDATE t_AM t SET v = s.w FROM s_AM s WHERE s.id = t.id RETURNING t.*, s.*'), run('UPDATE t_AM t SET v = t.v || ''+'' FROM s_AM s LEFT JOIN t_AM o ON o.id = s.id + 1 WHERE t.id = s.id RETURNING t.v, s.w, o.v AS other'), run('DELETE FROM t_AM t USING s_AM s WHERE t.id = s.id AND s.id = 2 RETURNING t, s, t.id = s.id AS same');
SELECT run('UPDATE t_AM SET v = ''sub'' WHERE id = 1 RETURNING (SELECT count(*) FROM t_AM), (SELECT v FROM t_AM i WHERE i.id = t_AM.id)'), run('UPDATE t_AM AS x SET v = ''alias'' RETURNING x.id, x.v, x.tableoid::regclass::text LIKE ''t_%'' AS named'), run('DELETE FROM t_AM WHERE false RETURNING *'), run('UPDATE t_AM SET v = ''x'' RETURNING 1 / (id - 3)'), run('UPDATE t_AM SET v = ''x'' RETURNING nothing'), rows_of('t');
SELECT run('MERGE INTO t_AM t USING s_AM s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = ''m'' WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, ''i'') WHEN NOT MATCHED BY SOURCE THEN DELETE RETURNING merge_action(), t.*, s.w'), rows_of('t');
SELECT run('UPDATE t_AM SET v = ''y'' RETURNING merge_action()');
-- As text of the client, in CTEs that feed each other, and into PL/pgSQL variables.
UPDATE t_iceberg SET v = 'top' WHERE id = 1 RETURNING *;
DELETE FROM t_iceberg WHERE id = 1 RETURNING *;
INSERT INTO t_iceberg VALUES (1, 'top') RETURNING *;
UPDATE t_heap SET v = 'top' WHERE id = 1;
SELECT run('WITH a AS (INSERT INTO s_AM VALUES (20, ''w20'') RETURNING id), b AS (UPDATE t_AM SET v = ''b'' RETURNING id), c AS (DELETE FROM s_AM WHERE id = 9 RETURNING id) INSERT INTO t_AM (id) SELECT id FROM a UNION ALL SELECT id * 100 FROM b UNION ALL SELECT id * 1000 FROM c'), rows_of('t'), rows_of('s');
DO $$
DECLARE r record; i int; v text;
BEGIN
    UPDATE t_iceberg SET v = 'into' WHERE id = 1 RETURNING id, t_iceberg.v INTO STRICT i, v;
    RAISE NOTICE '% %', i, v;
    DELETE FROM t_iceberg WHERE id = 1 RETURNING * INTO r;
    RAISE NOTICE '% %', r, FOUND;
    DELETE FROM t_iceberg WHERE id = 1 RETURNING * INTO r;
    RAISE NOTICE '% %', r, FOUND;
    i := 0;
    FOR r IN UPDATE t_iceberg SET v = 'loop' WHERE id < 1000 RETURNING * LOOP i := i + r.id; END LOOP;
    RAISE NOTICE 'ids of all: %', i;
    UPDATE t_iceberg SET v = 'many' RETURNING id INTO STRICT i;
EXCEPTION WHEN too_many_rows THEN RAISE NOTICE 'too many rows';
END $$;
SELECT * FROM t_iceberg ORDER BY id;
-- SQL functions.
CREATE FUNCTION taken(int) RETURNS SETOF s_iceberg LANGUAGE sql AS 'DELETE FROM s_iceberg WHERE id = $1 RETURNING *';
SELECT * FROM taken(1);
SELECT * FROM taken(1);

SET client_min_messages = warning;
DROP SCHEMA test_returning_dml CASCADE;
