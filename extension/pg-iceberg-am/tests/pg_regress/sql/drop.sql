-- DROP takes the table, its catalog rows and, at commit, its files.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_drop CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_drop;
SET search_path = test_drop;

CREATE TABLE t (id int) USING iceberg;
INSERT INTO t SELECT generate_series(1, 10);
DROP TABLE t;
SELECT * FROM t;
DROP TABLE t;
DROP TABLE IF EXISTS t;
-- The name is free again, and the new table is empty.
CREATE TABLE t (id text) USING iceberg;
SELECT count(*) FROM t;
INSERT INTO t VALUES ('new');

-- Undone by ROLLBACK and by ROLLBACK TO.
BEGIN;
DROP TABLE t;
SELECT count(*) FROM t;
ROLLBACK;
SELECT * FROM t;
BEGIN;
INSERT INTO t VALUES ('own');
SAVEPOINT s;
DROP TABLE t;
ROLLBACK TO s;
SELECT * FROM t ORDER BY id;
COMMIT;
SELECT * FROM t ORDER BY id;

-- Made, filled and dropped in one transaction; filled and dropped in one transaction.
BEGIN;
CREATE TABLE short_lived (id int) USING iceberg;
INSERT INTO short_lived VALUES (1);
DROP TABLE short_lived;
COMMIT;
BEGIN;
INSERT INTO t VALUES ('to be dropped');
DROP TABLE t;
COMMIT;
SELECT to_regclass('t'), to_regclass('short_lived');
DO $$
BEGIN
    FOR i IN 1..20 LOOP
        CREATE TABLE round (id int) USING iceberg;
        INSERT INTO round VALUES (i);
        DROP TABLE round;
    END LOOP;
END $$;

-- With what depends on it, with its schema, with its type, with its owner.
CREATE TABLE base (id int) USING iceberg;
CREATE VIEW over_base AS SELECT * FROM base;
CREATE MATERIALIZED VIEW matview_over_base USING iceberg AS SELECT * FROM base;
DROP TABLE base;
DROP TABLE base CASCADE;
CREATE SCHEMA test_drop_inner;
CREATE TABLE test_drop_inner.a (id int) USING iceberg;
CREATE TABLE test_drop_inner.b USING iceberg AS SELECT 1 AS one;
CREATE TABLE test_drop_inner.c (id int) USING heap;
DROP SCHEMA test_drop_inner;
DROP SCHEMA test_drop_inner CASCADE;
SELECT to_regclass('test_drop_inner.a');
CREATE TYPE pair AS (a int, b int);
CREATE TABLE with_type (p pair) USING iceberg;
DROP TYPE pair;
DROP TABLE with_type;
DROP TYPE pair;
SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_iceberg_drop;
RESET client_min_messages;
CREATE ROLE regress_iceberg_drop;
GRANT CREATE, USAGE ON SCHEMA test_drop TO regress_iceberg_drop;
SET ROLE regress_iceberg_drop;
CREATE TABLE owned (id int) USING iceberg;
INSERT INTO owned VALUES (1);
RESET ROLE;
DROP ROLE regress_iceberg_drop;
DROP OWNED BY regress_iceberg_drop;
DROP ROLE regress_iceberg_drop;
SELECT to_regclass('owned');

-- Temporary tables go at the end of the session.
CREATE TEMPORARY TABLE of_session (id int) USING iceberg;
INSERT INTO of_session VALUES (1);
DISCARD TEMP;
SELECT to_regclass('of_session');

SET client_min_messages = warning;
DROP SCHEMA test_drop CASCADE;
