-- VACUUM in every form succeeds and changes no row.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_vacuum CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_vacuum;
SET search_path = test_vacuum;

CREATE TABLE t (id int, name text) USING iceberg;
VACUUM t;
INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 1000) g;
INSERT INTO t VALUES (1001, NULL);
VACUUM t;
VACUUM (ANALYZE) t;
VACUUM (FREEZE) t;
VACUUM (PARALLEL 2, INDEX_CLEANUP ON, TRUNCATE ON, DISABLE_PAGE_SKIPPING, SKIP_LOCKED, PROCESS_TOAST FALSE) t;
VACUUM (PROCESS_MAIN FALSE) t;
SELECT count(*), sum(id), max(name) FROM t;
SELECT reltuples FROM pg_class WHERE oid = 't'::regclass;
VACUUM FULL t;
SELECT count(*), sum(id), max(name) FROM t;
VACUUM (FULL, ANALYZE) t;
SELECT count(*), sum(id), count(name) FROM t;
INSERT INTO t VALUES (1002, 'after VACUUM FULL');
SELECT count(*), sum(id) FROM t;
-- Over many small files.
DO $$ BEGIN FOR i IN 1..30 LOOP INSERT INTO t VALUES (2000 + i, 'small'); END LOOP; END $$;
DO $$ BEGIN FOR i IN 1..5 LOOP BEGIN INSERT INTO t VALUES (3000 + i, 'undone'); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$;
VACUUM t;
VACUUM FULL t;
SELECT count(*), sum(id) FROM t;
-- Not in a transaction; on empty, temporary, unlogged tables, materialized views and partitions.
BEGIN;
VACUUM t;
ROLLBACK;
CREATE TABLE empty (id int) USING iceberg;
CREATE TEMPORARY TABLE of_session USING iceberg AS SELECT 1 AS id;
CREATE UNLOGGED TABLE unlogged USING iceberg AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW m USING iceberg AS SELECT count(*) FROM t;
CREATE TABLE parent (id int) PARTITION BY RANGE (id);
CREATE TABLE leaf PARTITION OF parent FOR VALUES FROM (0) TO (10) USING iceberg;
INSERT INTO parent VALUES (1);
VACUUM (ANALYZE) empty, of_session, unlogged, m, parent;
VACUUM FULL empty, of_session, unlogged, m, parent;
SELECT (SELECT count(*) FROM empty) AS empty, (SELECT count(*) FROM of_session) AS of_session, (SELECT count(*) FROM unlogged) AS unlogged,
    (SELECT count FROM m) AS m, (SELECT count(*) FROM parent) AS parent;
SELECT age(relfrozenxid) < 1000000 AS young FROM pg_class WHERE oid = 't'::regclass AND relfrozenxid <> '0' UNION ALL
SELECT true FROM pg_class WHERE oid = 't'::regclass AND relfrozenxid = '0';
-- Of the whole database.
VACUUM;
ANALYZE;

-- Horizons that VACUUM FULL and REFRESH give a table move on with the next VACUUM: otherwise the database would come
-- to the end of its transaction ids.
CREATE TABLE rewritten USING iceberg AS SELECT 1 AS id;
VACUUM FULL rewritten;
CREATE MATERIALIZED VIEW refreshed USING iceberg AS SELECT 1 AS id;
CREATE TEMPORARY TABLE horizons AS SELECT oid, relfrozenxid, relminmxid FROM pg_class WHERE relname IN ('rewritten', 'refreshed');
VACUUM rewritten, refreshed;
SELECT relname, age(h.relfrozenxid) > age(c.relfrozenxid) AS moved_on, c.relminmxid <> '0' AS has_multi
  FROM pg_class c JOIN horizons h USING (oid) ORDER BY 1;
DROP TABLE rewritten;
DROP MATERIALIZED VIEW refreshed;
SET client_min_messages = warning;
DROP SCHEMA test_vacuum CASCADE;
