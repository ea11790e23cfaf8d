-- Cursors: scrolled, held, and open over writes of their own transaction.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_cursors CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_cursors;
SET search_path = test_cursors;

CREATE TABLE t (id int, name text) USING iceberg;
INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 10) g;

BEGIN;
DECLARE forward NO SCROLL CURSOR FOR SELECT id FROM t;
DECLARE scrolled SCROLL CURSOR FOR SELECT id, name FROM t;
DECLARE sorted SCROLL CURSOR FOR SELECT id FROM t ORDER BY id DESC;
FETCH 2 FROM forward;
FETCH FROM scrolled;
FETCH FORWARD 3 FROM scrolled;
FETCH BACKWARD 2 FROM scrolled;
FETCH PRIOR FROM scrolled;
FETCH PRIOR FROM scrolled;
FETCH NEXT FROM scrolled;
FETCH LAST FROM scrolled;
FETCH NEXT FROM scrolled;
FETCH PRIOR FROM scrolled;
FETCH ABSOLUTE 4 FROM scrolled;
FETCH RELATIVE -2 FROM scrolled;
FETCH RELATIVE 0 FROM scrolled;
FETCH FIRST FROM scrolled;
MOVE FORWARD 6 IN scrolled;
FETCH BACKWARD ALL FROM scrolled;
FETCH FORWARD 3 FROM sorted;
FETCH BACKWARD 2 FROM sorted;
FETCH BACKWARD 1 FROM forward;
ROLLBACK;

-- Backward as well where nothing is said, and with a filter that leaves files and row groups out; on heap and Iceberg tables.
CREATE TABLE back_iceberg (id int, v int) USING iceberg;
INSERT INTO back_iceberg SELECT g, g % 7 FROM generate_series(1, 30000) g;
INSERT INTO back_iceberg SELECT g, g % 7 FROM generate_series(30001, 60000) g;
INSERT INTO back_iceberg SELECT g, g % 7 FROM generate_series(60001, 60010) g;
DELETE FROM back_iceberg WHERE id % 3 = 0;
CREATE TABLE back_heap USING heap AS SELECT * FROM back_iceberg ORDER BY id;
CREATE FUNCTION both_ways(options text, condition text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE am text; x record; c refcursor; step text; taken text[]; first text[];
BEGIN
    FOREACH am IN ARRAY '{heap,iceberg}'::text[] LOOP
        taken := '{}';
        EXECUTE format('DECLARE c %s CURSOR FOR SELECT * FROM back_%s WHERE %s', options, am, condition);
        c := 'c';
        FOR i IN 1..12 LOOP
            CASE i % 6
                WHEN 1 THEN MOVE FORWARD 9000 FROM c;
                WHEN 2 THEN MOVE BACKWARD 3 FROM c;
                WHEN 3 THEN MOVE FORWARD ALL FROM c;
                WHEN 4 THEN MOVE BACKWARD 11000 FROM c;
                WHEN 5 THEN FETCH PRIOR FROM c INTO x; taken := taken || coalesce(x::text, 'none');
                ELSE MOVE BACKWARD 20 FROM c;
            END CASE;
            FETCH NEXT FROM c INTO x;
            taken := taken || coalesce(x::text, 'none');
        END LOOP;
        MOVE BACKWARD ALL FROM c;
        FETCH NEXT FROM c INTO x;
        taken := taken || coalesce(x::text, 'none');
        CLOSE c;
        first := coalesce(first, taken);
    END LOOP;
    RETURN NEXT CASE WHEN first = taken THEN 'same: ' || array_to_string(taken, ' ') ELSE format('heap: %s; iceberg: %s', first, taken) END;
END $$;
BEGIN;
SELECT both_ways(options, condition) FROM (VALUES ('', 'true'), ('SCROLL', 'true'), ('', 'v = 4'), ('SCROLL', 'id > 59990 OR id < 10'), ('', 'id BETWEEN 20000 AND 50000'), ('', 'id < 0')) x (options, condition);
DECLARE c CURSOR FOR SELECT * FROM back_iceberg WHERE id > 59000;
MOVE FORWARD ALL FROM c;
FETCH BACKWARD 2 FROM c;
UPDATE back_iceberg SET v = -1 WHERE CURRENT OF c RETURNING *;
FETCH BACKWARD 1 FROM c;
DELETE FROM back_iceberg WHERE CURRENT OF c RETURNING *;
ROLLBACK;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT * FROM back_iceberg WHERE id > 59000;
MOVE FORWARD ALL FROM c;
FETCH BACKWARD 2 FROM c;
UPDATE back_iceberg SET v = -1 WHERE CURRENT OF c RETURNING *;
ROLLBACK;
EXPLAIN (COSTS OFF) DECLARE c SCROLL CURSOR FOR SELECT id FROM back_iceberg WHERE id > 59000;
DROP FUNCTION both_ways;

-- An open cursor does not see what is written after it was opened.
BEGIN;
DECLARE before_write SCROLL CURSOR FOR SELECT id FROM t ORDER BY id;
DECLARE unsorted SCROLL CURSOR FOR SELECT id FROM t;
FETCH 2 FROM unsorted;
INSERT INTO t VALUES (11, 'new');
DECLARE after_write CURSOR FOR SELECT id FROM t ORDER BY id;
INSERT INTO t VALUES (12, 'newer');
MOVE FORWARD ALL IN unsorted;
FETCH BACKWARD 1 FROM unsorted;
FETCH LAST FROM before_write;
MOVE FORWARD 10 IN after_write;
FETCH ALL FROM after_write;
SELECT count(*) FROM t;
-- A TRUNCATE is refused while a cursor reads the table, as for any table.
TRUNCATE t;
ROLLBACK;

-- Held over commit; rows written later are not in it.
BEGIN;
INSERT INTO t VALUES (21, 'before hold');
DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT id FROM t WHERE id > 8;
COMMIT;
INSERT INTO t VALUES (22, 'after hold');
FETCH FORWARD ALL FROM held;
FETCH BACKWARD 1 FROM held;
TRUNCATE t;
FETCH FIRST FROM held;
CLOSE held;
INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 10) g;

-- In a subtransaction that is rolled back.
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (31, 'in a');
DECLARE in_savepoint CURSOR FOR SELECT id FROM t WHERE id > 9;
FETCH 1 FROM in_savepoint;
ROLLBACK TO a;
FETCH 1 FROM in_savepoint;
ROLLBACK;
BEGIN;
DECLARE outside CURSOR FOR SELECT count(*) OVER (), id FROM t ORDER BY id;
SAVEPOINT b;
INSERT INTO t VALUES (32, 'in b');
FETCH 1 FROM outside;
ROLLBACK TO b;
FETCH 1 FROM outside;
COMMIT;

-- In PL/pgSQL: loops over a table that the loop writes to, and returned cursors.
DO $$
DECLARE r record; n int := 0;
BEGIN
    FOR r IN SELECT id FROM t LOOP
        INSERT INTO t VALUES (100 + r.id, 'copied in the loop');
        n := n + 1;
    END LOOP;
    RAISE NOTICE '% turns, % rows', n, (SELECT count(*) FROM t);
END $$;
CREATE FUNCTION open_cursor() RETURNS refcursor LANGUAGE plpgsql AS $$
DECLARE c refcursor := 'from_function';
BEGIN
    OPEN c SCROLL FOR SELECT id FROM t WHERE id > 105 ORDER BY id;
    INSERT INTO t VALUES (999, 'after open');
    RETURN c;
END $$;
BEGIN;
SELECT open_cursor();
FETCH ALL FROM from_function;
COMMIT;
SELECT count(*) FROM t WHERE id = 999;
-- Many cursors at once over one table, fetched in turn.
DO $$
DECLARE cs refcursor[]; c refcursor; total bigint := 0; v int;
BEGIN
    FOR i IN 1..20 LOOP OPEN c FOR SELECT id FROM t; cs := cs || c; c := NULL; END LOOP;
    FOR i IN 1..5 LOOP FOREACH c IN ARRAY cs LOOP FETCH c INTO v; total := total + v; END LOOP; END LOOP;
    RAISE NOTICE 'sum %', total;
END $$;
-- Rows of a scrollable cursor are changed.
BEGIN;
DECLARE scrolling SCROLL CURSOR FOR SELECT id FROM t WHERE id > 105;
FETCH 3 FROM scrolling;
FETCH BACKWARD 1 FROM scrolling;
DELETE FROM t WHERE CURRENT OF scrolling RETURNING id;
FETCH FIRST FROM scrolling;
UPDATE t SET id = -id WHERE CURRENT OF scrolling RETURNING id;
ROLLBACK;

SET client_min_messages = warning;
DROP SCHEMA test_cursors CASCADE;
