-- TABLESAMPLE takes the share of rows that was asked for, and the same rows again under REPEATABLE.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_tablesample CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_tablesample;
SET search_path = test_tablesample;

CREATE TABLE t (id int, name text) USING iceberg;
INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, 20000) g;
INSERT INTO t SELECT g, 'row ' || g FROM generate_series(20001, 20010) g;
SELECT count(*), count(DISTINCT id) FROM t TABLESAMPLE BERNOULLI (100);
SELECT count(*), count(DISTINCT id) FROM t TABLESAMPLE SYSTEM (100);
SELECT count(*) FROM t TABLESAMPLE BERNOULLI (0);
SELECT count(*) FROM t TABLESAMPLE SYSTEM (0);
SELECT count(*) BETWEEN 1000 AND 3000 AS about_a_tenth, count(*) = count(DISTINCT id) AS each_once FROM t TABLESAMPLE BERNOULLI (10);
SELECT count(*) <= 20010 AS not_more, count(*) = count(DISTINCT id) AS each_once FROM t TABLESAMPLE SYSTEM (50);
-- Repeatable.
CREATE TABLE taken USING heap AS SELECT id FROM t TABLESAMPLE BERNOULLI (5) REPEATABLE (42);
SELECT count(*) FROM (TABLE taken EXCEPT SELECT id FROM t TABLESAMPLE BERNOULLI (5) REPEATABLE (42)) d;
SELECT count(*) > 0 AS other_seed FROM (TABLE taken EXCEPT SELECT id FROM t TABLESAMPLE BERNOULLI (5) REPEATABLE (43)) d;
-- The average over many samples is the share, for SYSTEM too.
SELECT avg(n) BETWEEN 6000 AND 14000 AS about_half
FROM generate_series(1, 60) s, LATERAL (SELECT count(*) AS n FROM t TABLESAMPLE SYSTEM (50) REPEATABLE (s)) x;
-- With conditions, in joins, rescanned, after a TRUNCATE, and in the writing transaction.
SELECT count(*) FROM t TABLESAMPLE BERNOULLI (100) WHERE id % 1000 = 0;
SELECT count(*) FROM t a TABLESAMPLE BERNOULLI (100) JOIN t b TABLESAMPLE SYSTEM (100) USING (id);
SELECT g, (SELECT count(*) FROM t TABLESAMPLE BERNOULLI (100) WHERE id <= g) FROM generate_series(1, 3) g;
BEGIN;
INSERT INTO t VALUES (0, 'own');
SELECT count(*) FROM t TABLESAMPLE BERNOULLI (100);
TRUNCATE t;
SELECT count(*) FROM t TABLESAMPLE BERNOULLI (100);
SELECT count(*) FROM t TABLESAMPLE SYSTEM (100);
ROLLBACK;
SELECT count(*) FROM t TABLESAMPLE SYSTEM (100);
SELECT count(*) FROM t TABLESAMPLE SYSTEM (101);

SET client_min_messages = warning;
DROP SCHEMA test_tablesample CASCADE;
