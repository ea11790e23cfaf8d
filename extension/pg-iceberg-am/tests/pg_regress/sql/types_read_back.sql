-- Values whose text PostgreSQL prints and does not read: INSERT succeeded, and then nobody could read the column, nor the
-- rows beside them.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_types_read_back CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_types_read_back;
SET search_path = test_types_read_back;
SET TimeZone = 'UTC';
\set VERBOSITY default

CREATE TYPE around AS (c circle);
CREATE TYPE timetz_range AS RANGE (subtype = timetz);
CREATE TABLE t (n int, c circle, z timetz, q tsquery, p jsonpath, a circle[], r around, s timetz_range) USING iceberg;
INSERT INTO t (n, c, z, q, p, a, r, s) VALUES (1, '<(0,0),5>', '12:00+15:59', '!!a & b', '$.a', ARRAY['<(1,2),3>'::circle], ROW('<(1,2),3>'),
    timetz_range('10:00+01', '12:00+02'));
INSERT INTO t (n, c) VALUES (2, circle(point(0, 0), -5));
INSERT INTO t (n, a) VALUES (2, ARRAY[circle(point(0, 0), 5), circle(point(0, 0), -5)]);
INSERT INTO t (n, r) VALUES (2, ROW(circle(point(0, 0), -5)));
INSERT INTO t (n, z) VALUES (2, timetz '12:00+00' AT TIME ZONE interval '20 hours');
INSERT INTO t (n, s) VALUES (2, timetz_range(timetz '12:00+00' AT TIME ZONE interval '20 hours', NULL));
INSERT INTO t (n, p) VALUES (2, (repeat('-', 6000) || '$')::jsonpath);
INSERT INTO t SELECT g FROM generate_series(10, 20) g;
SELECT n, c, z, q, p, a, r, s FROM t WHERE n < 10;
SELECT count(*), count(c) FROM t;

-- Queries with many negations read back.
CREATE FUNCTION nots(n int) RETURNS tsquery LANGUAGE plpgsql AS $$
DECLARE q tsquery := 'a';
BEGIN
    FOR i IN 1..n LOOP q := !!q; END LOOP;
    RETURN q;
END $$;
CREATE TABLE negated USING iceberg AS SELECT n, nots(n) AS q FROM unnest(ARRAY[1, 15, 16, 17, 32, 33, 40, 600]) n;
SELECT n, q = nots(n) AS same FROM negated ORDER BY n;

-- Documents that are nested very deep.
CREATE FUNCTION deep(n int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE j jsonb := '1';
BEGIN
    FOR i IN 1..n LOOP j := jsonb_build_array(j); END LOOP;
    RETURN j;
END $$;
CREATE TABLE documents (n int, j jsonb) USING iceberg;
INSERT INTO documents SELECT 5000, deep(5000);
INSERT INTO documents SELECT 5001, deep(5001);
INSERT INTO documents VALUES (1, '{"a": "[[[[\"", "b": [1, {"c": 2}]}');
SELECT n, length(j::text) FROM documents ORDER BY n;

-- Tables that hold such values stay heaps.
CREATE TABLE h (n int, c circle) USING heap;
INSERT INTO h VALUES (1, circle(point(0, 0), -5));
ALTER TABLE h SET ACCESS METHOD iceberg;
SELECT * FROM h;

SET client_min_messages = warning;
DROP SCHEMA test_types_read_back CASCADE;
