-- Every type comes back as it went in: NULLs, extremes, empty and large values.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_types CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_types;
SET search_path = test_types;

SET datestyle = ISO, YMD;
SET timezone = 'UTC';
CREATE TYPE point3 AS (x float8, y float8, label text);
CREATE TYPE nest AS (id int, p point3, tags text[]);
CREATE DOMAIN percent AS numeric(5, 2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE TABLE every_type (
    id int,
    c_bool boolean, c_int2 smallint, c_int4 integer, c_int8 bigint,
    c_float4 real, c_float8 double precision,
    c_numeric numeric(38, 10), c_small numeric(5, 2), c_whole numeric(18), c_fraction numeric(9, 9),
    c_text text, c_varchar varchar(20), c_varchar_any varchar, c_char char(6), c_char1 char, c_name name,
    c_bytea bytea, c_date date, c_time time, c_timestamp timestamp, c_timestamptz timestamptz,
    c_uuid uuid, c_json json, c_jsonb jsonb, c_domain percent
) USING iceberg;
CREATE TABLE twin (LIKE every_type) USING heap;

INSERT INTO twin VALUES
(1, true, 1, 2, 3, 1.5, 2.5, 1.0000000001, 1.25, 7, 0.123456789, 'text', 'varchar', 'any', 'char', 'c', 'name',
 '\x00ff10', '2024-02-29', '12:34:56.789012', '2024-02-29 23:59:59.999999', '2024-02-29 12:00:00.000001+02',
 '00112233-4455-6677-8899-aabbccddeeff', '{"a": 1,  "a": 2}', '{"b": [1, null, "x"]}', 99.99),
(2, false, -32768, -2147483648, -9223372036854775808, '-3.4028235e38', '-1.7976931348623157e308',
 -9999999999999999999999999999.9999999999, -999.99, -999999999999999999, -0.999999999, '', '', '', '', '', '',
 '', '0001-01-01', '00:00', '0001-01-01 00:00:00', '0001-01-01 00:00:00+00',
 '00000000-0000-0000-0000-000000000000', '""', '""', 0),
(3, true, 32767, 2147483647, 9223372036854775807, '3.4028235e38', '1.7976931348623157e308',
 9999999999999999999999999999.9999999999, 999.99, 999999999999999999, 0.999999999,
 repeat('é', 1000), repeat('漢', 20), repeat('x', 100000), 'ab cd ', 'é', repeat('n', 63),
 decode(repeat('ab', 1000), 'hex'), '9999-12-31', '23:59:59.999999', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00',
 'ffffffff-ffff-ffff-ffff-ffffffffffff', '[]', '{}', 100),
(4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(5, NULL, 0, 0, 0, 'NaN', 'NaN', 0, 0, 0, 0, E'\t\n\\ "quoted" ''single''', ' ', ' lead', ' a', ' ', ' sp ',
 '\x', '1970-01-01', '00:00:00.000001', '1970-01-01', '1970-01-01+00', gen_random_uuid(), 'null', 'null', 50.5),
(6, NULL, -1, -1, -1, 'Infinity', '-Infinity', -0.0000000001, -0.01, -1, -0.000000001, U&'\+01F600 \200B', 'z', 'z', 'z', 'z', 'z',
 '\xffffffff', '1969-12-31', '00:00:01', '1969-12-31 23:59:59.999999', '1582-10-04 00:00:00.5+00', NULL, '1e400', '1e400', NULL),
(7, NULL, NULL, NULL, NULL, '-0', '-0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, '0099-12-31', NULL, '2000-02-29 00:00:00.123', '2000-01-01 00:00:00.123456-11:30', NULL, '[1,{"deep":{"er":[[[]]]}}]', '[1,{"deep":{"er":[[[]]]}}]', NULL),
(8, NULL, NULL, NULL, NULL, '1e-45', '5e-324', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO every_type SELECT * FROM twin;
SELECT count(*) FROM every_type;
-- Compared as text, as records' images, and type by type.
SELECT id FROM (SELECT id, t::text FROM every_type t EXCEPT ALL SELECT id, t::text FROM twin t) d;
SELECT id FROM (SELECT id, t::text FROM twin t EXCEPT ALL SELECT id, t::text FROM every_type t) d;
SELECT count(*) AS same FROM every_type i JOIN twin h USING (id) WHERE i *= h;
SELECT id, c_bool, c_int2, c_int4, c_int8 FROM every_type ORDER BY id;
SELECT id, c_float4, c_float8, c_numeric, c_small FROM every_type ORDER BY id;
SELECT id, c_whole, c_fraction, c_domain, length(c_text) AS len, md5(c_text) FROM every_type ORDER BY id;
SELECT id, '<' || c_char || '>' AS c_char, octet_length(c_char) AS octets, '<' || c_char1 || '>' AS c_char1, '<' || c_name || '>' AS c_name FROM every_type WHERE id <> 3 ORDER BY id;
SELECT id, length(c_bytea) AS len, c_date, c_time, c_timestamp, c_timestamptz FROM every_type ORDER BY id;
SELECT id, c_json, c_jsonb FROM every_type WHERE id <> 6 ORDER BY id;
SET timezone = 'Asia/Kathmandu';
SELECT id, c_timestamptz FROM every_type WHERE id IN (1, 7) ORDER BY id;
SET timezone = 'UTC';
-- Typed operators work on what came back.
SELECT sum(c_int2), sum(c_int8 / 2), max(c_numeric), min(c_date), max(c_timestamptz), bool_and(c_bool) FROM every_type;
SELECT id FROM every_type WHERE c_char = 'char' OR c_name = 'name' OR c_jsonb @> '{"b": ["x"]}' OR c_uuid = 'ffffffff-ffff-ffff-ffff-ffffffffffff' ORDER BY id;

-- Arrays and composites, with NULLs at each level.
CREATE TABLE nested (
    id int, ints int[], texts text[], stamps timestamptz[], nums numeric(10, 3)[], flags boolean[], blobs bytea[],
    uuids uuid[], docs jsonb[], names name[], chars char(3)[], p point3, ps point3[], n nest, ns nest[]
) USING iceberg;
CREATE TABLE nested_twin (LIKE nested) USING heap;
INSERT INTO nested_twin VALUES
(1, '{1,2,3}', '{a,"b c",""}', '{2024-01-01 00:00+00}', '{1.5,-2.125}', '{t,f}', ARRAY['\x00'::bytea, '\x'],
 ARRAY['00112233-4455-6677-8899-aabbccddeeff'::uuid], ARRAY['{"k": 1}'::jsonb], '{n1,n2}', '{a,bb,ccc}',
 (1, 2, 'three'), ARRAY[(1, 2, 'a')::point3, (3, 4, 'b')::point3], (1, (2, 3, 'in')::point3, '{t1,t2}'),
 ARRAY[(1, (2, 3, 'in')::point3, '{t1}')::nest]),
(2, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', (NULL, NULL, NULL), '{}', (NULL, NULL, NULL), '{}'),
(3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(4, '{NULL}', '{NULL,x,NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', ARRAY[NULL, 'null']::jsonb[], '{NULL}', '{NULL,a}',
 (NULL, 2, NULL), ARRAY[NULL, (NULL, NULL, NULL)::point3, (1, NULL, '')::point3], (1, NULL, NULL), ARRAY[NULL, (NULL, NULL, '{}')::nest]),
(5, '{-2147483648,2147483647}', ARRAY['NULL', E'\\', '"', ','], NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 ('NaN', '-Infinity', ''), NULL, (0, (0, 0, NULL)::point3, '{NULL,""}'), ARRAY[(1, (NULL, 1, 'x')::point3, NULL)::nest, (2, NULL, '{}')::nest]);
INSERT INTO nested TABLE nested_twin;
SELECT id FROM (SELECT id, t::text FROM nested t EXCEPT ALL SELECT id, t::text FROM nested_twin t) d;
SELECT count(*) AS same FROM nested i JOIN nested_twin h USING (id) WHERE i::text = h::text AND (i.ns IS NULL) = (h.ns IS NULL);
SELECT id, ints, texts, p, ps FROM nested ORDER BY id;
SELECT id, chars, names, n, ns FROM nested ORDER BY id;
SELECT id, (p).x, (n).p, ((n).p).label, (ps[1]).y, cardinality(texts), p IS NULL AS p_is_null, n IS NOT NULL AS n_not_null FROM nested ORDER BY id;
SELECT id, u FROM nested, unnest(texts) WITH ORDINALITY AS x(u, o) ORDER BY id, o;

-- Values of some megabytes.
CREATE TABLE large (id int, t text, b bytea, a int[]) USING iceberg;
INSERT INTO large SELECT g, repeat(md5(g::text), 65536), decode(repeat(md5(g::text), 65536), 'hex'), array(SELECT x * g FROM generate_series(1, 100000) x)
    FROM generate_series(1, 3) g;
SELECT id, length(t), md5(t), length(b), md5(b), array_length(a, 1), a[100000] FROM large ORDER BY id;

SET client_min_messages = warning;
DROP SCHEMA test_types CASCADE;
