-- Savepoints, nested subtransactions and PL/pgSQL exception blocks.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_subtransactions CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_subtransactions;
SET search_path = test_subtransactions;

CREATE TABLE t (id int, note text) USING iceberg;
CREATE TABLE h (id int, note text) USING heap;

-- Savepoints: rolled back to, released, of the same name, nested.
BEGIN;
INSERT INTO t VALUES (1, 'top');
SAVEPOINT a;
INSERT INTO t VALUES (2, 'a');
SAVEPOINT b;
INSERT INTO t VALUES (3, 'b');
SELECT array_agg(id ORDER BY id) FROM t;
ROLLBACK TO b;
SELECT array_agg(id ORDER BY id) FROM t;
INSERT INTO t VALUES (4, 'b again');
RELEASE b;
SELECT array_agg(id ORDER BY id) FROM t;
SAVEPOINT a;
INSERT INTO t VALUES (5, 'second a');
ROLLBACK TO a;
RELEASE a;
SELECT array_agg(id ORDER BY id) FROM t;
ROLLBACK TO a;
SELECT array_agg(id ORDER BY id) FROM t;
INSERT INTO t VALUES (6, 'end');
COMMIT;
SELECT * FROM t ORDER BY id;

-- An error, and on from the savepoint.
BEGIN;
SAVEPOINT s;
INSERT INTO t SELECT g, 'before error' FROM generate_series(10, 20) g;
SELECT 1 / 0;
INSERT INTO t VALUES (21, 'in failed transaction');
ROLLBACK TO s;
INSERT INTO t VALUES (22, 'after error');
COMMIT;
SELECT array_agg(id ORDER BY id) FROM t;
-- Released and then rolled back with the whole.
BEGIN;
SAVEPOINT s;
INSERT INTO t VALUES (30, 'released');
RELEASE s;
ROLLBACK;
SELECT count(*) FROM t WHERE id = 30;

-- Exception blocks in a loop: every third round is kept.
DO $$
BEGIN
    FOR i IN 1..60 LOOP
        BEGIN
            INSERT INTO t VALUES (100 + i, 'loop');
            INSERT INTO h VALUES (100 + i, 'loop');
            IF i % 3 > 0 THEN RAISE EXCEPTION 'undo'; END IF;
        EXCEPTION WHEN raise_exception THEN
            IF i % 3 = 1 THEN INSERT INTO t VALUES (500 + i, 'handler'); INSERT INTO h VALUES (500 + i, 'handler'); END IF;
        END;
    END LOOP;
END $$;
SELECT note, count(*), sum(id) FROM t WHERE id > 100 GROUP BY note ORDER BY note;
SELECT count(*) FROM (SELECT * FROM t WHERE id > 100 EXCEPT TABLE h) d;
SELECT count(*) FROM (TABLE h EXCEPT SELECT * FROM t) d;

-- Nested by recursion: the inner levels are undone, or kept, each by its own.
CREATE FUNCTION nested(depth int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO t VALUES (1000 + depth, 'nested');
    IF depth > 0 THEN
        BEGIN
            PERFORM nested(depth - 1);
            IF depth % 4 = 0 THEN RAISE EXCEPTION 'undo below %', depth; END IF;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
    END IF;
END $$;
SELECT nested(10);
SELECT array_agg(id ORDER BY id) FROM t WHERE id >= 1000;
-- The reads within see what is there at that level.
DO $$
DECLARE n bigint;
BEGIN
    BEGIN
        INSERT INTO t VALUES (2000, 'inner');
        SELECT count(*) INTO n FROM t WHERE id = 2000;
        RAISE EXCEPTION 'saw %', n;
    EXCEPTION WHEN raise_exception THEN
        RAISE NOTICE '%, then %', SQLERRM, (SELECT count(*) FROM t WHERE id = 2000);
    END;
END $$;

-- TRUNCATE, DROP and CREATE in savepoints.
BEGIN;
SAVEPOINT a;
CREATE TABLE made (id int) USING iceberg;
INSERT INTO made VALUES (1);
SAVEPOINT b;
INSERT INTO made VALUES (2);
TRUNCATE made;
INSERT INTO made VALUES (3);
SELECT * FROM made;
ROLLBACK TO b;
SELECT * FROM made;
RELEASE a;
SAVEPOINT c;
DROP TABLE made;
ROLLBACK TO c;
INSERT INTO made VALUES (4);
COMMIT;
SELECT * FROM made ORDER BY id;
BEGIN;
SAVEPOINT a;
CREATE TABLE unmade (id int) USING iceberg;
INSERT INTO unmade VALUES (1);
ROLLBACK TO a;
CREATE TABLE unmade (id text) USING iceberg;
INSERT INTO unmade VALUES ('text');
COMMIT;
SELECT * FROM unmade;

-- Many levels that are released, and many savepoints in a row.
DO $$
BEGIN
    FOR i IN 1..500 LOOP
        BEGIN INSERT INTO h VALUES (3000 + i, 'x'); EXCEPTION WHEN OTHERS THEN NULL; END;
    END LOOP;
    FOR i IN 1..200 LOOP
        BEGIN INSERT INTO t VALUES (3000 + i, 'released'); EXCEPTION WHEN OTHERS THEN NULL; END;
    END LOOP;
END $$;
SELECT count(*), sum(id) FROM t WHERE id > 3000;
BEGIN;
INSERT INTO t VALUES (4000, 'x');
DO $$ BEGIN FOR i IN 1..50 LOOP BEGIN INSERT INTO t VALUES (4000 + i, 'x'); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$;
COMMIT;
SELECT count(*) FROM t WHERE id >= 4000;

SET client_min_messages = warning;
DROP SCHEMA test_subtransactions CASCADE;
