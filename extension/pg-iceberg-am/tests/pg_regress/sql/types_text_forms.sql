-- local tables only: it reads metadata files.
-- Types that Iceberg has no counterpart of were refused, so that ordinary schemas stopped at once; and a form
-- that follows the session's settings would read back as another value.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_types_text_forms CASCADE;
CREATE SCHEMA test_types_text_forms;
SET search_path = test_types_text_forms;
CREATE EXTENSION hstore SCHEMA test_types_text_forms;
CREATE EXTENSION citext SCHEMA test_types_text_forms;
RESET client_min_messages;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'very "happy"');
CREATE TYPE floats AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE DOMAIN span AS interval CHECK (VALUE >= '0');
CREATE TYPE visit AS (at tstzrange, "from" inet, moods mood[], lasted span);
CREATE DOMAIN visits AS visit[];
CREATE TABLE every_form (
    id int, c_numeric numeric, c_wide numeric(50, 3), c_round numeric(5, -2), c_small numeric(2, 4), c_interval interval, c_mood mood,
    c_inet inet, c_cidr cidr, c_macaddr macaddr, c_macaddr8 macaddr8, c_bit bit(3), c_varbit varbit, c_int4range int4range,
    c_tstzrange tstzrange, c_nummultirange nummultirange, c_floats floats, c_point point, c_line line, c_lseg lseg, c_box box, c_path path,
    c_polygon polygon, c_circle circle, c_timetz timetz, c_tsvector tsvector, c_tsquery tsquery, c_char "char", c_lsn pg_lsn,
    c_jsonpath jsonpath, c_hstore hstore, c_citext citext, c_oid oid, c_class regclass, c_xid xid, c_xid8 xid8, c_tid tid,
    c_int2vector int2vector, c_oidvector oidvector, c_xml xml, c_span span,
    moods mood[], spans interval[], numbers numeric[], v visit, vs visit[], d visits
) USING iceberg;
CREATE TABLE twin (LIKE every_form) USING heap;
-- What is written under one set of settings ...
SET datestyle = 'German'; SET intervalstyle = 'sql_standard'; SET timezone = 'Asia/Kathmandu'; SET extra_float_digits = -5;
INSERT INTO twin VALUES
(1, 1.5, 12345678901234567890123456789012345678901234567.125, 12345, 0.0012, make_interval(1, 2, 0, -3, 4, 5, 6.789), 'ok',
 '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'101', B'1', '[1,10)',
 '["2024-01-01 00:00:00+05",infinity)', '{[1.10,2.50),[5,)}', '[0.1,0.30000000000000004)', '(0.1,-0)', '{1,2,3}', '((0,0),(1,1))', '((0,0),(1,1))', '[(0,0),(1,1.1)]',
 '((0,0),(1,1),(1,0))', '<(0,0),0.30000000000000004>', '12:34:56.5+05:30:15', 'a fat cat:1A it''s', 'fat & (rat & !cat)', 'x', '16/B374D848',
 '$.a[*] ? (@ > 1)', 'a=>1, "b c"=>NULL', 'CiText', 4294967295, 'pg_class', '4294967295', '18446744073709551615', '(4,2)', '1 2 3', '4 5', NULL, '1 day',
 '{ok,NULL,sad,"very \"happy\""}', ARRAY['1 mon'::interval, NULL, '-1 hour'], '{1.5,NULL,-0.000000000000000001}',
 ('["2024-01-01 00:00:00+00",)', '::1', '{sad}', '5 min'), ARRAY[(NULL, NULL, '{}', NULL)::visit, NULL, ('empty', '1.2.3.4', NULL, '1 s')::visit], ARRAY[(NULL, '::', '{NULL}', '0')::visit]),
(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(3, 0, 0, 0, 0, 'infinity', 'very "happy"', '::ffff:1.2.3.4', '::/0', '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff:ff:ff', B'000', B'', 'empty', 'empty', '{}', '(,)',
 '(NaN,Infinity)', '{0,-1,0}', '((0,0),(0,0))', '((0,0),(0,0))', '((0,0))', '((1,1))', '<(1,1),0>', '00:00:00+15:59:59', '', '!x', '', '0/0', 'strict $', '', '', 0, 0, '0', '0', '(0,0)', '7', '7', NULL, '0',
 '{}', '{}', '{}', (NULL, NULL, NULL, NULL), '{}', '{}'),
(4, 99999999999999999999.999999999999999999, -1, -99999, 0.0099, '-178000000 years', 'sad', '255.255.255.255', '1.2.3.4/32', NULL, NULL, B'111', B'10101010101010101010', '(,5)', '(,"0044-03-15 12:00:00+00 BC")',
 '{(,)}', '[-Infinity,NaN]', '(1e300,-1e-300)', '{-1.5,0,1e20}', NULL, NULL, '((1e10,1e-10),(2,2))', NULL, NULL, '23:59:59.999999-15:59', '''quo''''te'':1,2B,3C ''back\\slash''', '!(!a <-> b:*A)', E'\\303', 'FFFFFFFF/FFFFFFFF', '$."a b".size()',
 '"quo\"te"=>"back\\slash", "NULL"=>"NULL"', 'ünïcode', 1, 'pg_type', '1', '1', '(4294967295,65535)', '-32768 32767', '4294967295', NULL, '1000 years', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO every_form TABLE twin;
SELECT count(*) FROM every_form;
-- ... is read under another.
SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; RESET extra_float_digits;
CREATE FUNCTION differ(a regclass, b regclass) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT ''only %1$s: '' || t FROM (SELECT t::text FROM %1$s t EXCEPT ALL SELECT t::text FROM %2$s t) d
        UNION ALL SELECT ''only %2$s: '' || t FROM (SELECT t::text FROM %2$s t EXCEPT ALL SELECT t::text FROM %1$s t) d', a, b);
END $$;
SELECT differ('every_form', 'twin');
SELECT count(*) AS same FROM every_form i JOIN twin h USING (id) WHERE i *= h;
SELECT id, c_numeric, c_wide, c_round, c_small, c_interval, c_mood, c_inet, c_timetz, c_tstzrange FROM every_form ORDER BY id;
SELECT c_hstore -> 'a' AS a, c_tsvector @@ 'cat & !dog' AS matches, c_path <-> '((5,5),(6,6))' AS distance, c_point[0], c_int4range @> 5 AS holds,
    c_class, (v).at, (vs[3])."from", d FROM every_form WHERE id = 1;
-- What other engines see.
CREATE VIEW kept AS SELECT pg_read_file(d || '/metadata/' || f)::jsonb AS metadata
    FROM (SELECT regexp_replace(metadata_location, '^.*/(base/.*)/metadata/.*$', '\1') AS d, regexp_replace(metadata_location, '^.*/', '') AS f
          FROM lakebase.iceberg_tables WHERE relation = 'every_form'::regclass) t WHERE f NOT LIKE '%.gz.%';
SELECT f ->> 'name' AS name, CASE jsonb_typeof(f -> 'type') WHEN 'string' THEN f ->> 'type' ELSE f #>> '{type,type}' END AS type,
    (metadata #>> '{properties,pg-lakebase.types}')::jsonb ->> (f ->> 'id') AS noted
FROM kept, jsonb_array_elements(metadata #> '{schemas,0,fields}') f;
SELECT string_agg(value, ', ' ORDER BY key::int) AS noted_inside FROM kept, jsonb_each_text((metadata #>> '{properties,pg-lakebase.types}')::jsonb) WHERE key::int > 47;

-- Compared, ordered, grouped, joined and filtered as on heap.
CREATE TABLE many (id int, n numeric, i interval, m mood, ip inet, ct citext, r int4range, b varbit, t timetz, o oid, x xid8, w numeric(50, 3)) USING iceberg;
INSERT INTO many SELECT g, (g * 7919 % 1000) / 8.0, g % 50 * interval '1 hour' + g % 3 * interval '1 day', (ARRAY['sad', 'ok', 'very "happy"'])[g % 3 + 1]::mood, '10.0.0.0'::inet + g * 7919 % 512,
    CASE g % 4 WHEN 0 THEN 'Key ' WHEN 1 THEN 'KEY ' ELSE 'key ' END || g % 20, int4range(g % 10, g % 10 + g % 5), (g % 16)::bit(4), make_time(g % 24, 0, 0)::text::timetz, (g::bigint * 4294967 % 4294967296)::oid, (g * 1000000007::numeric)::text::xid8, g / 4.0
    FROM generate_series(1, 2000) g;
-- Some files more, each with bounds of its own, and rows that are not in files yet.
INSERT INTO many SELECT id + 10000, n + 1e6, i + '1 year', 'ok', ip + 65536, 'Later ' || id, int4range(50, 60), b, t, id, id::text::xid8, w + 1000000 FROM many;
INSERT INTO many (id, n, ct) VALUES (20000, 0.5, 'kEY 3'), (20001, NULL, NULL);
CREATE TABLE many_twin USING heap AS TABLE many;
CREATE FUNCTION compare(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE i text; h text;
BEGIN
    EXECUTE format('SELECT string_agg(t::text, '' '') FROM (%s) t', format(query, 'many')) INTO i;
    EXECUTE format('SELECT string_agg(t::text, '' '') FROM (%s) t', format(query, 'many_twin')) INTO h;
    IF i IS DISTINCT FROM h THEN RETURN NEXT format(query, 'many') || E'\n' || left(i, 300) || E'\n' || left(h, 300); END IF;
END $$;
SELECT compare(q) FROM unnest(ARRAY['n', 'i', 'm', 'ip', 'ct', 'r', 'b', 't', 'o', 'x', 'w']) AS c(c), LATERAL (VALUES
    (format('SELECT id FROM %%s ORDER BY %I NULLS FIRST, id', c)), (format('SELECT %I, count(*) FROM %%s GROUP BY 1 ORDER BY 1, 2', c)),
    (format('SELECT a.id, b.id FROM %%1$s a JOIN many_twin b USING (%I) WHERE a.id < 50 ORDER BY 1, 2', c)),
    (format('SELECT id FROM %%s WHERE %1$I = (SELECT %1$I FROM many_twin WHERE id = 7) ORDER BY 1', c)),
    (format('SELECT id FROM %%s WHERE %I IS NULL', c)),
    (format('SELECT min(id), max(id), count(%I) FROM %%s', c))) v(q);
SELECT compare(q) FROM unnest(ARRAY['n = 0.5', 'n > 1000050.125', 'n < 0.125', 'n IN (1, 2.5, 1000001)', 'n <> 0.5', 'n = 0.5000000000000000001', 'n > ''NaN''', 'n < ''Infinity''', 'NOT n > 10',
    'i = ''24 hours''', 'i > ''1 year''', 'i BETWEEN ''1 day'' AND ''26 hours''', 'm = ''ok''', 'm > ''sad''', 'm >= ''very "happy"''', 'm IN (''sad'', ''ok'')', 'm::text = ''ok''', 'ip << ''10.0.1.0/24''', 'ip > ''10.1.0.0''', 'ip = ''10.0.0.7/32''',
    'ct = ''KEY 3''', 'ct::text = ''key 3''', 'ct > ''LATER''', 'ct LIKE ''KEY%%''', 'ct IN (''kEy 3'', ''key 4'')', 'ct <> ''KEY 3''', 'r && int4range(3, 5)', 'r = ''empty''', 'r @> 55', 'b = B''0101''', 'b > B''1''', 't = ''05:00+00''', 't < ''03:00+00''',
    'o = 4294967', 'o > 3000000000', 'o < 5', 'x = ''1000000007''', 'x > ''2000000000000''', 'w = 1000000.25', 'w > 1000000', 'w < 0.5', 'w IS NOT NULL AND w = 2', 'm IS NULL', 'NOT (m = ''ok'')']) AS c(c), LATERAL (VALUES (format('SELECT id FROM %%s WHERE %s ORDER BY 1', c))) v(q);
-- In parallel workers.
SET debug_parallel_query = on;
SELECT compare('SELECT m, count(*), sum(n), max(i), min(ct::text), count(DISTINCT ip) FROM %s GROUP BY m ORDER BY m');
SET timezone = 'Asia/Kathmandu';
SELECT differ('every_form', 'twin');
RESET debug_parallel_query;
SET timezone = 'UTC';

-- Out and in again by COPY, in the text and in the binary format.
SELECT current_setting('data_directory') || '/regress_iceberg_text_forms.copy' AS file \gset
COPY every_form TO :'file';
CREATE TABLE copied (LIKE every_form) USING iceberg;
COPY copied FROM :'file';
SELECT differ('copied', 'twin');
TRUNCATE copied;
COPY every_form TO :'file' (FORMAT binary);
COPY copied FROM :'file' (FORMAT binary);
SELECT differ('copied', 'twin');
\set removed `rm -f :'file'`
-- From one access method to the other.
ALTER TABLE copied SET ACCESS METHOD heap;
SELECT differ('copied', 'twin');
ALTER TABLE copied SET ACCESS METHOD iceberg;
SELECT differ('copied', 'twin');
VACUUM FULL copied;
ANALYZE copied;
SELECT differ('copied', 'twin');

-- Rows that are committed one by one, before and after they are in a file.
CREATE TABLE one_by_one (LIKE every_form) USING iceberg;
DO $$ BEGIN FOR n IN 1..4 LOOP INSERT INTO one_by_one SELECT * FROM twin WHERE id = n; COMMIT; END LOOP; END $$;
SELECT differ('one_by_one', 'twin');
SELECT lakebase.publish('one_by_one') IS NOT NULL AS published;
SELECT differ('one_by_one', 'twin');

-- numeric without a precision.
CREATE TABLE averages USING iceberg AS SELECT m, avg(id) AS mean, sum(n) AS total, sum(id) AS ids FROM many_twin WHERE id < 1000 GROUP BY m;
SELECT m, round(mean, 3) AS mean, total, ids FROM averages ORDER BY m;
-- A third has 20 digits.
CREATE TABLE thirds USING iceberg AS SELECT avg(x) AS third FROM (VALUES (0), (0), (1)) v(x);
CREATE TABLE thirds USING iceberg AS SELECT round(avg(x), 18) AS third FROM (VALUES (0), (0), (1)) v(x);
TABLE thirds;
CREATE MATERIALIZED VIEW totals USING iceberg AS SELECT m, sum(n) AS total FROM many_twin GROUP BY m;
SELECT * FROM totals ORDER BY m;
REFRESH MATERIALIZED VIEW totals;
SELECT count(*) FROM totals;
CREATE TABLE numbers (id int, n numeric, ns numeric[]) USING iceberg;
INSERT INTO numbers VALUES (1, 1.50, '{1.50,100,-0.10}'), (2, 1e19, '{}'), (3, -1e-18, NULL);
SELECT * FROM numbers ORDER BY id;
INSERT INTO numbers VALUES (4, 1e20);
INSERT INTO numbers VALUES (4, 1e-19);
INSERT INTO numbers VALUES (4, 1, '{1e20}');
INSERT INTO numbers VALUES (4, 'NaN');
INSERT INTO numbers VALUES (4, 'Infinity');
SELECT count(*) FROM numbers;
SET pg_iceberg_am.unconstrained_numeric = 'none';
SET pg_iceberg_am.unconstrained_numeric = text;
CREATE TABLE texts (LIKE numbers) USING iceberg;
-- What a table's numbers are kept as stays what it was.
RESET pg_iceberg_am.unconstrained_numeric;
INSERT INTO texts VALUES (1, 1.50, '{1.50,NaN}'), (2, 1e20, NULL), (3, 1e-100, NULL), (4, 'NaN', NULL), (5, '-Infinity', NULL);
SET pg_iceberg_am.unconstrained_numeric = text;
INSERT INTO numbers VALUES (5, 2.50);
INSERT INTO numbers VALUES (6, 1e20);
RESET pg_iceberg_am.unconstrained_numeric;
SELECT * FROM texts ORDER BY id;
SELECT id FROM texts WHERE n = 1.5 OR n = 'NaN' OR n < 0 ORDER BY n;
SELECT * FROM numbers WHERE n = 2.5;

-- Values of an enum that are added while it is in use.
ALTER TYPE mood ADD VALUE 'great' AFTER 'ok';
BEGIN;
ALTER TYPE mood ADD VALUE 'greatest';
SAVEPOINT s;
INSERT INTO every_form (id, c_mood) VALUES (5, 'greatest');
ROLLBACK TO s;
COMMIT;
INSERT INTO every_form (id, c_mood, moods) VALUES (5, 'greatest', '{great}');
SELECT id, c_mood, moods FROM every_form WHERE c_mood > 'ok' ORDER BY c_mood;
-- A value keeps its name as long as an Iceberg table may hold it, however deep.
CREATE TYPE direct AS ENUM ('a', 'b');
CREATE TYPE in_array AS ENUM ('a', 'b');
CREATE TYPE in_range AS ENUM ('a', 'b');
CREATE TYPE in_domain AS ENUM ('a', 'b');
CREATE TYPE in_composite AS ENUM ('a', 'b');
CREATE TYPE in_row AS ENUM ('a', 'b');
CREATE TYPE in_leaf AS ENUM ('a', 'b');
CREATE TYPE in_heap AS ENUM ('a', 'b');
CREATE TYPE in_nothing AS ENUM ('a', 'b');
CREATE TYPE ranges AS RANGE (subtype = in_range);
CREATE DOMAIN domained AS in_domain;
CREATE TYPE inner_composite AS (id int, vs in_composite[]);
CREATE DOMAIN composites AS inner_composite[];
CREATE TYPE outer_composite AS (c composites);
CREATE TABLE row_type (v in_row) USING heap;
CREATE TABLE uses (a direct, b in_array[], c ranges[], d domained, e outer_composite, f row_type[]) USING iceberg;
CREATE TABLE parted (v in_leaf) PARTITION BY LIST (v);
CREATE TABLE leaf PARTITION OF parted DEFAULT USING iceberg;
CREATE TABLE uses_not (v in_heap) USING heap;
INSERT INTO uses VALUES ('a', '{a}', '{"[a,b]"}', 'a', ROW(ARRAY[(1, '{a}')::inner_composite]), ARRAY[ROW('a')::row_type]);
DO $$
DECLARE t text; c text; m text; d text; h text;
BEGIN
    FOREACH t IN ARRAY ARRAY['direct', 'in_array', 'in_range', 'in_domain', 'in_composite', 'in_row', 'in_leaf', 'in_heap', 'in_nothing'] LOOP
        BEGIN
            EXECUTE format('ALTER TYPE %I RENAME VALUE ''a'' TO ''z''', t);
            RAISE INFO '%: renamed', t;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS c = RETURNED_SQLSTATE, m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
            RAISE INFO '%: % %', t, c, m;
        END;
    END LOOP;
    RAISE INFO '% %', d, h;
END $$;
TABLE uses;
ALTER TYPE nowhere RENAME VALUE 'a' TO 'z';
ALTER TYPE in_heap RENAME VALUE 'none' TO 'some';
-- Who does not own the type was told which table and column uses it.
CREATE ROLE regress_no_owner;
DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO regress_no_owner', current_schema); END $$;
SET ROLE regress_no_owner;
ALTER TYPE direct RENAME VALUE 'a' TO 'z';
RESET ROLE;
DROP OWNED BY regress_no_owner;
DROP ROLE regress_no_owner;
-- In a heap table values are renamed, and back in an Iceberg table they have their new name.
ALTER TABLE uses SET ACCESS METHOD heap;
ALTER TYPE direct RENAME VALUE 'a' TO 'z';
ALTER TABLE uses SET ACCESS METHOD iceberg;
SELECT a FROM uses;
DROP TABLE uses;
ALTER TYPE direct RENAME VALUE 'z' TO 'y';
-- Constraints of domains, and lengths, are checked where rows are written.
INSERT INTO every_form (id, c_span) VALUES (6, '-1 day');
INSERT INTO every_form (id, v) VALUES (6, (NULL, NULL, NULL, '-1 day'));
INSERT INTO every_form (id, c_bit) VALUES (6, B'1');
INSERT INTO every_form (id, c_mood) VALUES (6, 'none');

SET client_min_messages = warning;
DROP SCHEMA test_types_text_forms CASCADE;
