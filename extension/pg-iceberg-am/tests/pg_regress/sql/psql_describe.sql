-- local tables only: \d tells the tablespace.
-- What psql's backslash commands show.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_psql_describe CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_psql_describe;
SET search_path = test_psql_describe;

\set HIDE_TABLEAM off
CREATE TABLE t (id int NOT NULL, name text DEFAULT 'x', tags text[] CHECK (cardinality(tags) < 9)) USING iceberg;
COMMENT ON COLUMN t.name IS 'what it is called';
INSERT INTO t VALUES (1);
\d t
\d+ t
CREATE TABLE parted (id int) PARTITION BY RANGE (id) USING iceberg;
CREATE TABLE leaf PARTITION OF parted FOR VALUES FROM (0) TO (10);
\d+ parted
\d+ leaf
CREATE MATERIALIZED VIEW m USING iceberg AS SELECT id FROM t;
\d+ m
CREATE UNLOGGED TABLE u () INHERITS (t) USING iceberg;
\d+ u
\dA iceberg

SET client_min_messages = warning;
DROP SCHEMA test_psql_describe CASCADE;
