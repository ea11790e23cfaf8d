-- A statement that fails while it writes rows of before its savepoint: they are not lost behind the transaction's back.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_lost_rows CASCADE;
CREATE EXTENSION IF NOT EXISTS injection_points;
RESET client_min_messages;
CREATE SCHEMA test_lost_rows;
SET search_path = test_lost_rows, public;
SELECT injection_points_set_local();

CREATE TABLE t (id int) USING iceberg;
CREATE TABLE u (id int, note text) USING iceberg;

-- A query that must complete the data file which has rows of before the savepoint.
BEGIN;
INSERT INTO t SELECT generate_series(1, 70000);
SAVEPOINT s;
SELECT injection_points_attach('iceberg-file-finished', 'error');
\set VERBOSITY sqlstate
SELECT count(*) FROM t;
\set VERBOSITY default
ROLLBACK TO s;
SELECT injection_points_detach('iceberg-file-finished');
SELECT count(*) FROM t;
ROLLBACK TO s;
INSERT INTO t VALUES (0);
ROLLBACK TO s;
-- A savepoint of later has nothing to give back.
SAVEPOINT s2;
INSERT INTO t VALUES (0);
ROLLBACK TO s2;
INSERT INTO u VALUES (1);
COMMIT;
SELECT count(*) FROM t;
SELECT count(*) FROM u;

-- A savepoint of before the rows has all that is needed.
BEGIN;
INSERT INTO t VALUES (-1);
SAVEPOINT s;
INSERT INTO t SELECT generate_series(1, 70000);
SAVEPOINT s2;
SELECT injection_points_attach('iceberg-file-finished', 'error');
\set VERBOSITY sqlstate
SELECT count(*) FROM t;
\set VERBOSITY default
ROLLBACK TO s2;
SELECT injection_points_detach('iceberg-file-finished');
ROLLBACK TO s;
INSERT INTO t VALUES (-2);
SELECT * FROM t ORDER BY id;
ROLLBACK;
BEGIN;
SAVEPOINT s;
INSERT INTO t SELECT generate_series(1, 70000);
SAVEPOINT s2;
SELECT injection_points_attach('iceberg-file-finished', 'error');
\set VERBOSITY sqlstate
SELECT count(*) FROM t;
\set VERBOSITY default
ROLLBACK TO s2;
SELECT injection_points_detach('iceberg-file-finished');
ROLLBACK TO s;
INSERT INTO t VALUES (-2);
COMMIT;
SELECT * FROM t ORDER BY id;
TRUNCATE t;

-- Rows of another table, which give way to those that a statement inserts.
SET pg_iceberg_am.write_work_mem = '1MB';
BEGIN;
INSERT INTO u SELECT i, repeat('x', 100) FROM generate_series(1, 9000) i;
SELECT injection_points_attach('iceberg-file-created', 'error');
DO $$
BEGIN
    INSERT INTO t SELECT generate_series(1, 60000);
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'failed';
END
$$;
SELECT injection_points_detach('iceberg-file-created');
SELECT count(*) FROM t;
COMMIT;
SELECT count(*) FROM u;
RESET pg_iceberg_am.write_work_mem;

-- A table that is truncated needs no rows, and one that is dropped none either.
BEGIN;
INSERT INTO t SELECT generate_series(1, 70000);
SAVEPOINT s;
SELECT injection_points_attach('iceberg-file-finished', 'error');
\set VERBOSITY sqlstate
SELECT count(*) FROM t;
\set VERBOSITY default
ROLLBACK TO s;
SELECT injection_points_detach('iceberg-file-finished');
TRUNCATE t;
INSERT INTO t VALUES (3);
DROP TABLE u;
COMMIT;
SELECT * FROM t;

-- What cannot be shown to parallel workers is there all the same, for the commit.
CREATE TABLE h AS SELECT generate_series(1, 1000) AS id;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT count(*) FROM h;
BEGIN;
INSERT INTO t SELECT generate_series(1, 70000);
SAVEPOINT s;
SELECT injection_points_attach('iceberg-handing-over', 'error');
SELECT count(*) FROM h;
ROLLBACK TO s;
SELECT injection_points_detach('iceberg-handing-over');
COMMIT;
SELECT count(*) FROM t;

DROP SCHEMA test_lost_rows CASCADE;
DROP EXTENSION injection_points;
