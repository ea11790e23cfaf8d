-- Transactions: own writes are read, ROLLBACK leaves nothing, several tables go together.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_transactions CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_transactions;
SET search_path = test_transactions;

CREATE TABLE t (id int, name text) USING iceberg;
CREATE TABLE u (id int) USING iceberg;
CREATE TABLE h (id int PRIMARY KEY) USING heap;

-- Own writes, statement by statement, in one transaction.
BEGIN;
SELECT count(*) FROM t;
INSERT INTO t VALUES (1, 'a');
SELECT count(*) FROM t;
INSERT INTO t SELECT g, 'b' FROM generate_series(2, 5) g;
SELECT count(*), sum(id) FROM t;
COPY t FROM stdin;
6	c
7	d
\.
SELECT count(*), sum(id) FROM t;
INSERT INTO t SELECT id + 100, name FROM t WHERE id > 5;
SELECT count(*), max(id) FROM t;
ROLLBACK;
SELECT count(*) FROM t;
BEGIN;
INSERT INTO t VALUES (1, 'kept');
COMMIT;
SELECT * FROM t;

-- Several tables, heap among them, commit or vanish together.
BEGIN;
INSERT INTO t VALUES (2, 'two');
INSERT INTO u VALUES (2);
INSERT INTO h VALUES (2);
COMMIT;
BEGIN;
INSERT INTO t VALUES (3, 'three');
INSERT INTO u VALUES (3);
INSERT INTO h VALUES (3), (2);
COMMIT;
SELECT (SELECT count(*) FROM t) AS t, (SELECT count(*) FROM u) AS u, (SELECT count(*) FROM h) AS h;
-- A failing statement takes its own rows only.
\set ON_ERROR_ROLLBACK on
BEGIN;
INSERT INTO t VALUES (4, 'four');
INSERT INTO t SELECT g, (1 / (g - 7))::text FROM generate_series(5, 9) g;
INSERT INTO u VALUES (4);
COMMIT;
\unset ON_ERROR_ROLLBACK
SELECT (SELECT max(id) FROM t) AS t, (SELECT max(id) FROM u) AS u;

-- A statement does not see what it writes itself, but volatile functions in it do.
TRUNCATE t;
CREATE FUNCTION rows_now() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT count(*) FROM t';
CREATE FUNCTION rows_then() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM t';
INSERT INTO t SELECT g, rows_now() || ' ' || rows_then() FROM generate_series(1, 4) g;
SELECT * FROM t ORDER BY id;
CREATE FUNCTION put(int) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN INSERT INTO t VALUES ($1, 'put'); RETURN (SELECT count(*) FROM t); END $$;
SELECT put(10), put(11), (SELECT count(*) FROM t) AS of_statement;
SELECT put(g) FROM generate_series(12, 14) g;
SELECT count(*) FROM t WHERE put(15) > 0 AND id < 3;
SELECT count(*) FROM t;
-- Rows of an outer and of an inner statement come in turn.
CREATE TABLE turns (n int, rows_then text) USING iceberg;
CREATE FUNCTION inner_row(n int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO turns VALUES (100 + n, (SELECT count(*) FROM turns));
    RETURN (SELECT count(*) FROM turns);
END $$;
INSERT INTO turns SELECT g, inner_row(g) FROM generate_series(1, 6) g WHERE (SELECT count(*) FROM turns) = 0;
SELECT string_agg(n || ': ' || rows_then, ', ' ORDER BY n) FROM turns;
WITH a AS (INSERT INTO t VALUES (20, 'cte') RETURNING id), b AS (INSERT INTO u SELECT id FROM a RETURNING id)
SELECT (SELECT count(*) FROM t WHERE id = 20) AS t, (SELECT count(*) FROM u WHERE id = 20) AS u, (SELECT id FROM b) AS b;
SELECT (SELECT count(*) FROM t WHERE id = 20) AS t, (SELECT count(*) FROM u WHERE id = 20) AS u;

-- DDL and rows in one transaction, undone together.
BEGIN;
CREATE TABLE made (id int) USING iceberg;
INSERT INTO made SELECT * FROM u;
ALTER TABLE made RENAME TO made_2;
INSERT INTO made_2 VALUES (1000);
TRUNCATE u;
DROP TABLE t;
CREATE TABLE t (other date) USING iceberg;
INSERT INTO t VALUES ('2024-01-01');
SELECT (SELECT count(*) FROM t) AS t, (SELECT count(*) FROM u) AS u, (SELECT max(id) FROM made_2) AS made;
ROLLBACK;
SELECT (SELECT count(*) FROM t) AS t, (SELECT count(*) FROM u) AS u, to_regclass('made') AS made, to_regclass('made_2') AS made_2;

-- Isolation levels and access modes, chained and read only.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM u;
INSERT INTO u VALUES (50);
SELECT count(*) FROM u WHERE id = 50;
COMMIT AND CHAIN;
INSERT INTO u VALUES (51);
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO u SELECT max(id) + 1 FROM u;
COMMIT;
BEGIN READ ONLY;
SELECT max(id) FROM u;
INSERT INTO u VALUES (52);
ROLLBACK;
SELECT max(id) FROM u;

-- In procedures that commit, and at COMMIT by deferred triggers.
CREATE PROCEDURE steps() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..6 LOOP
        INSERT INTO u VALUES (100 + i);
        IF i % 2 = 0 THEN COMMIT; ELSE INSERT INTO u VALUES (200 + i); END IF;
        IF i = 5 THEN ROLLBACK; END IF;
    END LOOP;
END $$;
CALL steps();
SELECT array_agg(id ORDER BY id) FROM u WHERE id > 100;
DO $$ BEGIN FOR r IN 1..3 LOOP INSERT INTO t VALUES (300 + r, 'do'); COMMIT; INSERT INTO t VALUES (400, 'undone'); ROLLBACK; END LOOP; END $$;
SELECT count(*), max(id) FROM t WHERE id >= 300;
-- Many tables in one transaction.
BEGIN;
DO $$ BEGIN FOR i IN 1..20 LOOP
    EXECUTE format('CREATE TABLE many_%s (id int) USING iceberg', i);
    EXECUTE format('INSERT INTO many_%s SELECT generate_series(1, %s)', i, i);
END LOOP; END $$;
COMMIT;
SELECT (SELECT count(*) FROM many_1) AS one, (SELECT count(*) FROM many_13) AS thirteen, (SELECT count(*) FROM many_20) AS twenty;

SET client_min_messages = warning;
DROP SCHEMA test_transactions CASCADE;
