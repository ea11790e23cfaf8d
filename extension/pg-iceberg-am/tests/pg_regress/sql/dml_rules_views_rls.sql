-- Views that can be written through, INSTEAD OF triggers, rules, row-level security and rights of columns: for
-- UPDATE, DELETE and MERGE of Iceberg tables as of heap tables.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_dml_rules_views_rls CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_dml_rules_views_rls;
SET search_path = test_dml_rules_views_rls;

\getenv abs_srcdir PG_ABS_SRCDIR
\set both :abs_srcdir '/include/on_heap_and_iceberg.sql'
\i :both

SELECT run('CREATE TABLE t_AM (id int, v text, n int) USING AM'), run('INSERT INTO t_AM SELECT g, ''v'' || g, g * 10 FROM generate_series(1, 6) g');
-- Simple views, with CHECK OPTION, of views, with columns that cannot be changed.
SELECT run('CREATE VIEW small_AM AS SELECT id, v, n, n * 2 AS twice FROM t_AM WHERE n < 50 WITH CHECK OPTION'), run('CREATE VIEW top_AM WITH (security_barrier) AS SELECT id, v FROM small_AM WHERE id > 1');
SELECT run('UPDATE small_AM SET v = ''small'' WHERE id < 3 RETURNING *'), run('UPDATE small_AM SET n = 100 WHERE id = 1'), run('UPDATE small_AM SET twice = 1'), run('UPDATE small_AM SET v = ''unseen'' WHERE id = 6'), run('DELETE FROM small_AM WHERE id = 1 RETURNING *'), run('DELETE FROM small_AM WHERE id = 6');
SELECT run('UPDATE top_AM SET v = v || ''!'''), run('DELETE FROM top_AM WHERE id = 2'), run('SELECT * FROM top_AM FOR UPDATE'), run('MERGE INTO small_AM s USING (VALUES (3), (33)) x (id) ON s.id = x.id WHEN MATCHED THEN UPDATE SET v = ''merged'' WHEN NOT MATCHED THEN INSERT (id, v, n) VALUES (x.id, ''new'', 1) RETURNING merge_action(), s.*');
SELECT run('SELECT id, v, n FROM t_AM');
SELECT run('CREATE VIEW grouped_AM AS SELECT v, count(*) FROM t_AM GROUP BY v'), run('UPDATE grouped_AM SET v = ''x'''), run('DELETE FROM grouped_AM');
-- INSTEAD OF triggers of a join.
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE am text := split_part(TG_TABLE_NAME, '_', 2);
BEGIN
    IF TG_OP = 'DELETE' THEN EXECUTE format('DELETE FROM %I WHERE id = $1', 't_' || am) USING OLD.id; RETURN OLD; END IF;
    EXECUTE format('UPDATE %I SET v = $2 WHERE id = $1', 't_' || am) USING OLD.id, NEW.v;
    RETURN NEW;
END $$;
SELECT run('CREATE VIEW joined_AM AS SELECT t.id, t.v, x.n FROM t_AM t JOIN (VALUES (4, 1), (5, 1), (33, 1)) x (id, n) USING (id)'), run('CREATE TRIGGER instead INSTEAD OF UPDATE OR DELETE ON joined_AM FOR EACH ROW EXECUTE FUNCTION instead()');
SELECT run('UPDATE joined_AM SET v = ''instead'' WHERE id = 4 RETURNING *'), run('DELETE FROM joined_AM WHERE id = 33'), run('MERGE INTO joined_AM j USING (VALUES (5)) x (id) ON j.id = x.id WHEN MATCHED THEN UPDATE SET v = ''merge instead'''), run('SELECT id, v FROM t_AM');
-- Rules: another table as well, instead, nothing.
SELECT run('CREATE TABLE r_AM (id int, v text) USING AM'), run('CREATE TABLE a_AM (what text, id int) USING AM'), run('INSERT INTO r_AM VALUES (1, ''a''), (2, ''b''), (3, ''c'')');
SELECT run('CREATE RULE also AS ON UPDATE TO r_AM DO ALSO INSERT INTO a_AM VALUES (''updated to '' || NEW.v, OLD.id)'), run('UPDATE r_AM SET v = v || ''2'' WHERE id < 3'), rows_of('r'), rows_of('a');
SELECT run('CREATE RULE archive AS ON DELETE TO r_AM WHERE OLD.id < 3 DO INSTEAD UPDATE r_AM SET v = ''deleted'' WHERE id = OLD.id'), run('DELETE FROM r_AM'), rows_of('r'), rows_of('a');
SELECT run('CREATE RULE never AS ON DELETE TO a_AM DO INSTEAD NOTHING'), run('DELETE FROM a_AM'), run('CREATE TABLE b_AM (id int) USING AM'), run('CREATE RULE back AS ON INSERT TO b_AM DO INSTEAD UPDATE r_AM SET v = ''by a rule'' WHERE id = NEW.id'), run('INSERT INTO b_AM VALUES (2)'), rows_of('r'), rows_of('b'), run('MERGE INTO r_AM USING a_AM ON true WHEN MATCHED THEN DO NOTHING');
-- Row-level security: rows that are not seen are not changed, new rows are checked.
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_iceberg_dml;
RESET client_min_messages;
CREATE ROLE regress_iceberg_dml;
GRANT USAGE ON SCHEMA test_dml_rules_views_rls TO regress_iceberg_dml;
SELECT run('CREATE TABLE s_AM (id int, who text, n int) USING AM'), run('INSERT INTO s_AM VALUES (1, ''regress_iceberg_dml'', 1), (2, ''other'', 2), (3, ''regress_iceberg_dml'', 3), (4, ''public'', 4)'), run('ALTER TABLE s_AM ENABLE ROW LEVEL SECURITY'), run('CREATE POLICY sees ON s_AM FOR SELECT USING (who IN (current_user, ''public''))'), run('CREATE POLICY changes ON s_AM FOR UPDATE USING (who = current_user) WITH CHECK (n < 100)'), run('CREATE POLICY deletes ON s_AM FOR DELETE USING (who = current_user AND n < 50)'), run('CREATE POLICY adds ON s_AM FOR INSERT WITH CHECK (who = current_user)'), run('GRANT SELECT, INSERT, UPDATE, DELETE ON s_AM TO regress_iceberg_dml');
SET ROLE regress_iceberg_dml;
SELECT rows_of('s'), run('UPDATE s_AM SET n = n + 10 RETURNING *'), run('UPDATE s_AM SET n = 1000 WHERE id = 1'), run('UPDATE s_AM SET who = ''other'' WHERE id = 1'), run('UPDATE s_AM SET n = 60 WHERE id = 3'), run('DELETE FROM s_AM RETURNING *'), run('SELECT * FROM s_AM FOR UPDATE'), run('SELECT * FROM s_AM FOR SHARE');
SELECT run('MERGE INTO s_AM s USING (VALUES (4)) x (id) ON s.id = x.id WHEN MATCHED THEN UPDATE SET n = 61'), run('MERGE INTO s_AM s USING (VALUES (3), (5)) x (id) ON s.id = x.id WHEN MATCHED THEN UPDATE SET n = 62 WHEN NOT MATCHED THEN INSERT VALUES (x.id, current_user, 5)'), run('MERGE INTO s_AM s USING (VALUES (9)) x (id) ON s.id = x.id WHEN NOT MATCHED THEN INSERT VALUES (x.id, ''other'', 5)'), run('MERGE INTO s_AM s USING (VALUES (3)) x (id) ON s.id = x.id WHEN MATCHED THEN DELETE'), rows_of('s');
RESET ROLE;
SELECT rows_of('s');
-- Rights of tables and columns.
SELECT run('ALTER TABLE s_AM DISABLE ROW LEVEL SECURITY'), run('REVOKE ALL ON s_AM FROM regress_iceberg_dml'), run('GRANT UPDATE (n), SELECT (n) ON s_AM TO regress_iceberg_dml');
SET ROLE regress_iceberg_dml;
SELECT run('UPDATE s_AM SET n = n + 1'), run('UPDATE s_AM SET who = ''x'''), run('UPDATE s_AM SET n = 1 WHERE id = 1'), run('DELETE FROM s_AM'), run('SELECT n FROM s_AM FOR UPDATE'), run('SELECT id FROM s_AM FOR UPDATE'), run('MERGE INTO s_AM s USING (VALUES (62)) x (n) ON s.n = x.n WHEN MATCHED THEN DELETE'), run('SELECT n FROM s_AM');
RESET ROLE;
-- INSERT ... ON CONFLICT without a unique index to conflict with.
SELECT run('CREATE TABLE c_AM (id int, v text) USING AM'), run('INSERT INTO c_AM VALUES (3, ''once'')'), run('INSERT INTO c_AM VALUES (3, ''twice''), (4, ''new'') ON CONFLICT DO NOTHING'), run('INSERT INTO c_AM VALUES (3, ''twice'') ON CONFLICT (id) DO NOTHING'), run('INSERT INTO c_AM VALUES (3, ''twice'') ON CONFLICT (id) DO UPDATE SET v = excluded.v'), run('INSERT INTO c_AM VALUES (3, ''twice'') ON CONFLICT DO UPDATE SET v = excluded.v'), rows_of('c');

SET client_min_messages = warning;
DROP SCHEMA test_dml_rules_views_rls CASCADE;
DROP ROLE regress_iceberg_dml;
