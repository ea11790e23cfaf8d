-- SET ACCESS METHOD moves a table with its rows, both ways.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_alter_access_method CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_alter_access_method;
SET search_path = test_alter_access_method;

SET datestyle = ISO, YMD;
CREATE TABLE t (
    id int NOT NULL, name text DEFAULT 'unnamed', amount numeric(10, 2) CHECK (amount > -1000), tags text[], at timestamptz,
    twice int GENERATED ALWAYS AS (id * 2) STORED
) USING heap;
INSERT INTO t SELECT g, CASE WHEN g % 7 > 0 THEN 'row ' || g END, g * 1.01, ARRAY[g::text, NULL], '2024-01-01 00:00+00'::timestamptz + g * interval '1 minute'
    FROM generate_series(1, 1000) g;
DELETE FROM t WHERE id % 10 = 0;
CREATE TABLE before_move USING heap AS SELECT * FROM t;
CREATE VIEW method AS SELECT a.amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.oid = 'test_alter_access_method.t'::regclass;

ALTER TABLE t SET ACCESS METHOD iceberg;
TABLE method;
SELECT count(*) FROM t;
SELECT count(*) FROM ((TABLE t EXCEPT ALL TABLE before_move) UNION ALL (TABLE before_move EXCEPT ALL TABLE t)) d;
INSERT INTO t (id, amount) VALUES (2000, 1) RETURNING *;
INSERT INTO t (id, amount) VALUES (2001, -1000);
INSERT INTO t (amount) VALUES (1);
-- To the method that it has.
ALTER TABLE t SET ACCESS METHOD iceberg;
SELECT count(*) FROM t;

ALTER TABLE t SET ACCESS METHOD heap;
TABLE method;
SELECT count(*) FROM t;
SELECT count(*) FROM ((SELECT * FROM t WHERE id < 2000 EXCEPT ALL TABLE before_move) UNION ALL (TABLE before_move EXCEPT ALL SELECT * FROM t WHERE id < 2000)) d;
UPDATE t SET name = 'heap again' WHERE id = 2000 RETURNING name, twice;

-- Undone.
BEGIN;
ALTER TABLE t SET ACCESS METHOD iceberg;
INSERT INTO t (id, amount) VALUES (3000, 1);
SELECT count(*) FROM t;
ROLLBACK;
TABLE method;
SELECT count(*) FROM t;
BEGIN;
ALTER TABLE t SET ACCESS METHOD iceberg;
ALTER TABLE t SET ACCESS METHOD heap;
ALTER TABLE t SET ACCESS METHOD iceberg;
COMMIT;
TABLE method;
SELECT count(*), sum(id) FROM t;
BEGIN;
INSERT INTO t (id, amount) VALUES (4000, 1);
SAVEPOINT s;
ALTER TABLE t SET ACCESS METHOD heap;
DELETE FROM t;
ROLLBACK TO s;
COMMIT;
TABLE method;
SELECT count(*), sum(id) FROM t;
-- To the default one.
SET default_table_access_method = heap;
ALTER TABLE t SET ACCESS METHOD DEFAULT;
TABLE method;
SELECT count(*), sum(id) FROM t;
RESET default_table_access_method;

-- A table that lost a column while it was a heap keeps its rows.
CREATE TABLE lost (a int, b text, c date) USING heap;
INSERT INTO lost VALUES (1, 'one', '2024-01-01'), (2, 'two', NULL);
ALTER TABLE lost DROP COLUMN b;
ALTER TABLE lost ADD COLUMN d int DEFAULT 5;
ALTER TABLE lost SET ACCESS METHOD iceberg;
INSERT INTO lost VALUES (3, '2024-03-03');
INSERT INTO lost (d, a) VALUES (9, 4);
SELECT * FROM lost ORDER BY a;
SELECT l, d FROM lost l WHERE a = 1;
-- An empty one, a temporary one, a materialized view.
CREATE TABLE empty (a int) USING heap;
ALTER TABLE empty SET ACCESS METHOD iceberg;
INSERT INTO empty VALUES (1);
SELECT * FROM empty;
CREATE TEMPORARY TABLE of_session (a int) USING heap;
INSERT INTO of_session VALUES (1);
ALTER TABLE of_session SET ACCESS METHOD iceberg;
SELECT * FROM of_session;
CREATE MATERIALIZED VIEW m USING heap AS SELECT id FROM t WHERE id <= 5;
ALTER MATERIALIZED VIEW m SET ACCESS METHOD iceberg;
SELECT count(*) FROM m;
REFRESH MATERIALIZED VIEW m;
SELECT count(*) FROM m;

SET client_min_messages = warning;
DROP SCHEMA test_alter_access_method CASCADE;
