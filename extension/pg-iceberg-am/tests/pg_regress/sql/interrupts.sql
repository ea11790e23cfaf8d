-- A time-out stops a statement on an Iceberg table at once, and the next statement works.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_interrupts CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_interrupts;
SET search_path = test_interrupts;

CREATE TABLE t (id int, name text) USING iceberg;
INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 50000) g;
CREATE FUNCTION ends_in_time(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE begun timestamptz := clock_timestamp();
BEGIN
    EXECUTE statement;
    RETURN 'was not interrupted';
EXCEPTION WHEN query_canceled THEN
    RETURN CASE WHEN clock_timestamp() - begun < interval '10 seconds' THEN 'interrupted' ELSE 'interrupted late' END;
END $$;
SET statement_timeout = '300ms';
SELECT ends_in_time('SELECT count(*) FROM t a, t b, t c WHERE a.id + b.id + c.id < 0');
SELECT ends_in_time('INSERT INTO t SELECT g, ''x'' FROM generate_series(1, 2000000000) g');
SELECT ends_in_time('CREATE TABLE made USING iceberg AS SELECT g FROM generate_series(1, 2000000000) g');
SELECT ends_in_time('COPY t FROM PROGRAM ''yes "1	x"''');
SELECT ends_in_time('SELECT count(*) FROM t a TABLESAMPLE BERNOULLI (100), t b WHERE a.id + b.id < 0');
RESET statement_timeout;
SELECT count(*), to_regclass('made') FROM t;
INSERT INTO t VALUES (0, 'after');
SELECT count(*) FROM t;

SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_interrupts CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_interrupts;
SET search_path = test_interrupts;

CREATE TABLE t (id int, name text) USING iceberg;
INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 50000) g;
CREATE FUNCTION ends_in_time(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE begun timestamptz := clock_timestamp();
BEGIN
    EXECUTE statement;
    RETURN 'was not interrupted';
EXCEPTION WHEN query_canceled THEN
    RETURN CASE WHEN clock_timestamp() - begun < interval '10 seconds' THEN 'interrupted' ELSE 'interrupted late' END;
END $$;
SET statement_timeout = '300ms';
SELECT ends_in_time('SELECT count(*) FROM t a, t b, t c WHERE a.id + b.id + c.id < 0');
SELECT ends_in_time('INSERT INTO t SELECT g, ''x'' FROM generate_series(1, 2000000000) g');
SELECT ends_in_time('CREATE TABLE made USING iceberg AS SELECT g FROM generate_series(1, 2000000000) g');
SELECT ends_in_time('COPY t FROM PROGRAM ''yes "1	x"''');
SELECT ends_in_time('SELECT count(*) FROM t a TABLESAMPLE BERNOULLI (100), t b WHERE a.id + b.id < 0');
RESET statement_timeout;
SELECT count(*), to_regclass('made') FROM t;
INSERT INTO t VALUES (0, 'after');
SELECT count(*) FROM t;
-- Waiting for a lock.
SET lock_timeout = '100ms';
BEGIN;
LOCK TABLE t IN ACCESS EXCLUSIVE MODE;
COMMIT;
RESET lock_timeout;
SELECT count(*) FROM t;

SET client_min_messages = warning;
DROP SCHEMA test_interrupts CASCADE;
