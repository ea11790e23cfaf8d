-- Conditions that are no ranges of a column (a remainder, NOT LIKE with NULLs, comparisons with NaN) leave out no
-- file, row group or page with a row that satisfies them: the same rows as of a heap twin.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_pruning CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_pruning;
SET search_path = test_pruning;
SET pg_iceberg_am.publish_interval = 0;

CREATE TABLE ice (id int NOT NULL, word text COLLATE "C", x float8, n numeric(9, 2), at timestamptz) USING iceberg;
CREATE TABLE twin (LIKE ice) USING heap;

-- A data file for each call.
CREATE FUNCTION some_rows(low int, high int) RETURNS SETOF twin LANGUAGE sql AS $$
    SELECT g, CASE WHEN g % 3 > 0 THEN chr(97 + low / 100) || g END,
        CASE g % 4 WHEN 0 THEN 'NaN' WHEN 1 THEN NULL ELSE g / 10.0 END,
        CASE WHEN low <> 200 THEN g / 4.0 END,
        '2024-01-01 00:00+00'::timestamptz + g * interval '1 hour'
    FROM generate_series(low, high) g $$;

INSERT INTO ice SELECT * FROM some_rows(0, 99);
INSERT INTO ice SELECT * FROM some_rows(100, 199);
INSERT INTO ice SELECT * FROM some_rows(200, 299);
INSERT INTO ice SELECT * FROM some_rows(300, 399) WHERE x = 'NaN';
INSERT INTO ice (id) VALUES (1000);
INSERT INTO twin TABLE ice;
SELECT count(*) AS files FROM lakebase.iceberg_files('ice');

CREATE TABLE conditions (condition text) USING heap;
INSERT INTO conditions VALUES
    ('id % 8 = 2'), ('NOT id % 8 = 2'), ('abs(id - 150) < 10'), ('id / 100 = 1'), ('-id < -250'),
    ('word LIKE ''b%'''), ('word NOT LIKE ''b%'''), ('NOT word LIKE ''b1%'''), ('word ~ ''5$'''), ('word NOT LIKE ''%'''),
    ('word < ''b'''), ('NOT word < ''b'''), ('word <> ''a1'''), ('word IS NULL'), ('word IS NOT NULL'),
    ('x = ''NaN'''), ('x <> ''NaN'''), ('NOT x = ''NaN'''), ('x > 1e300'), ('NOT x < 35'), ('x < 5'), ('x >= ''NaN'''), ('x > ''NaN'''), ('x <= ''NaN'''),
    ('n IS NULL'), ('n IS NOT NULL'), ('n % 1 = 0.5'), ('n = 30.25'), ('NOT n > 10'), ('n = ANY (''{10.25,60.25,NULL}'')'), ('n <> ALL (''{10.25,60.25}'')'),
    ('at < ''2024-01-02 12:00+00'''), ('date_trunc(''day'', at) = ''2024-01-03 00:00+00'''), ('extract(hour FROM at) = 5'),
    ('id % 8 = 2 AND word < ''b'''), ('id % 8 = 2 OR x = ''NaN'''), ('NOT (id > 150 OR n IS NULL)'), ('(id = 5) IS NOT TRUE'), ('(n > 10) IS NULL');

CREATE FUNCTION rows_of(relation text, condition text) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE ids int[];
BEGIN
    EXECUTE format('SELECT array_agg(id ORDER BY id) FROM %I WHERE %s', relation, condition) INTO ids;
    RETURN ids;
END $$;

-- No condition has other rows in the twin.
SET timezone = 'UTC';
SELECT condition FROM conditions WHERE rows_of('ice', condition) IS DISTINCT FROM rows_of('twin', condition);
SELECT condition, cardinality(rows_of('ice', condition)) AS rows FROM conditions;

DROP SCHEMA test_pruning CASCADE;
