-- local tables only: it is of tablespaces on disk.
-- A regular tablespace holds Iceberg tables as it holds heap tables.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_create_tablespace CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_create_tablespace;
SET search_path = test_create_tablespace;

SET client_min_messages = warning;
SET allow_in_place_tablespaces = on;
DROP TABLESPACE IF EXISTS regress_lake_local;
CREATE TABLESPACE regress_lake_local LOCATION '';
RESET client_min_messages;

CREATE TABLE there (id int, name text) USING iceberg TABLESPACE regress_lake_local;
INSERT INTO there SELECT g, 'row ' || g FROM generate_series(1, 10) g;
SELECT count(*), sum(id), min(name) FROM there;
SELECT s.spcname FROM pg_class c JOIN pg_tablespace s ON s.oid = c.reltablespace WHERE c.oid = 'there'::regclass;
CREATE TABLE as_there USING iceberg TABLESPACE regress_lake_local AS SELECT * FROM there WHERE id <= 3;
SELECT * FROM as_there ORDER BY id;

-- By default_tablespace.
SET default_tablespace = regress_lake_local;
CREATE TABLE by_default (id int) USING iceberg;
RESET default_tablespace;
INSERT INTO by_default VALUES (1);
SELECT s.spcname FROM pg_class c JOIN pg_tablespace s ON s.oid = c.reltablespace WHERE c.oid = 'by_default'::regclass;

-- The tablespace is not empty while the tables are there.
DROP TABLESPACE regress_lake_local;
CREATE TABLE nowhere (id int) USING iceberg TABLESPACE regress_no_such_tablespace;
SELECT pg_size_pretty(pg_tablespace_size('regress_lake_local')) <> '0 bytes' AS holds_bytes;

-- There and back again.
CREATE TABLE moved (id int, name text) USING iceberg;
INSERT INTO moved SELECT g, 'row ' || g FROM generate_series(1, 100) g;
ALTER TABLE moved SET TABLESPACE regress_lake_local;
SELECT count(*), sum(id), max(name) FROM moved;
INSERT INTO moved VALUES (101, 'in the new place');
BEGIN;
ALTER TABLE moved SET TABLESPACE pg_default;
INSERT INTO moved VALUES (102, 'undone');
SELECT count(*) FROM moved;
ROLLBACK;
SELECT count(*), sum(id), max(id) FROM moved;
ALTER TABLE moved SET TABLESPACE pg_default;
SELECT count(*), sum(id), max(id) FROM moved;
SELECT reltablespace FROM pg_class WHERE oid = 'moved'::regclass;
INSERT INTO moved VALUES (103, 'home');
SELECT count(*) FROM moved;

DROP TABLE there, as_there, by_default, moved;
DROP TABLESPACE regress_lake_local;

SET client_min_messages = warning;
DROP SCHEMA test_create_tablespace CASCADE;
