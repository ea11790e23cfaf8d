-- Statements that change many rows: they claim them, and note them by sets.
-- Nothing is published in between.
CREATE DATABASE regress_iceberg_bulk_changes;
ALTER DATABASE regress_iceberg_bulk_changes SET pg_iceberg_am.publish_interval = '1min';
\set before :DBNAME
\c regress_iceberg_bulk_changes
CREATE EXTENSION pg_iceberg_am;

\getenv abs_srcdir PG_ABS_SRCDIR
\set both :abs_srcdir '/include/on_heap_and_iceberg.sql'
\i :both
-- Both tables hold the same rows, this many.
CREATE FUNCTION same(name text DEFAULT 't') RETURNS text LANGUAGE plpgsql AS $$
DECLARE heap text; iceberg text;
BEGIN
    EXECUTE format('SELECT count(*) || '' '' || coalesce(sum(hashtextextended(x::text, 0)), 0) FROM %I x', name || '_heap') INTO heap;
    EXECUTE format('SELECT count(*) || '' '' || coalesce(sum(hashtextextended(x::text, 0)), 0) FROM %I x', name || '_iceberg') INTO iceberg;
    RETURN CASE WHEN heap = iceberg THEN split_part(heap, ' ', 1) ELSE format('heap: %s; iceberg: %s', heap, iceberg) END;
END $$;
-- What the catalog says of the table: rows by kind.
CREATE FUNCTION noted(name text DEFAULT 't') RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s: %s rows in %s', kind, rows, told), ', ' ORDER BY kind)
      FROM (SELECT kind::text, sum(row_count) AS rows, count(*) AS told FROM lakebase.row_change
             WHERE relfilenumber = pg_relation_filenode(name || '_iceberg') GROUP BY 1) x
$$;
SELECT run('CREATE TABLE t_AM (id int, v int, s text) USING AM'), run('INSERT INTO t_AM SELECT g, g % 10, ''s'' || g FROM generate_series(1, 100000) g');
-- Every kind, over several chunks; the first are noted one by one.
SELECT run('DELETE FROM t_AM WHERE v = 1'), noted(), same();
SELECT run('UPDATE t_AM SET s = s || ''!'', v = v + 10 WHERE v = 2'), noted(), same();
SELECT run('UPDATE t_AM SET s = s || ''?'' WHERE v = 12'), same();
SELECT run('MERGE INTO t_AM t USING (SELECT g FROM generate_series(90001, 110000) g) n ON t.id = n.g WHEN MATCHED AND v = 3 THEN DELETE WHEN MATCHED THEN UPDATE SET v = v + 100 WHEN NOT MATCHED AND n.g > 100000 THEN INSERT VALUES (g, 1, ''new'')'), same();
SELECT (SELECT row_count FROM lakebase.iceberg_tables WHERE relation = 't_iceberg'::regclass) = (SELECT count(*) FROM t_heap) AS counted;
SELECT lakebase.publish('t_iceberg') IS NOT NULL AS published, noted(), same();
SELECT (SELECT row_count FROM lakebase.iceberg_tables WHERE relation = 't_iceberg'::regclass) = (SELECT count(*) FROM t_heap) AS counted;

-- Commands, savepoints and what they see.
BEGIN;
SELECT run('UPDATE t_AM SET v = 0 WHERE id <= 1000'), same();
SAVEPOINT a;
SELECT run('DELETE FROM t_AM WHERE id BETWEEN 501 AND 2000'), same();
SAVEPOINT b;
SELECT run('UPDATE t_AM SET v = v - 1 WHERE id <= 500'), run('UPDATE t_AM SET v = v - 1 WHERE id <= 500'), same();
ROLLBACK TO b;
SELECT same();
SELECT run('UPDATE t_AM SET v = v + 7 WHERE id <= 600'), same();
RELEASE b;
SELECT run('DELETE FROM t_AM WHERE id <= 100'), same();
ROLLBACK TO a;
SELECT same();
SELECT run('UPDATE t_AM SET s = ''again'' WHERE id <= 1000'), same();
COMMIT;
SELECT same(), noted();
BEGIN;
SELECT run('DELETE FROM t_AM'), same();
ROLLBACK;
SELECT same();
SELECT run('DELETE FROM t_AM WHERE id % 3 = 0 AND 1 / (id - 60000) >= 0'), same(), noted();
-- A row twice in a command.
SELECT run('UPDATE t_AM t SET v = n.x FROM (SELECT g, 5 AS x FROM generate_series(1, 2000) g UNION ALL SELECT g, 5 FROM generate_series(1, 2000) g) n WHERE t.id = n.g'), same();
SELECT run('DELETE FROM t_AM t USING generate_series(1, 3) g WHERE t.id BETWEEN 3000 AND 4000'), same();
SELECT run('MERGE INTO t_AM t USING (SELECT g FROM generate_series(1, 2000) g UNION ALL SELECT 77) n ON t.id = n.g WHEN MATCHED THEN UPDATE SET v = v + 1'), same();
SELECT run('MERGE INTO t_AM t USING (SELECT g FROM generate_series(1, 2000) g UNION ALL SELECT 77) n ON t.id = n.g WHEN MATCHED THEN DELETE'), same();
-- Within a function that the statement calls, and by its triggers.
CREATE FUNCTION counted(name text) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM ' || name INTO n; RETURN n; END $$;
SELECT run('UPDATE t_AM SET v = counted(''t_AM'') WHERE id BETWEEN 5000 AND 5060'), same();
CREATE FUNCTION deletes_next() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('DELETE FROM %I WHERE id = $1', TG_TABLE_NAME) USING NEW.id + 1; RETURN NEW; END $$;
SELECT run('CREATE TRIGGER deletes_next BEFORE UPDATE ON t_AM FOR EACH ROW EXECUTE FUNCTION deletes_next()'), run('UPDATE t_AM SET v = 1 WHERE id BETWEEN 6000 AND 6100'), same();
SELECT run('DROP TRIGGER deletes_next ON t_AM');
CREATE FUNCTION adds_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('UPDATE %I SET v = v + 1000 WHERE id = $1', TG_TABLE_NAME) USING NEW.id; RETURN NULL; END $$;
SELECT run('CREATE TRIGGER adds_one AFTER UPDATE ON t_AM FOR EACH ROW WHEN (NEW.v < 1000) EXECUTE FUNCTION adds_one()'), run('UPDATE t_AM SET v = 2 WHERE id BETWEEN 7000 AND 7200'), same();
SELECT run('DROP TRIGGER adds_one ON t_AM');
-- A row that a command changes which another one, that it is part of, comes to later.
CREATE FUNCTION updates(name text, at int, from_id int, to_id int, id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF id = at THEN EXECUTE format('UPDATE %I SET v = 77 WHERE id BETWEEN %s AND %s', name, from_id, to_id); END IF;
    RETURN 1;
END $$;
CREATE FUNCTION deletes(name text, at int, from_id int, to_id int, id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF id = at THEN EXECUTE format('DELETE FROM %I WHERE id BETWEEN %s AND %s', name, from_id, to_id); END IF;
    RETURN 1;
END $$;
CREATE FUNCTION tries(name text, at int, from_id int, to_id int, id int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RETURN updates(name, at, from_id, to_id, id);
EXCEPTION WHEN division_by_zero THEN RETURN 0;
END $$;
SELECT run('CREATE TABLE n_AM (id int, v int) USING AM'), run('INSERT INTO n_AM SELECT g, 0 FROM generate_series(1, 2000) g');
SELECT run(format('UPDATE n_AM SET v = %s(''n_AM'', 1500, %s, id)', f, ids)) AS outcome, same('n') FROM (VALUES ('updates', '1502, 1502'), ('deletes', '1501, 1501'), ('updates', '600, 1700'), ('tries', '600, 1700'), ('deletes', '600, 700'), ('updates', '1, 1499')) x (f, ids);
SELECT run(format('DELETE FROM n_AM WHERE id <= 1510 AND %s(''n_AM'', 1500, %s, id) = 1', f, ids)) AS outcome, same('n') FROM (VALUES ('updates', '1502, 1502'), ('deletes', '1501, 1501'), ('deletes', '600, 700'), ('tries', '600, 1700')) x (f, ids);
SELECT (SELECT row_count FROM lakebase.iceberg_tables WHERE relation = 'n_iceberg'::regclass) = (SELECT count(*) FROM n_heap) AS counted;
-- Deleted and updated by one command, of rows that were updated before.
SELECT run('TRUNCATE n_AM'), run('INSERT INTO n_AM SELECT g, 0 FROM generate_series(1, 2000) g'), run('UPDATE n_AM SET v = 1'), same('n');
SELECT run('WITH d AS (DELETE FROM n_AM WHERE id <= 1000 RETURNING id) UPDATE n_AM SET v = 100 FROM (SELECT count(*) c FROM d) x'), same('n');
SELECT run('MERGE INTO n_AM t USING (SELECT g, 1 AS k FROM generate_series(1, 2000) g UNION ALL SELECT 1950, 2) s ON t.id = s.g WHEN MATCHED AND k = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET v = 2'), same('n');
-- Locked before, by the transaction itself.
BEGIN;
SELECT count(*) FROM (SELECT 1 FROM t_iceberg WHERE id BETWEEN 8000 AND 8500 FOR UPDATE) x;
SELECT count(*) FROM (SELECT 1 FROM t_heap WHERE id BETWEEN 8000 AND 8500 FOR UPDATE) x;
SELECT run('UPDATE t_AM SET v = 3 WHERE id BETWEEN 7900 AND 8600'), same(), noted() ~ 'e: \d+ rows' AS locks;
COMMIT;
SELECT same(), noted() ~ 'e: \d+ rows' AS locks;
-- In an order of its own, which needs more pages than there are for one transaction.
SELECT run('CREATE TABLE far_AM USING AM AS SELECT g AS id, 0 AS v FROM generate_series(1, 2300000) g');
BEGIN;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL pg_iceberg_am.claim_rows_after = 5;
SELECT run('DELETE FROM far_AM x USING (SELECT ctid AS c FROM far_AM WHERE id % 2000 = 0 ORDER BY hashint4(id) OFFSET 0) o WHERE x.ctid = o.c'), same('far');
COMMIT;
SELECT same('far'), noted('far');
SELECT run('UPDATE far_AM SET v = 1 WHERE id % 100 = 1'), same('far');
SELECT lakebase.publish('far_iceberg') IS NOT NULL AS published, same('far');
-- Moved to another partition, of either kind.
SELECT run('CREATE TABLE p_AM (id int, v int) PARTITION BY LIST (v)'), run('CREATE TABLE p1_AM PARTITION OF p_AM FOR VALUES IN (1) USING AM'), run('CREATE TABLE p2_AM PARTITION OF p_AM FOR VALUES IN (2) USING AM'), run('CREATE TABLE p3_AM PARTITION OF p_AM FOR VALUES IN (3) USING heap');
SELECT run('INSERT INTO p_AM SELECT g, 1 FROM generate_series(1, 3000) g'), run('UPDATE p_AM SET v = 1 + id % 3'), same('p'), noted('p1');
SELECT run('UPDATE p_AM SET v = 4 - v'), same('p'), noted('p1'), noted('p2');
-- Prepared, dropped, emptied, temporary, made in the same transaction.
BEGIN;
DELETE FROM t_iceberg WHERE id > 50000;
PREPARE TRANSACTION 'bulk';
SELECT count(*) FROM t_iceberg;
DELETE FROM t_heap WHERE id > 50000;
COMMIT PREPARED 'bulk';
SELECT same(), noted() ~ 'D: ' AS sets;
BEGIN;
SELECT run('DELETE FROM t_AM WHERE id <= 9000'), run('TRUNCATE t_AM'), run('INSERT INTO t_AM SELECT g, 1, ''x'' FROM generate_series(1, 100) g'), run('UPDATE t_AM SET v = 2'), same();
ROLLBACK;
SELECT same(), noted() AS left_over;
BEGIN;
SELECT run('DELETE FROM t_AM WHERE id <= 9000');
SAVEPOINT a;
SELECT run('TRUNCATE t_AM'), same();
ROLLBACK TO a;
SELECT same();
COMMIT;
SELECT same();
BEGIN;
SELECT run('DELETE FROM t_AM WHERE id <= 10000'), run('TRUNCATE t_AM'), run('DELETE FROM n_AM');
COMMIT;
BEGIN;
INSERT INTO t_iceberg SELECT g, 1, 'x' FROM generate_series(1, 2000) g;
DELETE FROM t_iceberg;
SAVEPOINT a;
DROP TABLE t_iceberg;
RELEASE a;
DELETE FROM far_iceberg WHERE id <= 2000;
DELETE FROM far_heap WHERE id <= 2000;
COMMIT;
DROP TABLE t_heap;
SELECT run('CREATE TABLE t_AM (id int, v int, s text) USING AM');
SELECT same(), same('far'), (SELECT count(*) FROM lakebase.row_change r WHERE NOT EXISTS (SELECT 1 FROM pg_class c WHERE pg_relation_filenode(c.oid) = r.relfilenumber)) AS of_nothing;
BEGIN;
SELECT run('CREATE TABLE made_AM USING AM AS SELECT g AS id, g AS v FROM generate_series(1, 5000) g'), run('UPDATE made_AM SET v = v + 1 WHERE id > 100'), run('DELETE FROM made_AM WHERE id % 2 = 0'), same('made');
COMMIT;
SELECT same('made'), noted('made');
SELECT run('CREATE TEMPORARY TABLE own_AM (id int, v int) USING AM ON COMMIT PRESERVE ROWS'), run('INSERT INTO own_AM SELECT g, g FROM generate_series(1, 1000) g'), run('UPDATE own_AM SET v = v + 1'), run('DELETE FROM own_AM WHERE id <= 500'), same('own');
-- Parallel workers see what their leader has claimed.
BEGIN;
SELECT run('UPDATE made_AM SET v = v + 10'), run('DELETE FROM made_AM WHERE id < 1000');
SET LOCAL debug_parallel_query = on;
SELECT count(*), sum(v) FROM made_iceberg;
SELECT count(*), sum(v) FROM made_heap;
COMMIT;

\c :before
SET client_min_messages = warning;
DROP DATABASE regress_iceberg_bulk_changes;
