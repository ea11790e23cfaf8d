-- Triggers fire for UPDATE and DELETE of Iceberg rows as for those of heap rows: row and statement triggers,
-- transition tables, constraint triggers.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_dml_triggers CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_dml_triggers;
SET search_path = test_dml_triggers;

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

SELECT run('CREATE TABLE t_AM (id int, v text, n int) USING AM'), run('INSERT INTO t_AM VALUES (1, ''a'', 1), (2, ''b'', 2), (3, ''c'', 3)');
SELECT run('CREATE TRIGGER a_statement BEFORE INSERT OR UPDATE OR DELETE ON t_AM FOR EACH STATEMENT EXECUTE FUNCTION note()'), run('CREATE TRIGGER b_row BEFORE INSERT OR UPDATE OR DELETE ON t_AM FOR EACH ROW EXECUTE FUNCTION note()'), run('CREATE TRIGGER c_row AFTER INSERT OR UPDATE OR DELETE ON t_AM FOR EACH ROW EXECUTE FUNCTION note()'), run('CREATE TRIGGER d_statement AFTER INSERT OR UPDATE OR DELETE ON t_AM FOR EACH STATEMENT EXECUTE FUNCTION note()');
SELECT run('UPDATE t_AM SET n = n + 1 WHERE id = 1'), noted();
SELECT run('UPDATE t_AM SET n = n WHERE false'), noted();
SELECT run('DELETE FROM t_AM WHERE id = 1'), noted();
SELECT run('UPDATE t_AM SET id = 1 / (id - 3) WHERE id > 1'), noted();
SELECT run('DROP TRIGGER a_statement ON t_AM'), run('DROP TRIGGER b_row ON t_AM'), run('DROP TRIGGER c_row ON t_AM'), run('DROP TRIGGER d_statement ON t_AM');

-- Columns and conditions.
SELECT run('CREATE TRIGGER of_v AFTER UPDATE OF v ON t_AM FOR EACH ROW EXECUTE FUNCTION note()'), run('CREATE TRIGGER on_change AFTER UPDATE ON t_AM FOR EACH ROW WHEN (OLD.n IS DISTINCT FROM NEW.n) EXECUTE FUNCTION note()'), run('CREATE TRIGGER on_big BEFORE DELETE ON t_AM FOR EACH ROW WHEN (OLD.n > 2) EXECUTE FUNCTION note()');
SELECT run('UPDATE t_AM SET v = v WHERE id = 2'), noted();
SELECT run('UPDATE t_AM SET n = n WHERE id = 2'), noted();
SELECT run('UPDATE t_AM SET n = 20, v = ''x'' WHERE id = 2'), noted();
SELECT run('DELETE FROM t_AM WHERE id = 2'), noted();
SELECT run('DROP TRIGGER of_v ON t_AM'), run('DROP TRIGGER on_change ON t_AM'), run('DROP TRIGGER on_big ON t_AM'), rows_of('t');

-- BEFORE triggers that change the new row, keep the old one, or take the row out of the statement.
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN RETURN CASE WHEN OLD.id % 2 = 1 THEN OLD END; END IF;
    IF NEW.n < 0 THEN RETURN NULL; ELSIF NEW.n = 0 THEN RETURN OLD; END IF;
    NEW.v := upper(NEW.v) || OLD.n;
    RETURN NEW;
END $$;
SELECT run('INSERT INTO t_AM VALUES (1, ''a'', 1), (2, ''b'', 2), (4, ''d'', 4)'), run('CREATE TRIGGER change BEFORE UPDATE OR DELETE ON t_AM FOR EACH ROW EXECUTE FUNCTION change()'), run('CREATE TRIGGER z_after AFTER UPDATE OR DELETE ON t_AM FOR EACH ROW EXECUTE FUNCTION note()');
SELECT run('UPDATE t_AM SET n = 5 WHERE id = 1 RETURNING *'), noted();
SELECT run('UPDATE t_AM SET n = -5, v = ''kept'' WHERE id = 1 RETURNING *'), noted();
SELECT run('UPDATE t_AM SET n = 0, v = ''kept'' WHERE id = 1 RETURNING *'), noted();
SELECT run('DELETE FROM t_AM RETURNING *'), rows_of('t');
SELECT unnest(string_to_array(noted(), '; ')) AS line ORDER BY 1;
SELECT run('DROP TRIGGER change ON t_AM'), run('DROP TRIGGER z_after ON t_AM');

-- A BEFORE trigger that changes the row it is fired for, or deletes it; one that changes other rows of the table.
CREATE FUNCTION same_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() > 1 THEN RETURN coalesce(NEW, OLD); END IF;
    EXECUTE format(TG_ARGV[0], TG_TABLE_NAME) USING OLD.id;
    RETURN coalesce(NEW, OLD);
END $$;
SELECT run('DELETE FROM t_AM'), run('INSERT INTO t_AM SELECT g, ''r'' || g, g FROM generate_series(1, 6) g'), run('CREATE TRIGGER same BEFORE UPDATE OR DELETE ON t_AM FOR EACH ROW EXECUTE FUNCTION same_row(''UPDATE %I SET n = n + 100 WHERE id = $1'')');
SELECT run('UPDATE t_AM SET v = ''x'' WHERE id = 1'), run('DELETE FROM t_AM WHERE id = 1'), rows_of('t');
SELECT run('DROP TRIGGER same ON t_AM'), run('CREATE TRIGGER same BEFORE UPDATE OR DELETE ON t_AM FOR EACH ROW EXECUTE FUNCTION same_row(''DELETE FROM %I WHERE id = $1'')');
SELECT run('UPDATE t_AM SET v = ''x'' WHERE id = 1'), run('DELETE FROM t_AM WHERE id = 1'), run('DELETE FROM t_AM'), rows_of('t');
SELECT run('DROP TRIGGER same ON t_AM'), run('CREATE TRIGGER same BEFORE UPDATE OR DELETE ON t_AM FOR EACH ROW EXECUTE FUNCTION same_row(''UPDATE %I SET n = n + 100 WHERE id <> $1'')');
SELECT run('UPDATE t_AM SET v = ''x'' WHERE id = 2'), run('DELETE FROM t_AM WHERE id = 3'), rows_of('t'), run('UPDATE t_AM SET v = ''x'' WHERE id IN (1, 2)'), rows_of('t');
SELECT run('DROP TRIGGER same ON t_AM'), run('CREATE TRIGGER same AFTER UPDATE OR DELETE ON t_AM FOR EACH ROW EXECUTE FUNCTION same_row(''UPDATE %I SET n = n + 1 WHERE id = $1'')');
SELECT run('UPDATE t_AM SET v = ''after'' WHERE id < 3'), run('DELETE FROM t_AM WHERE id = 4'), rows_of('t'), run('DROP TRIGGER same ON t_AM');

-- Transition tables of UPDATE, DELETE and MERGE.
CREATE FUNCTION sums() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE o text; n text;
BEGIN
    IF TG_OP <> 'INSERT' THEN SELECT 'old ' || count(*) || ' ' || sum(id) INTO o FROM old_rows; END IF;
    IF TG_OP <> 'DELETE' THEN SELECT 'new ' || count(*) || ' ' || string_agg(v, ',' ORDER BY v) INTO n FROM new_rows; END IF;
    INSERT INTO log (tab, line) VALUES (TG_TABLE_NAME, concat_ws(' ', TG_OP, o, n));
    RETURN NULL;
END $$;
SELECT run('CREATE TRIGGER s_i AFTER INSERT ON t_AM REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sums()'), run('CREATE TRIGGER s_u AFTER UPDATE ON t_AM REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sums()'), run('CREATE TRIGGER s_d AFTER DELETE ON t_AM REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION sums()');
SELECT run('UPDATE t_AM SET v = ''s'' || id'), noted();
SELECT run('UPDATE t_AM SET v = ''none'' WHERE false'), noted();
SELECT run('DELETE FROM t_AM WHERE id > 5'), noted();
SELECT run('MERGE INTO t_AM t USING (VALUES (1), (2), (9)) x (id) ON t.id = x.id WHEN MATCHED AND t.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET v = ''merged'' WHEN NOT MATCHED THEN INSERT VALUES (x.id, ''new'', 0)'), rows_of('t');
SELECT unnest(string_to_array(noted(), '; ')) AS line ORDER BY 1;
SELECT run('WITH u AS (UPDATE t_AM SET v = v || ''u'') DELETE FROM t_AM WHERE false');
SELECT unnest(string_to_array(noted(), '; ')) AS line ORDER BY 1;

-- Constraint triggers, deferred: rows that are changed again, or are gone by then.
CREATE FUNCTION at_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (tab, line) VALUES (TG_TABLE_NAME, concat_ws(' ', TG_OP, OLD, CASE WHEN TG_OP <> 'DELETE' THEN NEW::text END));
    IF TG_OP <> 'DELETE' AND NEW.n = 13 THEN RAISE EXCEPTION 'no 13'; END IF;
    RETURN NULL;
END $$;
SELECT run('CREATE TABLE d_AM (id int, n int) USING AM'), run('CREATE CONSTRAINT TRIGGER at_end AFTER UPDATE OR DELETE ON d_AM DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_end()'), run('INSERT INTO d_AM VALUES (1, 1), (2, 2)');
BEGIN;
UPDATE d_heap SET n = n + 10;
UPDATE d_iceberg SET n = n + 10;
UPDATE d_heap SET n = n + 10 WHERE id = 1;
UPDATE d_iceberg SET n = n + 10 WHERE id = 1;
DELETE FROM d_heap WHERE id = 2;
DELETE FROM d_iceberg WHERE id = 2;
SELECT noted();
COMMIT;
SELECT noted(), rows_of('d');
BEGIN;
SAVEPOINT a;
UPDATE d_heap SET n = 99;
UPDATE d_iceberg SET n = 99;
ROLLBACK TO a;
DELETE FROM d_heap WHERE id = 1;
DELETE FROM d_iceberg WHERE id = 1;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT noted();
COMMIT;
SELECT rows_of('d'), run('INSERT INTO d_AM VALUES (3, 3)');
BEGIN;
UPDATE d_iceberg SET n = 13;
COMMIT;
BEGIN;
UPDATE d_iceberg SET n = 13;
UPDATE d_iceberg SET n = 14;
COMMIT;
SELECT rows_of('d');

-- What a trigger raises undoes the statement; disabled triggers do not fire.
SELECT run('CREATE TRIGGER failing AFTER UPDATE ON d_AM FOR EACH ROW EXECUTE FUNCTION at_end()'), run('UPDATE d_AM SET n = 13'), run('ALTER TABLE d_AM DISABLE TRIGGER ALL'), run('UPDATE d_AM SET n = 13'), rows_of('d');

SET client_min_messages = warning;
DROP SCHEMA test_dml_triggers CASCADE;
