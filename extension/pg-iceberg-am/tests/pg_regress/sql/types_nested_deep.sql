-- Composite types nested deeper than 61 levels were written, and then nobody could read the table: its metadata were
-- nested deeper than their reader allows. A thousand levels ended the server.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_nested_deep CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_nested_deep;
SET search_path = test_nested_deep;

-- c32 has 32 composite types around its number, a16 16 with an array in each, r32 32 ranges.
CREATE TYPE c1 AS (x int);
CREATE TYPE a1 AS (x int[]);
CREATE TYPE r1 AS RANGE (subtype = int, multirange_type_name = m1);
DO $$
BEGIN
    FOR n IN 2 .. 1000 LOOP
        EXECUTE format('CREATE TYPE c%s AS (x c%s)', n, n - 1);
        EXECUTE format('CREATE TYPE r%s AS RANGE (subtype = r%s, multirange_type_name = m%s)', n, n - 1, n);
    END LOOP;
    FOR n IN 2 .. 17 LOOP
        EXECUTE format('CREATE TYPE a%s AS (x a%s[])', n, n - 1);
    END LOOP;
END $$;
CREATE DOMAIN d32 AS c32;
CREATE DOMAIN ds AS a16[];
-- A number in all of these types, and the number in such a value.
CREATE FUNCTION wrapped(n int) RETURNS text LANGUAGE sql AS $$
    SELECT repeat('ROW(', n) || '7' || string_agg(format(')::c%s', g), '' ORDER BY g) FROM generate_series(1, n) g $$;
CREATE FUNCTION unwrapped(c text, n int) RETURNS text LANGUAGE sql AS $$ SELECT repeat('(', n) || c || repeat(').x', n) $$;

SELECT wrapped(32) AS deepest, unwrapped('c', 32) AS innermost \gset
CREATE TABLE deepest (id int, c c32, a a16, d d32, r r32) USING iceberg;
CREATE TABLE twin (LIKE deepest) USING heap;
INSERT INTO deepest VALUES (1, :deepest, ROW(ARRAY[ROW(ARRAY[NULL, ROW(NULL)::a14])::a15])::a16, :deepest, 'empty'), (2, NULL, NULL, NULL, NULL);
INSERT INTO twin VALUES (1, :deepest, ROW(ARRAY[ROW(ARRAY[NULL, ROW(NULL)::a14])::a15])::a16, :deepest, 'empty'), (2, NULL, NULL, NULL, NULL);
INSERT INTO deepest (id, c) VALUES (3, ROW(NULL)), (4, :deepest);
INSERT INTO twin (id, c) VALUES (3, ROW(NULL)), (4, :deepest);
(TABLE deepest EXCEPT ALL TABLE twin) UNION ALL (TABLE twin EXCEPT ALL TABLE deepest);
SELECT id, :innermost AS innermost, a, r FROM deepest ORDER BY id;
SELECT lakebase.publish('deepest') IS NOT NULL AS published;
\c -
SET search_path = test_nested_deep;
SELECT id, :innermost AS innermost, a, r FROM deepest ORDER BY id;
ALTER TYPE c1 RENAME ATTRIBUTE x TO y;
SELECT repeat('(', 32) || 'c' || repeat(').x', 31) || ').y' AS innermost \gset
INSERT INTO deepest (id, c) VALUES (5, :deepest);
SELECT id, :innermost AS innermost FROM deepest ORDER BY id;
VACUUM deepest;
VACUUM FULL deepest;
ANALYZE deepest;
SELECT id, :innermost AS innermost FROM deepest ORDER BY id;
-- Text doubles the quotes at each level, from heap as well: what is dumped ends before.
DELETE FROM twin WHERE id <> 3;
TRUNCATE deepest;
INSERT INTO deepest TABLE twin;
SELECT setting AS bindir FROM pg_config WHERE name = 'BINDIR' \gset
SELECT current_database() AS database \gset
\set dump `:bindir/pg_dump --table test_nested_deep.deepest :database | grep --count '^3.()'`
SELECT :dump AS dumped;
ALTER TABLE twin SET ACCESS METHOD iceberg;
SELECT id, c FROM twin;

-- One level more is refused, however it comes.
\set VERBOSITY verbose
CREATE TABLE refused (id int, c c33) USING iceberg;
\set VERBOSITY default
CREATE TABLE refused (id int, c c1000) USING iceberg;
CREATE TABLE refused (id int, c c32[]) USING iceberg;
CREATE TABLE refused (id int, c d32[]) USING iceberg;
CREATE TABLE refused (id int, c a17) USING iceberg;
CREATE TABLE refused (id int, c ds) USING iceberg;
CREATE TABLE refused (id int, r r33) USING iceberg;
CREATE TABLE refused (id int, r r1000) USING iceberg;
CREATE TABLE refused USING iceberg AS SELECT NULL::c33 AS c;
CREATE MATERIALIZED VIEW refused USING iceberg AS SELECT NULL::c33 AS c;
ALTER TABLE deepest ADD COLUMN more c33;
ALTER TYPE c1 ADD ATTRIBUTE z int[];
CREATE TABLE heap (id int, c c33) USING heap;
INSERT INTO heap VALUES (1);
ALTER TABLE heap SET ACCESS METHOD iceberg;
TABLE heap;
CREATE TABLE parted (c c33) PARTITION BY LIST ((c IS NULL));
CREATE TABLE leaf PARTITION OF parted DEFAULT USING iceberg;

SET client_min_messages = warning;
DROP SCHEMA test_nested_deep CASCADE;
