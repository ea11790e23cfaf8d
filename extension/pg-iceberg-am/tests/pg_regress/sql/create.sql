-- The ways to make a table: every one of them gives a table that takes rows.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_create CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_create;
SET search_path = test_create;

CREATE VIEW access_methods AS
    SELECT c.relname, c.relkind, c.relpersistence, a.amname
    FROM pg_class c LEFT JOIN pg_am a ON a.oid = c.relam
    WHERE c.relnamespace = 'test_create'::regnamespace AND c.relkind IN ('r', 'm', 'p', 't');

CREATE TABLE plain (id int NOT NULL, name text DEFAULT 'nobody') USING iceberg;
INSERT INTO plain VALUES (1, 'one');
INSERT INTO plain (id) VALUES (2);
SELECT * FROM plain ORDER BY id;

-- The name is taken.
CREATE TABLE plain (id int) USING iceberg;
CREATE TABLE IF NOT EXISTS plain (other text) USING iceberg;
SELECT * FROM plain ORDER BY id;

-- LIKE, from an Iceberg and from a heap table.
CREATE TABLE like_iceberg (LIKE plain INCLUDING ALL) USING iceberg;
CREATE TABLE heap_source (a int DEFAULT 7 CHECK (a > 0), b varchar(5), c numeric(8, 2)) USING heap;
CREATE TABLE like_heap (LIKE heap_source INCLUDING ALL) USING iceberg;
INSERT INTO like_iceberg (id) VALUES (3);
INSERT INTO like_heap (b, c) VALUES ('five5', 123456.78);
INSERT INTO like_heap VALUES (0, 'x', 1);
INSERT INTO like_heap VALUES (1, 'sixsix', 1);
SELECT * FROM like_iceberg;
SELECT * FROM like_heap;

-- AS, with and without data, and over an existing name.
CREATE TABLE as_select USING iceberg AS SELECT g AS n, 'row ' || g AS label FROM generate_series(1, 5) g;
CREATE TABLE as_empty USING iceberg AS SELECT * FROM as_select WITH NO DATA;
CREATE TABLE as_columns (x, y) USING iceberg AS VALUES (1, 'a'::text), (2, NULL);
CREATE TABLE IF NOT EXISTS as_select USING iceberg AS SELECT 99 AS n;
CREATE TABLE as_execute_source USING iceberg AS SELECT 1 AS a;
PREPARE three(int) AS SELECT g AS a FROM generate_series(1, $1) g;
CREATE TABLE as_execute USING iceberg AS EXECUTE three(3);
SELECT * FROM as_select ORDER BY n;
SELECT * FROM as_empty;
SELECT * FROM as_columns ORDER BY x;
SELECT * FROM as_execute ORDER BY a;
INSERT INTO as_empty SELECT * FROM as_select WHERE n < 3;
SELECT count(*) FROM as_empty;

-- A typed table, and a child of a heap table.
CREATE TYPE pair AS (left_side int, right_side text);
CREATE TABLE typed OF pair (left_side WITH OPTIONS NOT NULL) USING iceberg;
INSERT INTO typed VALUES (1, 'r');
INSERT INTO typed VALUES (NULL, 'r');
SELECT * FROM typed;
CREATE TABLE parent (id int, name text) USING heap;
CREATE TABLE child (extra date) INHERITS (parent) USING iceberg;
INSERT INTO parent VALUES (1, 'parent');
INSERT INTO child VALUES (2, 'child', '2024-02-29');
SELECT tableoid::regclass, * FROM parent ORDER BY id;
SELECT tableoid::regclass, * FROM ONLY parent ORDER BY id;

-- Without a USING clause the default access method decides.
SET default_table_access_method = iceberg;
CREATE TABLE by_default (id int);
CREATE TABLE by_default_as AS SELECT 1 AS one;
SELECT 2 AS two INTO by_select_into;
CREATE MATERIALIZED VIEW by_default_matview AS SELECT 3 AS three;
CREATE SEQUENCE by_default_sequence;
RESET default_table_access_method;
SELECT nextval('by_default_sequence');
SELECT one, two, three FROM by_default_as, by_select_into, by_default_matview;

-- Unlogged and temporary tables.
CREATE UNLOGGED TABLE unlogged (id int, note text) USING iceberg;
INSERT INTO unlogged VALUES (1, 'u');
SELECT * FROM unlogged;
CREATE TEMPORARY TABLE temporary (id int, note text) USING iceberg;
INSERT INTO temporary VALUES (1, 't');
SELECT * FROM temporary;
BEGIN;
CREATE TEMPORARY TABLE dropped_at_commit (id int) USING iceberg ON COMMIT DROP;
INSERT INTO dropped_at_commit VALUES (1), (2);
SELECT count(*) FROM dropped_at_commit;
COMMIT;
SELECT count(*) FROM dropped_at_commit;
CREATE TEMPORARY TABLE emptied_at_commit (id int) USING iceberg ON COMMIT DELETE ROWS;
BEGIN;
INSERT INTO emptied_at_commit VALUES (1), (2);
SELECT count(*) FROM emptied_at_commit;
COMMIT;
SELECT count(*) FROM emptied_at_commit;
INSERT INTO emptied_at_commit VALUES (3);
SELECT count(*) FROM emptied_at_commit;
DROP TABLE emptied_at_commit;

-- Wide rows and a table of one column.
DO $$
BEGIN
    EXECUTE (SELECT 'CREATE TABLE wide (' || string_agg('c' || g || ' int', ', ' ORDER BY g) || ') USING iceberg'
             FROM generate_series(1, 400) g);
    EXECUTE (SELECT 'INSERT INTO wide VALUES (' || string_agg(g::text, ', ' ORDER BY g) || ')'
             FROM generate_series(1, 400) g);
END $$;
SELECT c1, c200, c400 FROM wide;

-- Made and undone.
BEGIN;
CREATE TABLE undone (id int) USING iceberg;
INSERT INTO undone VALUES (1);
SELECT * FROM undone;
ROLLBACK;
SELECT * FROM undone;

SELECT * FROM access_methods ORDER BY relname COLLATE "C";

SET client_min_messages = warning;
DROP SCHEMA test_create CASCADE;
