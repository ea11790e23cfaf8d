-- local tables only: threads do not read those in object stores.
-- Long data files are read ahead by threads.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_decoder_threads CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_decoder_threads;
SET search_path = test_decoder_threads;
SET pg_iceberg_am.encoder_threads = 0;
CREATE FUNCTION threads() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/task') task
     WHERE pg_read_file('/proc/' || pg_backend_pid() || '/task/' || task || '/comm') = E'iceberg decoder\n' $$;
CREATE TABLE t (id int, v text, n numeric(10,2)) USING iceberg WITH (autovacuum_enabled = off);
INSERT INTO t SELECT g, 'value ' || g % 1000, g / 100.0 FROM generate_series(1, 300000) g;
SELECT lakebase.publish('t') IS NOT NULL AS published;
SELECT count(*), sum(id), min(v), sum(n) FROM t;
SELECT threads();
SET pg_iceberg_am.decoder_threads = 0;
SELECT count(*), sum(id), min(v), sum(n) FROM t;
RESET pg_iceberg_am.decoder_threads;
-- They last as long as what is read, and there are no more than may be.
BEGIN;
DECLARE a CURSOR FOR SELECT * FROM t;
MOVE 1000 FROM a;
SELECT threads();
MOVE 99000 FROM a;
SELECT threads();
DECLARE b CURSOR FOR SELECT * FROM t;
MOVE 100000 FROM b;
DECLARE c CURSOR FOR SELECT * FROM t;
MOVE 100000 FROM c;
SELECT threads();
FETCH 2 FROM a;
FETCH 2 FROM b;
FETCH 2 FROM c;
CLOSE a;
SELECT threads();
SAVEPOINT s;
DECLARE d CURSOR FOR SELECT * FROM t;
MOVE 100000 FROM d;
SELECT threads();
ROLLBACK TO s;
SELECT threads();
MOVE ALL FROM b;
SELECT threads();
CLOSE b;
-- Backward the backend reads alone.
DECLARE e SCROLL CURSOR FOR SELECT * FROM t;
MOVE 100000 FROM e;
MOVE BACKWARD 20000 FROM e;
FETCH BACKWARD 2 FROM e;
SELECT threads();
FETCH 3 FROM e;
COMMIT;
SELECT threads();
-- What ends early, or in an error.
SELECT count(*) FROM (SELECT FROM t LIMIT 50000) x;
SELECT threads();
SELECT sum(1 / (id - 200000)) FROM t;
SELECT threads();
-- Whoever closes a cursor need not wait until a thread has found the next row that the predicate lets through.
CREATE TABLE rare (id int, v int, p text) USING iceberg WITH (autovacuum_enabled = off);
INSERT INTO rare SELECT g, CASE WHEN g <= 60000 THEN 500 ELSE 1 + 2 * (g * 7 % 499) END, 'p' || g % 1000 FROM generate_series(1, 1500000) g;
SELECT lakebase.publish('rare') IS NOT NULL AS published;
BEGIN;
DECLARE c CURSOR FOR SELECT p FROM rare WHERE v = 500;
MOVE 45000 IN c;
SELECT threads();
CLOSE c;
SELECT threads();
COMMIT;
SELECT count(*) FROM rare WHERE v = 500;
DROP TABLE rare;
-- What EXPLAIN counts is what was asked for.
EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) SELECT FROM t WHERE id > 290000;
-- Rows are found again that were read before: some, most, and all of them.
UPDATE t SET v = 'some' WHERE id % 10 = 3;
UPDATE t SET v = v || ' and most' WHERE id % 10 <> 4;
SELECT threads();
SELECT v LIKE '%most' AS most, v LIKE 'some%' AS some, count(*), sum(id), sum(n) FROM t GROUP BY 1, 2 ORDER BY 1, 2;
UPDATE t SET v = id::text, n = n + 1;
SELECT count(*), sum(id), sum(v::int), sum(n) FROM t;
DELETE FROM t USING generate_series(1, 300000, 7) g WHERE t.id = g;
SELECT count(*), sum(id), sum(v::int), sum(n) FROM t;
DROP TABLE t;

SET client_min_messages = warning;
DROP SCHEMA test_decoder_threads CASCADE;
