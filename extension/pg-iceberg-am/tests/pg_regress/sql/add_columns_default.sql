-- local tables only: it reads metadata files.
-- Columns that are added with a default which rows from before have as well: told by metadata of version 3, written into the
-- rows where those cannot tell it. Each statement runs on an Iceberg table and on its heap twin; differences are shown.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_add_columns_default CASCADE;
CREATE SCHEMA test_add_columns_default;
SET search_path = test_add_columns_default;

CREATE FUNCTION run(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE outcome text[] := '{}'; am text; n bigint; code text; message text;
BEGIN
    FOREACH am IN ARRAY '{heap,iceberg}'::text[] LOOP
        BEGIN
            EXECUTE regexp_replace(statement, '(?<![A-Z])AM(?![A-Z])', am, 'g');
            GET DIAGNOSTICS n = ROW_COUNT;
            outcome := outcome || format('%s rows', n);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
            outcome := outcome || format('%s %s', code, replace(message, am, 'AM'));
        END;
    END LOOP;
    RETURN CASE WHEN outcome[1] = outcome[2] THEN outcome[1] ELSE format('heap: %s; iceberg: %s', outcome[1], outcome[2]) END;
END $$;
-- The rows of tables NAME_heap and NAME_iceberg, which must be the same.
CREATE FUNCTION rows_of(name text, what text DEFAULT 't') RETURNS text LANGUAGE plpgsql AS $$
DECLARE heap text; iceberg text;
BEGIN
    EXECUTE format('SELECT string_agg((%s)::text, '' '' ORDER BY (%1$s)::text) FROM %I t', what, name || '_heap') INTO heap;
    EXECUTE format('SELECT string_agg((%s)::text, '' '' ORDER BY (%1$s)::text) FROM %I t', what, name || '_iceberg') INTO iceberg;
    RETURN CASE WHEN heap IS NOT DISTINCT FROM iceberg THEN heap ELSE format('heap: %s; iceberg: %s', heap, iceberg) END;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
-- What other engines take the columns of a table for.
CREATE FUNCTION metadata(relation regclass) RETURNS jsonb LANGUAGE sql AS $$
    SELECT pg_read_file(replace(lakebase.publish(relation), 'file://', ''))::jsonb $$;
CREATE FUNCTION iceberg_columns(relation regclass) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s:%s %s', f->>'id', f->>'name', coalesce(f->'type'->>'type', f->>'type')), ', ' ORDER BY o) || '; last ' || max(m->>'last-column-id')
      FROM metadata(relation) m, jsonb_array_elements(m->'schemas') s, jsonb_array_elements(s->'fields') WITH ORDINALITY x(f, o)
     WHERE s->'schema-id' = m->'current-schema-id' $$;

CREATE FUNCTION defaults_of(relation regclass) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(format('%s=%s/%s', f->>'name', f->'initial-default', f->'write-default'), ', ' ORDER BY o)
      FROM metadata(relation) m, jsonb_array_elements(m->'schemas') s, jsonb_array_elements(s->'fields') WITH ORDINALITY x(f, o)
     WHERE s->'schema-id' = m->'current-schema-id' AND f ? 'initial-default' $$;
CREATE FUNCTION storage_of(relation regclass) RETURNS oid LANGUAGE sql AS $$ SELECT relfilenode FROM pg_class WHERE oid = relation $$;

-- Version 2: rows are written anew; nothing is, if there are none.
SELECT run('CREATE TABLE two_AM (a int) USING AM');
SELECT storage_of('two_iceberg') AS before \gset
SELECT run('ALTER TABLE two_AM ADD e int DEFAULT 1'), storage_of('two_iceberg') = :before AS "not written anew", defaults_of('two_iceberg');
SELECT run('INSERT INTO two_AM SELECT generate_series(1, 3)'), run('INSERT INTO two_AM VALUES (4, NULL)');
SELECT run('ALTER TABLE two_AM ADD b text DEFAULT ''x'', ADD c numeric(5, 2) DEFAULT 1.5 NOT NULL'), rows_of('two');
SELECT storage_of('two_iceberg') = :before AS "not written anew", defaults_of('two_iceberg'), iceberg_columns('two_iceberg');
BEGIN;
SELECT run('INSERT INTO two_AM VALUES (5)'), run('ALTER TABLE two_AM ADD d date DEFAULT ''2020-02-29'''), run('UPDATE two_AM SET d = NULL WHERE a = 1'), run('INSERT INTO two_AM (a, d) VALUES (6, ''2021-01-01'')'), rows_of('two');
SAVEPOINT s;
SELECT run('ALTER TABLE two_AM ADD f int DEFAULT 7'), run('DELETE FROM two_AM WHERE a = 2'), rows_of('two');
ROLLBACK TO s;
SELECT rows_of('two'), run('ALTER TABLE two_AM ADD f text DEFAULT ''f''');
COMMIT;
SELECT rows_of('two'), iceberg_columns('two_iceberg');
SELECT attname FROM pg_attribute WHERE attrelid = 'two_iceberg'::regclass AND atthasmissing;

-- Version 3: the metadata tell it, whatever the type.
SELECT run('CREATE TABLE three_AM (a int) USING AM');
ALTER TABLE three_iceberg SET ("format_version" = 3);
SELECT run('INSERT INTO three_AM SELECT generate_series(1, 3)'), lakebase.publish('three_iceberg') IS NOT NULL AS published;
SELECT run('INSERT INTO three_AM VALUES (4)');
SELECT storage_of('three_iceberg') AS before \gset
BEGIN;
SELECT run('INSERT INTO three_AM VALUES (5)'), run('ALTER TABLE three_AM ADD b bool DEFAULT true, ADD s smallint DEFAULT -1, ADD i int DEFAULT 2147483647, ADD l bigint DEFAULT -9223372036854775808, ADD f real DEFAULT 0.1, ADD d double precision DEFAULT ''-0'', ADD n numeric(9, 3) DEFAULT -1.5, ADD x text DEFAULT ''é"\'', ADD v varchar(3) DEFAULT ''v'', ADD c char(3) DEFAULT ''c'', ADD y bytea DEFAULT ''\x00ff'', ADD day date DEFAULT ''1969-12-31'', ADD "time" time DEFAULT ''23:59:59.999999'', ADD ts timestamp DEFAULT ''1969-12-31 23:59:59.999999'', ADD tz timestamptz DEFAULT ''2020-02-29 12:00+02'', ADD u uuid DEFAULT ''f79c3e09-677c-4bbd-a479-3f349cb785e7'', ADD iv interval DEFAULT ''1 mon -1 day'', ADD j jsonb DEFAULT ''{"a": 1}'', ADD o oid DEFAULT 4294967295'), rows_of('three');
SELECT run('INSERT INTO three_AM (a, i) VALUES (6, 6)'), run('UPDATE three_AM SET x = NULL WHERE a IN (1, 4, 5)'), rows_of('three');
COMMIT;
SELECT rows_of('three'), storage_of('three_iceberg') = :before AS "not written anew";
SELECT defaults_of('three_iceberg');
SELECT rows_of('three'), run('SELECT FROM three_AM WHERE i = 2147483647'), run('SELECT FROM three_AM WHERE i <> 6'), run('SELECT FROM three_AM WHERE x IS NULL'), run('SELECT FROM three_AM WHERE iv < ''1 mon'''), run('SELECT FROM three_AM WHERE n < 0 AND day < ''1970-01-01''');
SELECT lakebase.compact('three_iceberg') IS NOT NULL AS compacted;
SELECT rows_of('three'), defaults_of('three_iceberg') IS NOT NULL AS told;
-- Another default is for rows to come; a column that goes and comes again has its own.
SELECT run('ALTER TABLE three_AM ALTER i SET DEFAULT 8'), run('INSERT INTO three_AM (a) VALUES (7)'), run('ALTER TABLE three_AM DROP x, ADD x int DEFAULT 9'), run('ALTER TABLE three_AM ALTER s DROP DEFAULT'), run('INSERT INTO three_AM (a) VALUES (8)'), rows_of('three', 'ROW(a, i, s, x)');
SELECT run('ALTER TABLE three_AM ADD stable timestamptz DEFAULT now()'), run('SELECT FROM three_AM WHERE stable = now()'), run('SELECT FROM three_AM WHERE stable IS NULL');
-- Rows are written anew where JSON has no form of the value.
SELECT storage_of('three_iceberg') AS before \gset
SELECT run('ALTER TABLE three_AM ADD nan float8 DEFAULT ''NaN'''), rows_of('three', 'ROW(a, nan)');
SELECT storage_of('three_iceberg') = :before AS "not written anew", defaults_of('three_iceberg');
SELECT run('ALTER TABLE three_AM ADD arr int[] DEFAULT ''{1,NULL}'', ADD old date DEFAULT ''0044-03-15 BC'', ADD more int DEFAULT 3'), rows_of('three', 'ROW(a, arr, old, more)');
SELECT defaults_of('three_iceberg');
CREATE TYPE pair AS (l int, r text);
SELECT run('ALTER TABLE three_AM ADD pair pair DEFAULT ROW(1, ''r'')'), rows_of('three', 'ROW(a, pair)');

-- What PostgreSQL checks while it adds the column sees the value.
CREATE TABLE referenced (id int PRIMARY KEY);
INSERT INTO referenced VALUES (1);
CREATE DOMAIN positive AS int DEFAULT 7 CHECK (VALUE > 0);
CREATE DOMAIN plain AS int DEFAULT 6;
SELECT run('CREATE TABLE checked_AM (a int) USING AM'), run('INSERT INTO checked_AM VALUES (1)');
ALTER TABLE checked_iceberg SET ("format_version" = 3);
SELECT run('ALTER TABLE checked_AM ADD b int DEFAULT 5 CHECK (b < 5)'), run('ALTER TABLE checked_AM ADD b int DEFAULT 5 CHECK (b = 5) NOT NULL'), run('ALTER TABLE checked_AM ADD r int DEFAULT 2 REFERENCES referenced'), run('ALTER TABLE checked_AM ADD r int DEFAULT 1 REFERENCES referenced');
SELECT run('ALTER TABLE checked_AM ADD p positive'), run('ALTER TABLE checked_AM ADD q plain'), run('ALTER TABLE checked_AM ADD x positive DEFAULT -1'), run('ALTER TABLE checked_AM ADD n int DEFAULT NULL, ADD m int DEFAULT NULL::int'), run('ALTER TABLE checked_AM ADD twice int GENERATED ALWAYS AS (b * 2) STORED'), rows_of('checked');
SELECT run('ALTER TABLE checked_AM ADD f float8 DEFAULT ''NaN'' CHECK (f = 1)'), run('ALTER TABLE checked_AM ADD f float8 DEFAULT ''NaN'' CHECK (f = ''NaN'')'), rows_of('checked');

-- Partitions, an event trigger that looks and writes, and one that turns the table into a heap.
SELECT run('CREATE TABLE parted_AM (a int, k int) PARTITION BY LIST (k)'), run('CREATE TABLE p1_AM PARTITION OF parted_AM FOR VALUES IN (1) USING AM'), run('CREATE TABLE p2_AM PARTITION OF parted_AM FOR VALUES IN (2) USING AM'), run('INSERT INTO parted_AM VALUES (1, 1), (2, 2)');
ALTER TABLE p2_iceberg SET ("format_version" = 3);
SELECT run('ALTER TABLE parted_AM ADD c int DEFAULT 3'), rows_of('parted');
SELECT defaults_of('p1_iceberg'), defaults_of('p2_iceberg');
CREATE TABLE seen (sum bigint);
CREATE FUNCTION look() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen SELECT sum(d) FROM parted_iceberg;
    COMMENT ON TABLE seen IS 'seen';
    INSERT INTO parted_iceberg (a, k) VALUES (9, 1);
END $$;
CREATE EVENT TRIGGER look ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION look();
ALTER TABLE parted_iceberg ADD d int DEFAULT 4;
DROP EVENT TRIGGER look;
SELECT * FROM seen;
SELECT * FROM parted_iceberg ORDER BY a, k;
CREATE FUNCTION to_heap() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class WHERE oid = 'checked_iceberg'::regclass AND relam = (SELECT oid FROM pg_am WHERE amname = 'iceberg')) THEN
        ALTER TABLE checked_iceberg SET ACCESS METHOD heap;
    END IF;
END $$;
CREATE EVENT TRIGGER to_heap ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION to_heap();
ALTER TABLE checked_iceberg ADD h int DEFAULT 5;
DROP EVENT TRIGGER to_heap;
SELECT a, h FROM checked_iceberg;
-- Between the access methods.
CREATE TABLE between_am (a int);
INSERT INTO between_am VALUES (1);
ALTER TABLE between_am ADD b int DEFAULT 2, SET ACCESS METHOD iceberg;
ALTER TABLE between_am ADD c int DEFAULT 3, SET ACCESS METHOD heap;
ALTER TABLE between_am ADD d int DEFAULT 4;
ALTER TABLE between_am SET ACCESS METHOD iceberg;
BEGIN;
ALTER TABLE between_am SET ("format_version" = 3);
ALTER TABLE between_am ADD e int DEFAULT 5;
INSERT INTO between_am VALUES (2);
COMMIT;
SELECT * FROM between_am ORDER BY a;
SELECT metadata('between_am')->'format-version' AS version, defaults_of('between_am');
VACUUM FULL between_am;
SELECT * FROM between_am ORDER BY a;
SELECT metadata('between_am')->'format-version' AS version, defaults_of('between_am');
-- In a function, and prepared.
DO $$ BEGIN
    BEGIN
        ALTER TABLE between_am ADD f int DEFAULT 6;
        RAISE 'no';
    EXCEPTION WHEN raise_exception THEN END;
    ALTER TABLE between_am ADD f text DEFAULT 'six';
    UPDATE between_am SET f = 'u' WHERE a = 1;
END $$;
SELECT a, f FROM between_am ORDER BY a;
BEGIN;
ALTER TABLE between_am ADD g int DEFAULT 7;
PREPARE TRANSACTION 'test_add_columns_default';
ROLLBACK PREPARED 'test_add_columns_default';
BEGIN;
ALTER TABLE between_am ADD g text DEFAULT 'seven';
INSERT INTO between_am (a) VALUES (3);
PREPARE TRANSACTION 'test_add_columns_default';
COMMIT PREPARED 'test_add_columns_default';
SELECT a, g FROM between_am ORDER BY a;

DROP SCHEMA test_add_columns_default CASCADE;
