-- MERGE does with Iceberg tables what it does with heap tables.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_merge CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_merge;
SET search_path = test_merge;

\getenv abs_srcdir PG_ABS_SRCDIR
\set both :abs_srcdir '/include/on_heap_and_iceberg.sql'
\i :both
CREATE TABLE log (seq int GENERATED ALWAYS AS IDENTITY, tab text, line text) USING heap;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (tab, line) VALUES (TG_TABLE_NAME, concat_ws(' ', TG_NAME, TG_OP, CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'INSERT' THEN OLD::text END, CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN NEW::text END));
    RETURN coalesce(NEW, OLD);
END $$;
-- What has been noted since, the same for both kinds.
CREATE FUNCTION noted() RETURNS text LANGUAGE plpgsql AS $$
DECLARE heap text; iceberg text;
BEGIN
    SELECT string_agg(line, '; ' ORDER BY seq) INTO heap FROM log WHERE tab LIKE '%heap';
    SELECT string_agg(line, '; ' ORDER BY seq) INTO iceberg FROM log WHERE tab LIKE '%iceberg';
    DELETE FROM log;
    RETURN CASE WHEN heap IS NOT DISTINCT FROM iceberg THEN heap ELSE format('heap: %s; iceberg: %s', heap, iceberg) END;
END $$;

SELECT run('CREATE TABLE t_AM (id int, v text, n int DEFAULT 5) USING AM'), run('CREATE TABLE s_AM (id int, v text, del bool) USING AM'),
    run('INSERT INTO t_AM VALUES (1, ''t1'', 1), (2, ''t2'', 2), (3, ''t3'', 3), (4, ''t4'', 4)'), run('INSERT INTO s_AM VALUES (2, ''s2'', false), (3, ''s3'', true), (5, ''s5'', false), (6, ''s6'', true)');
SELECT run('MERGE INTO t_AM t USING s_AM s ON t.id = s.id WHEN MATCHED AND s.del THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v, n = t.n + 10 WHEN NOT MATCHED AND NOT s.del THEN INSERT (id, v) VALUES (s.id, s.v)'), rows_of('t');
SELECT run('MERGE INTO t_AM t USING s_AM s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = DEFAULT WHEN NOT MATCHED THEN INSERT DEFAULT VALUES RETURNING merge_action(), t.*, s.id'), rows_of('t');
SELECT run('MERGE INTO t_AM t USING s_AM s ON t.id = s.id WHEN NOT MATCHED BY SOURCE AND t.id IS NULL THEN DELETE WHEN NOT MATCHED BY SOURCE THEN UPDATE SET n = 0 WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED BY TARGET THEN INSERT VALUES (s.id, s.v, -1) RETURNING merge_action(), t.*'), rows_of('t');
-- Other sources: VALUES, subqueries, the table itself, a table of the other kind, nothing.
SELECT run('MERGE INTO t_AM t USING (VALUES (1), (1000)) s (id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = -n - 1 WHEN NOT MATCHED THEN DO NOTHING'), run('MERGE INTO t_AM t USING (SELECT id, count(*) AS c FROM t_AM GROUP BY id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = c'), rows_of('t');
SELECT run('MERGE INTO t_AM t USING t_AM s ON t.id = s.id + 1 WHEN MATCHED THEN UPDATE SET v = coalesce(s.v, ''none'') WHEN NOT MATCHED THEN INSERT VALUES (s.id + 1, ''next'', 0)'), rows_of('t');
SELECT run('MERGE INTO t_AM t USING s_heap s ON t.id = s.id WHEN MATCHED THEN DELETE'), run('MERGE INTO t_AM t USING s_iceberg s ON t.id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)'), run('MERGE INTO t_AM t USING s_AM s ON false WHEN NOT MATCHED THEN INSERT VALUES (s.id + 100)'), run('MERGE INTO t_AM t USING (SELECT) s ON t.id > 100 WHEN MATCHED THEN DELETE'), rows_of('t');
-- A row twice, conditions that fail, constraints.
SELECT run('MERGE INTO t_AM t USING (VALUES (2), (2)) s (id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = 99'), run('MERGE INTO t_AM t USING (VALUES (2), (2)) s (id) ON t.id = s.id WHEN MATCHED THEN DELETE'), run('MERGE INTO t_AM t USING (VALUES (7), (7)) s (id) ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)'), run('MERGE INTO t_AM t USING (VALUES (2), (2)) s (id) ON t.id = s.id WHEN MATCHED AND t.n < 0 THEN DELETE'), rows_of('t');
SELECT run('ALTER TABLE t_AM ADD CONSTRAINT small CHECK (n < 1000)'), run('MERGE INTO t_AM t USING s_AM s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = 5000'), run('MERGE INTO t_AM t USING s_AM s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = 1 / (t.id - 3)'), run('MERGE INTO t_AM t USING s_AM s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = 500 RETURNING merge_action(), t.*'), rows_of('t');
-- In CTEs, and with CTEs.
SELECT run('WITH m AS (MERGE INTO t_AM t USING s_AM s ON t.id = s.id WHEN MATCHED THEN DELETE RETURNING merge_action(), t.id) SELECT count(*) FROM m'), run('WITH x (id) AS (VALUES (7), (8)) MERGE INTO t_AM t USING x ON t.id = x.id WHEN MATCHED THEN UPDATE SET v = ''x'' WHEN NOT MATCHED THEN INSERT (id, v) VALUES (x.id, ''new'')'), run('WITH m AS (MERGE INTO t_AM t USING s_AM s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id) RETURNING merge_action() AS a, t.id) INSERT INTO s_AM SELECT id * 10, a FROM m'), rows_of('t'), rows_of('s');
-- Many rows.
SELECT run('CREATE TABLE many_AM (id int, n int) USING AM'), run('INSERT INTO many_AM SELECT g, g FROM generate_series(1, 10000) g'), run('MERGE INTO many_AM t USING (SELECT g AS id FROM generate_series(5001, 15000) g) s ON t.id = s.id WHEN MATCHED AND t.id % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET n = -n WHEN NOT MATCHED BY SOURCE AND t.id % 2 = 0 THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, 0)'), run('SELECT count(*), sum(id), sum(n), count(DISTINCT id) FROM many_AM');
-- Triggers fire as for the single statements.
SELECT run('CREATE TRIGGER a_before BEFORE INSERT OR UPDATE OR DELETE ON t_AM FOR EACH ROW EXECUTE FUNCTION note()'), run('CREATE TRIGGER b_after AFTER INSERT OR UPDATE OR DELETE ON t_AM FOR EACH ROW EXECUTE FUNCTION note()'), run('CREATE TRIGGER c_statement AFTER INSERT OR UPDATE OR DELETE ON t_AM FOR EACH STATEMENT EXECUTE FUNCTION note()');
SELECT run('MERGE INTO t_AM t USING (VALUES (5), (9)) s (id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = ''merged'' WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id) WHEN NOT MATCHED BY SOURCE AND t.id = 6 THEN DELETE'), rows_of('t');
SELECT unnest(string_to_array(noted(), '; ')) AS line ORDER BY 1;

SET client_min_messages = warning;
DROP SCHEMA test_merge CASCADE;
