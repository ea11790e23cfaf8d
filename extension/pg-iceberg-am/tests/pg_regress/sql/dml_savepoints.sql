-- Changes of Iceberg rows in one transaction, in any order, with savepoints at every point: what is left is what is
-- left of a heap table.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_dml_savepoints CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_dml_savepoints;
SET search_path = test_dml_savepoints;

\getenv abs_srcdir PG_ABS_SRCDIR
\set both :abs_srcdir '/include/on_heap_and_iceberg.sql'
\i :both

SELECT run('CREATE TABLE t_AM (id int, v int) USING AM'), run('INSERT INTO t_AM VALUES (1, 1), (2, 2), (3, 3)');
-- Own rows: put in, changed, deleted.
BEGIN;
SELECT run('INSERT INTO t_AM VALUES (4, 4), (5, 5)'), run('UPDATE t_AM SET v = v * 10 WHERE id > 2'), run('UPDATE t_AM SET v = v + 1'), run('DELETE FROM t_AM WHERE id IN (1, 4)'), rows_of('t');
ROLLBACK;
SELECT rows_of('t');
BEGIN;
INSERT INTO t_heap VALUES (4, 4);
INSERT INTO t_iceberg VALUES (4, 4);
SAVEPOINT a;
UPDATE t_heap SET v = v + 10;
UPDATE t_iceberg SET v = v + 10;
SELECT rows_of('t');
SAVEPOINT b;
DELETE FROM t_heap WHERE id IN (1, 4);
DELETE FROM t_iceberg WHERE id IN (1, 4);
SELECT rows_of('t');
SAVEPOINT c;
INSERT INTO t_heap VALUES (1, 100);
INSERT INTO t_iceberg VALUES (1, 100);
UPDATE t_heap SET v = v + 1 WHERE id = 1;
UPDATE t_iceberg SET v = v + 1 WHERE id = 1;
SELECT rows_of('t');
ROLLBACK TO c;
SELECT rows_of('t');
RELEASE c;
ROLLBACK TO b;
SELECT rows_of('t');
UPDATE t_heap SET v = -v WHERE id = 4;
UPDATE t_iceberg SET v = -v WHERE id = 4;
RELEASE b;
SELECT rows_of('t');
ROLLBACK TO a;
SELECT rows_of('t');
DELETE FROM t_heap WHERE id = 2;
DELETE FROM t_iceberg WHERE id = 2;
COMMIT;
SELECT rows_of('t');
-- The same row again and again.
BEGIN;
UPDATE t_heap SET v = 1 WHERE id = 3;
UPDATE t_iceberg SET v = 1 WHERE id = 3;
SAVEPOINT a;
UPDATE t_heap SET v = 2 WHERE id = 3;
UPDATE t_iceberg SET v = 2 WHERE id = 3;
ROLLBACK TO a;
UPDATE t_heap SET v = v + 2 WHERE id = 3;
UPDATE t_iceberg SET v = v + 2 WHERE id = 3;
SAVEPOINT b;
DELETE FROM t_heap WHERE id = 3;
DELETE FROM t_iceberg WHERE id = 3;
ROLLBACK TO b;
UPDATE t_heap SET v = v + 4 WHERE id = 3;
UPDATE t_iceberg SET v = v + 4 WHERE id = 3;
COMMIT;
SELECT rows_of('t');
-- TRUNCATE among them.
BEGIN;
UPDATE t_heap SET v = 50;
UPDATE t_iceberg SET v = 50;
TRUNCATE t_heap, t_iceberg;
SELECT run('INSERT INTO t_AM SELECT g, g FROM generate_series(1, 5) g'), run('UPDATE t_AM SET v = v * 2 WHERE id < 4'), run('DELETE FROM t_AM WHERE id = 2'), rows_of('t');
SAVEPOINT a;
TRUNCATE t_heap, t_iceberg;
SELECT run('INSERT INTO t_AM VALUES (9, 9)'), run('UPDATE t_AM SET v = 90'), rows_of('t');
ROLLBACK TO a;
SELECT rows_of('t'), run('DELETE FROM t_AM WHERE id = 5'), run('UPDATE t_AM SET v = v + 1 WHERE id = 1'), rows_of('t');
COMMIT;
SELECT rows_of('t');
BEGIN;
DELETE FROM t_heap;
DELETE FROM t_iceberg;
SAVEPOINT a;
TRUNCATE t_heap, t_iceberg;
INSERT INTO t_heap VALUES (7, 7);
INSERT INTO t_iceberg VALUES (7, 7);
ROLLBACK;
SELECT rows_of('t');
-- A table made in the transaction; DDL between the changes.
BEGIN;
SELECT run('CREATE TABLE new_AM (id int, v int) USING AM'), run('INSERT INTO new_AM VALUES (1, 1), (2, 2)'), run('UPDATE new_AM SET v = 10 WHERE id = 1'), run('DELETE FROM new_AM WHERE id = 2');
SAVEPOINT a;
SELECT run('ALTER TABLE new_AM RENAME v TO w'), run('UPDATE new_AM SET w = w + 1'), run('ALTER TABLE new_AM DROP COLUMN w'), run('UPDATE new_AM SET id = id + 1'), rows_of('new');
ROLLBACK TO a;
SELECT rows_of('new'), run('ALTER TABLE new_AM RENAME v TO w'), run('UPDATE new_AM SET w = w + 7'), rows_of('new');
COMMIT;
SELECT rows_of('new'), run('UPDATE new_AM SET w = w + 8'), rows_of('new');
-- PREPARE TRANSACTION.
BEGIN;
UPDATE t_heap SET v = v + 1000;
UPDATE t_iceberg SET v = v + 1000;
SAVEPOINT a;
DELETE FROM t_heap;
DELETE FROM t_iceberg;
ROLLBACK TO a;
DELETE FROM t_heap WHERE id = 4;
DELETE FROM t_iceberg WHERE id = 4;
SELECT id FROM t_iceberg WHERE id = 3 FOR UPDATE;
PREPARE TRANSACTION 'regress_iceberg_dml';
SELECT rows_of('t');
COMMIT PREPARED 'regress_iceberg_dml';
SELECT rows_of('t');
BEGIN;
DELETE FROM t_heap;
DELETE FROM t_iceberg;
PREPARE TRANSACTION 'regress_iceberg_dml';
ROLLBACK PREPARED 'regress_iceberg_dml';
SELECT rows_of('t'), run('UPDATE t_AM SET v = v - 1000'), rows_of('t');
-- PL/pgSQL: blocks that are undone, in loops; procedures that end transactions.
CREATE FUNCTION in_blocks(rel regclass) RETURNS int LANGUAGE plpgsql AS $$
DECLARE done int := 0;
BEGIN
    FOR i IN 1..30 LOOP
        BEGIN
            EXECUTE format('UPDATE %s SET v = v + 1 WHERE id = 1', rel);
            EXECUTE format('INSERT INTO %s VALUES (100 + $1, $1)', rel) USING i;
            IF i % 3 = 0 THEN EXECUTE format('DELETE FROM %s WHERE id = 100 + $1', rel) USING i - 1; END IF;
            IF i % 5 = 0 THEN RAISE EXCEPTION 'undo'; END IF;
            done := done + 1;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
    END LOOP;
    RETURN done;
END $$;
SELECT in_blocks('t_heap'), in_blocks('t_iceberg'), rows_of('t');
CREATE PROCEDURE in_steps(rel regclass) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..6 LOOP
        EXECUTE format('UPDATE %s SET v = v * 2 WHERE id = 1', rel);
        EXECUTE format('DELETE FROM %s WHERE id = 100 + $1', rel) USING i;
        IF i % 2 = 0 THEN COMMIT; ELSIF i = 3 THEN ROLLBACK; END IF;
    END LOOP;
END $$;
CALL in_steps('t_heap');
CALL in_steps('t_iceberg');
SELECT rows_of('t');
-- Errors within a transaction block.
BEGIN;
UPDATE t_iceberg SET v = 0;
UPDATE t_iceberg SET v = 1 / v;
COMMIT;
BEGIN;
DELETE FROM t_iceberg WHERE id > 100;
SAVEPOINT a;
UPDATE t_iceberg SET v = 1 / 0;
ROLLBACK TO a;
ROLLBACK;
SELECT rows_of('t');
-- A cursor keeps the rows of its opening.
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT * FROM t_iceberg WHERE id < 6 ORDER BY id;
FETCH 1 FROM c;
UPDATE t_iceberg SET v = -1;
DELETE FROM t_iceberg WHERE id = 3;
FETCH ALL FROM c;
FETCH FIRST FROM c;
SELECT count(*) FROM t_iceberg WHERE v = -1;
ROLLBACK;
-- Thousands of own rows changed twice.
BEGIN;
SELECT run('CREATE TABLE many_AM (id int, v int) USING AM'), run('INSERT INTO many_AM SELECT g, g FROM generate_series(1, 10000) g'), run('UPDATE many_AM SET v = v + 1');
SAVEPOINT a;
SELECT run('UPDATE many_AM SET v = v + 1'), run('DELETE FROM many_AM WHERE id % 2 = 0'), run('SELECT count(*), sum(v) FROM many_AM');
ROLLBACK TO a;
SELECT run('DELETE FROM many_AM WHERE id % 3 = 0'), run('SELECT count(*), sum(v) FROM many_AM');
COMMIT;
SELECT run('SELECT count(*), sum(v) FROM many_AM');

SET client_min_messages = warning;
DROP SCHEMA test_dml_savepoints CASCADE;
