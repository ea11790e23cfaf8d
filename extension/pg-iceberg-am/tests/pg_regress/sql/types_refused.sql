-- What cannot be kept exactly is refused, with a hint, at CREATE TABLE or at INSERT.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_types_refused CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_types_refused;
SET search_path = test_types_refused;

SET datestyle = ISO, YMD;
-- Runs a statement that has to fail and shows how.
CREATE FUNCTION refused(statement text) RETURNS TABLE (code text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
        RETURN NEXT;
        RETURN;
    END;
    code := '00000'; message := 'was not refused'; hint := '';
    RETURN NEXT;
END $$;
SET lc_monetary = 'C';
CREATE TYPE holds_money AS (a int, b money);
CREATE DOMAIN pay AS money;
CREATE TYPE pays AS RANGE (subtype = money);
CREATE TYPE ranges_of_composites AS RANGE (subtype = holds_money);
CREATE TYPE classes AS RANGE (subtype = regclass);
-- A value that is a C string was read as if its first bytes were its length, which ended the server.
SET client_min_messages = warning;
CREATE TYPE label;
CREATE FUNCTION label_in(cstring) RETURNS label LANGUAGE internal IMMUTABLE STRICT AS 'cstring_in';
CREATE FUNCTION label_out(label) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'cstring_out';
RESET client_min_messages;
CREATE TYPE label (INPUT = label_in, OUTPUT = label_out, LIKE = cstring);
CREATE DOMAIN labels AS label[];
CREATE TYPE labelled AS (id int, l label);

-- Types.
SELECT t.type, r.*
FROM unnest(ARRAY['money', 'aclitem', 'pg_node_tree', 'gtsvector', 'pay', 'holds_money', 'pays', 'ranges_of_composites', 'classes',
    'money[]', 'pay[]', 'holds_money[]', 'pays[]', 'label', 'labels', 'labelled', 'cstring', 'record']) WITH ORDINALITY AS t(type, o),
    LATERAL refused(format('CREATE TABLE refused_type (id int, c %s) USING iceberg', t.type)) r
ORDER BY t.o;
SELECT to_regclass('refused_type');
-- The other ways to make a table with such a column.
SELECT r.* FROM unnest(ARRAY[
    'CREATE TABLE refused_type USING iceberg AS SELECT 1.5::money AS n',
    'CREATE TABLE refused_type USING iceberg AS SELECT ''1''::money AS i',
    'CREATE MATERIALIZED VIEW refused_type USING iceberg AS SELECT ''1''::money AS i',
    'CREATE TABLE refused_type (LIKE pg_class) USING iceberg',
    'CREATE TABLE refused_type (p money) PARTITION BY LIST (p);
     CREATE TABLE refused_leaf PARTITION OF refused_type DEFAULT USING iceberg']) WITH ORDINALITY AS s(statement, o),
    LATERAL refused(s.statement) r ORDER BY s.o;
SELECT to_regclass('refused_type');
CREATE TABLE heap_money (i money) USING heap;
INSERT INTO heap_money VALUES (1.5);
SELECT * FROM refused('ALTER TABLE heap_money SET ACCESS METHOD iceberg');
SELECT * FROM heap_money;

-- Values.
CREATE TYPE pair AS (n numeric(6, 2), d date);
CREATE TABLE t (
    id int, n numeric(6, 2), d date, ts timestamp, tz timestamptz, t time, ints int[], nums numeric(6, 2)[], dates date[], p pair, ps pair[]
) USING iceberg;
INSERT INTO t VALUES (1, 1, '2024-01-01', '2024-01-01', '2024-01-01', '00:00', '{1}', '{1}', '{2024-01-01}', (1, '2024-01-01'), NULL);
SELECT v.columns, v.value, r.*
FROM (VALUES ('n', '''NaN'''), ('n', '''Infinity'''), ('d', '''infinity'''), ('d', '''-infinity'''),
    ('ts', '''infinity'''), ('ts', '''-infinity'''), ('tz', '''infinity'''), ('tz', '''-infinity'''), ('t', '''24:00'''),
    ('ints', '''{{1,2},{3,4}}'''), ('ints', '''[0:1]={1,2}'''), ('nums', '''{1,NaN}'''), ('dates', '''{infinity}'''),
    ('p', '(''NaN'', NULL)'), ('p', '(1, ''infinity'')'), ('ps', 'ARRAY[(1, ''-infinity'')::pair]'), ('ps', '''{{"(1,)"},{"(1,)"}}''')) AS v(columns, value),
    LATERAL refused(format('INSERT INTO t (id, %s) VALUES (2, %s)', v.columns, v.value)) r;
-- As many rows as come before the bad one are gone with it.
SELECT * FROM refused('INSERT INTO t (id, d) SELECT g, CASE WHEN g = 900 THEN ''infinity'' ELSE ''2024-01-01'' END::date FROM generate_series(1, 1000) g');
COPY t (id, n) FROM stdin;
5	1.5
6	NaN
\.
SELECT id, n FROM t;

-- Dates before the common era are kept exactly or refused, never changed.
CREATE TABLE bc (id int, d date, ts timestamp, tz timestamptz) USING iceberg;
DO $$
DECLARE v text; c text; stored text;
BEGIN
    FOREACH v IN ARRAY ARRAY['0001-12-31 BC', '4713-01-01 BC', '0044-03-15 BC'] LOOP
        FOREACH c IN ARRAY ARRAY['d', 'ts', 'tz'] LOOP
            BEGIN
                EXECUTE format('INSERT INTO bc (id, %I) VALUES (1, %L) RETURNING %I::text', c, v, c) INTO stored;
                EXECUTE format('SELECT %I::text FROM bc', c) INTO STRICT v;
                IF v <> stored THEN RAISE WARNING '% became %', stored, v; END IF;
                RAISE EXCEPTION 'undo' USING ERRCODE = 'ZZ000';
            EXCEPTION WHEN SQLSTATE 'ZZ000' OR datetime_field_overflow OR feature_not_supported THEN
                NULL;
            END;
        END LOOP;
    END LOOP;
END $$;
SELECT count(*) FROM bc;

SET client_min_messages = warning;
DROP SCHEMA test_types_refused CASCADE;
