-- local tables only: it is of sizes on disk.
-- pg_relation_size and its siblings kept their locks to the end of the transaction, could be called by whom a
-- REVOKE had taken them from, kept queries from being parallel, and overlooked Iceberg tables within SQL
-- functions, databases and tablespaces.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_size_functions CASCADE;
SET allow_in_place_tablespaces = on;
DROP TABLESPACE IF EXISTS regress_lake_sizes;
CREATE TABLESPACE regress_lake_sizes LOCATION '';
RESET client_min_messages;
CREATE SCHEMA test_size_functions;
SET search_path = test_size_functions;

CREATE TABLE t (id int, filler text) USING iceberg;
CREATE TABLE heap (id int) USING heap;
INSERT INTO t SELECT g, md5(g::text) || md5((-g)::text) FROM generate_series(1, 10000) g;

-- Locks are gone when the functions return; those on what was asked for by a catalog's function, too.
BEGIN;
SELECT pg_relation_size('t') > 0 AS main, pg_relation_size('t', 'vm') AS vm, pg_table_size('t') > 0 AS table_size,
    pg_total_relation_size('t') > 0 AS total, pg_indexes_size('t') AS indexes, pg_table_size('heap') AS heap,
    pg_total_relation_size('pg_authid') > 0 AS authid, lakebase.iceberg_location('pg_authid') AS no_location,
    lakebase.iceberg_location('t') IS NOT NULL AS location;
SELECT DISTINCT relation::regclass::text COLLATE "C" AS locked, mode FROM pg_locks
    WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation IN ('t'::regclass, 'heap'::regclass, 'pg_authid'::regclass) ORDER BY 1;
COMMIT;

-- Whatever way a query comes to call them.
CREATE FUNCTION inlined(regclass) RETURNS bigint LANGUAGE sql AS 'SELECT pg_relation_size($1)';
CREATE FUNCTION with_body(regclass) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT pg_table_size($1); END;
CREATE FUNCTION rows_of(regclass) RETURNS SETOF bigint STABLE LANGUAGE sql AS 'SELECT pg_relation_size($1)';
CREATE FUNCTION in_plpgsql(relation regclass) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN pg_total_relation_size(relation); END';
CREATE VIEW in_view AS SELECT pg_relation_size(c.oid) AS size FROM pg_class c WHERE c.oid = 't'::regclass;
PREPARE prepared (regclass) AS SELECT pg_relation_size($1) = size FROM in_view;
SELECT size AS size FROM in_view \gset
SELECT inlined('t') = :size AS inlined, with_body('t') > :size AS with_body, in_plpgsql('t') > :size AS in_plpgsql,
    (SELECT max(r) FROM rows_of('t') r) = :size AS rows_of;
SELECT * FROM rows_of('t') r WHERE r <> :size;
EXECUTE prepared ('t');
-- In every part of a plan.
SELECT count(*) FROM pg_class WHERE relnamespace = 'test_size_functions'::regnamespace AND pg_relation_size(oid) = :size;
SELECT oid::regclass FROM pg_class WHERE oid IN ('t'::regclass, 'heap'::regclass) ORDER BY pg_relation_size(oid) DESC LIMIT (pg_relation_size('t') = :size)::int;
SELECT max(pg_relation_size(oid)) = :size AS max, count(*) FILTER (WHERE pg_relation_size(oid) = :size) AS one FROM pg_class WHERE oid IN ('t'::regclass, 'heap'::regclass);
SELECT a.id FROM (VALUES (pg_relation_size('t'), 1), (0, 2)) AS a(size, id) JOIN (VALUES (1)) AS b(id) ON a.size = pg_relation_size('t') + b.id - 1;
SELECT sum(pg_relation_size('t')) OVER (ROWS BETWEEN CURRENT ROW AND (pg_relation_size('t') - :size) FOLLOWING) = :size AS window FROM generate_series(1, 2);
WITH w AS MATERIALIZED (SELECT pg_relation_size('t') AS s) SELECT s = :size AS cte, (SELECT pg_relation_size('t') = w.s) AS sublink FROM w;
INSERT INTO heap SELECT 1 RETURNING pg_relation_size('t') = :size AS returning;
UPDATE heap SET id = (pg_relation_size('t') = :size)::int + 1 WHERE pg_relation_size('t') = :size RETURNING id;

-- Parallel safe, as the originals.
SELECT oid::regprocedure, provolatile, proparallel, proisstrict FROM pg_proc
    WHERE pronamespace = 'lakebase'::regnamespace AND proname ~ '_size$' ORDER BY oid::regprocedure::text COLLATE "C";
SET debug_parallel_query = on;
EXPLAIN (COSTS OFF) SELECT pg_relation_size('t');
SELECT pg_relation_size('t') = :size AS in_worker, pg_table_size('t') > :size AS table_size, pg_database_size(current_database()) > :size AS database;
RESET debug_parallel_query;

-- REVOKE holds, and so does who may see what of a database or a tablespace.
CREATE ROLE regress_iceberg_nosy;
GRANT USAGE ON SCHEMA test_size_functions TO regress_iceberg_nosy;
BEGIN;
REVOKE EXECUTE ON FUNCTION pg_relation_size(regclass, text), pg_table_size(regclass), pg_total_relation_size(regclass),
    pg_database_size(name), pg_database_size(oid), pg_tablespace_size(name) FROM PUBLIC;
SET LOCAL ROLE regress_iceberg_nosy;
SAVEPOINT s;
SELECT pg_relation_size('t');
ROLLBACK TO s;
SELECT pg_table_size('t');
ROLLBACK TO s;
SELECT pg_total_relation_size('heap');
ROLLBACK TO s;
SELECT lakebase.table_size('t');
ROLLBACK TO s;
SELECT pg_database_size(current_database());
ROLLBACK TO s;
SELECT pg_database_size(oid) FROM pg_database WHERE datname = current_database();
ROLLBACK TO s;
SELECT pg_tablespace_size('regress_lake_sizes');
ROLLBACK;
SET ROLE regress_iceberg_nosy;
SELECT pg_tablespace_size('regress_lake_sizes');
SELECT pg_tablespace_size(oid) FROM pg_tablespace WHERE spcname = 'regress_lake_sizes';
SELECT pg_relation_size('t') = :size AS size_is_public;
RESET ROLE;
REVOKE USAGE ON SCHEMA test_size_functions FROM regress_iceberg_nosy;
DROP ROLE regress_iceberg_nosy;

-- Mistakes, and what is gone.
SELECT pg_relation_size('t', 'no such fork');
SELECT pg_relation_size(1), pg_table_size(1), pg_total_relation_size(1), pg_database_size(1234567::oid), pg_tablespace_size(1::oid);
SELECT pg_database_size('no_such_database');
SELECT pg_tablespace_size('no_such_tablespace');

-- Databases and tablespaces have what is in the tables' directories.
CREATE TABLE there (id int, filler text) USING iceberg TABLESPACE regress_lake_sizes;
SELECT pg_database_size(current_database()) AS database, pg_tablespace_size('regress_lake_sizes') AS tablespace, pg_tablespace_size('pg_default') AS default_tablespace \gset
INSERT INTO there TABLE t;
SELECT pg_total_relation_size('there') > 300000 AS large, pg_tablespace_size('regress_lake_sizes') - :tablespace > 300000 AS tablespace,
    (SELECT pg_tablespace_size(oid) FROM pg_tablespace WHERE spcname = 'regress_lake_sizes') = pg_tablespace_size('regress_lake_sizes') AS by_oid,
    pg_database_size(current_database()) - :database > 300000 AS database,
    pg_database_size((SELECT oid FROM pg_database WHERE datname = current_database())) - :database > 300000 AS database_by_oid;
INSERT INTO t TABLE there;
SELECT pg_tablespace_size('pg_default') - :default_tablespace > 300000 AS default_tablespace, pg_tablespace_size('pg_global') > 0 AS global;

SET client_min_messages = warning;
DROP SCHEMA test_size_functions CASCADE;
DROP TABLESPACE regress_lake_sizes;
