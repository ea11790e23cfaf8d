-- local tables only: it reads metadata files.
-- Columns that get other types. Each statement runs on an Iceberg table and on its heap twin; differences are shown.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_alter_types CASCADE;
CREATE SCHEMA test_alter_types;
SET search_path = test_alter_types;

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

CREATE FUNCTION storage_of(relation regclass) RETURNS oid LANGUAGE sql AS $$ SELECT relfilenode FROM pg_class WHERE oid = relation $$;
-- Runs ALTER TABLE and tells whether rows were written anew.
CREATE FUNCTION alter_column(name text, what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE before oid[]; outcome text;
BEGIN
    before := ARRAY[storage_of(name || '_heap'), storage_of(name || '_iceberg')];
    outcome := run(format('ALTER TABLE %s_AM %s', name, what));
    RETURN outcome || CASE WHEN storage_of(name || '_heap') <> before[1] THEN ', heap written anew' ELSE '' END
        || CASE WHEN storage_of(name || '_iceberg') <> before[2] THEN ', iceberg written anew' ELSE '' END;
END $$;

-- Types that the fields hold as they are.
SELECT run('CREATE TABLE same_AM (a int, v varchar(10), s text, n varchar(5)[], x bit(3), c cidr)  USING AM');
SELECT run('INSERT INTO same_AM VALUES (1, ''v'', ''t'', ''{n}'', B''101'', ''10.0.0.0/8'')');
SELECT lakebase.publish('same_iceberg') IS NOT NULL AS published;
SELECT run('INSERT INTO same_AM VALUES (2, ''w'', ''u'', ''{o}'', B''110'', ''10.1.0.0/16'')');
CREATE DOMAIN label AS text;
CREATE DOMAIN short AS text CHECK (length(VALUE) < 3);
BEGIN;
SELECT run('INSERT INTO same_AM VALUES (3, ''x'', ''v'', ''{p}'', B''111'', ''10.1.2.0/24'')');
SELECT alter_column('same', 'ALTER v TYPE varchar(20)'), alter_column('same', 'ALTER v TYPE text'), alter_column('same', 'ALTER s TYPE label'), alter_column('same', 'ALTER n TYPE text[]'), alter_column('same', 'ALTER x TYPE varbit'), alter_column('same', 'ALTER c TYPE inet'), rows_of('same');
SELECT run('INSERT INTO same_AM VALUES (4, ''a longer one'', ''w'', ''{longer than five}'', B''11111'', ''10.1.2.3/8'')'), rows_of('same');
COMMIT;
SELECT rows_of('same'), iceberg_columns('same_iceberg'), rows_of('same');
SELECT alter_column('same', 'ALTER s TYPE short'), alter_column('same', 'ALTER v TYPE varchar(3)'), alter_column('same', 'ALTER v TYPE varchar(30), ALTER s TYPE varchar'), rows_of('same');

-- Fields that become wider.
SELECT run('CREATE TABLE wide_AM (a int, n numeric(5, 2), m numeric(38, 2)) USING AM'), run('INSERT INTO wide_AM VALUES (1, 123.45, 1)');
SELECT lakebase.publish('wide_iceberg') IS NOT NULL AS published;
SELECT run('INSERT INTO wide_AM VALUES (2, -123.45, 2)');
BEGIN;
SELECT run('INSERT INTO wide_AM VALUES (3, 3.45, 3)'), alter_column('wide', 'ALTER n TYPE numeric(10, 2)'), rows_of('wide'), run('INSERT INTO wide_AM VALUES (4, 12345678.91, 4)');
SAVEPOINT s;
SELECT alter_column('wide', 'ALTER n TYPE numeric(20, 2)'), run('INSERT INTO wide_AM VALUES (5, 123456789012345678.91, 5)'), run('UPDATE wide_AM SET n = n + 1 WHERE a < 3'), rows_of('wide');
ROLLBACK TO s;
SELECT rows_of('wide'), run('INSERT INTO wide_AM VALUES (6, 123456789.91, 6)'), run('UPDATE wide_AM SET n = n + 1 WHERE a IN (1, 2, 4)');
COMMIT;
SELECT rows_of('wide'), iceberg_columns('wide_iceberg'), rows_of('wide');
SELECT run('SELECT FROM wide_AM WHERE n > 12345678'), run('SELECT FROM wide_AM WHERE n < 0'), run('SELECT FROM wide_AM WHERE n = 3.45');
SELECT lakebase.compact('wide_iceberg') IS NOT NULL AS compacted;
SELECT alter_column('wide', 'ALTER n TYPE numeric(12, 2), ADD p numeric(3, 1) DEFAULT 1.5'), alter_column('wide', 'ALTER p TYPE numeric(4, 1)'), run('INSERT INTO wide_AM (a, p) VALUES (7, 123.4)'), rows_of('wide');
SELECT iceberg_columns('wide_iceberg');
SELECT alter_column('wide', 'ALTER n TYPE numeric(3, 2)'), alter_column('wide', 'ALTER n TYPE numeric(12, 4)'), rows_of('wide');
SELECT iceberg_columns('wide_iceberg');

-- What is another field is written anew, whether PostgreSQL does it with a heap table or not.
SET timezone = 'UTC';
SET pg_iceberg_am.unconstrained_numeric = 'text';
SELECT run('CREATE TABLE other_AM (a int, i int, f real, ts timestamp, n numeric(10, 2), o int, d date, s text) USING AM');
SELECT run('INSERT INTO other_AM VALUES (1, 1, 0.1, ''2020-02-29 12:00'', 1.50, 1, ''2020-02-29'', ''7''), (2, -2, ''NaN'', ''1969-12-31 23:59:59.999999'', -0.01, -1, NULL, ''8'')');
BEGIN;
SELECT run('INSERT INTO other_AM VALUES (3, NULL, NULL, NULL, NULL, NULL, NULL, ''9'')'), alter_column('other', 'ALTER i TYPE bigint'), alter_column('other', 'ALTER f TYPE float8'), alter_column('other', 'ALTER ts TYPE timestamptz'), alter_column('other', 'ALTER n TYPE numeric'), rows_of('other');
SELECT alter_column('other', 'ALTER o TYPE oid'), alter_column('other', 'ALTER d TYPE timestamp'), alter_column('other', 'ALTER s TYPE int'), alter_column('other', 'ALTER s TYPE int USING s::int + 1'), run('INSERT INTO other_AM VALUES (4, 5000000000, 0.1, ''2021-01-01'', 1.555, 4294967295, ''2021-01-02'', 5)'), run('UPDATE other_AM SET o = 7 WHERE a = 2'), rows_of('other', 'ROW(a, i, f, n, o, s)');
COMMIT;
SELECT rows_of('other');
SELECT iceberg_columns('other_iceberg');
SET timezone = 'Europe/Vienna';
SELECT alter_column('other', 'ALTER ts TYPE timestamp'), alter_column('other', 'ALTER i TYPE smallint'), alter_column('other', 'DROP i, ADD i int DEFAULT 3, ALTER f TYPE text, ALTER o TYPE bigint, ADD CHECK (o > 0)'), alter_column('other', 'DROP i, ADD i int DEFAULT 3, ALTER f TYPE text, ALTER o TYPE int USING 4'), rows_of('other');
SELECT iceberg_columns('other_iceberg');
RESET timezone;
SET timezone = 'UTC';
SELECT alter_column('other', 'ALTER ts TYPE timestamptz, ADD CHECK (ts < now()), ADD late int DEFAULT 8, ALTER n TYPE numeric(20, 3)'), rows_of('other');
SELECT alter_column('other', 'ALTER ts TYPE timestamp, ADD e int DEFAULT 8'), rows_of('other');
RESET timezone;
\set VERBOSITY default
ALTER TABLE other_iceberg ALTER s TYPE money;
\set VERBOSITY terse

-- Iceberg's promotions: what heap tables are written anew for, Iceberg tables are not, unless something else of the statement
-- needs it.
SELECT run('CREATE TABLE grow_AM (a int, s smallint, i int, f real, CHECK (i < 2147483647 AND f <> 5)) USING AM');
SELECT run('INSERT INTO grow_AM VALUES (1, 32767, 2147483646, 0.1), (2, -32768, -2147483648, ''NaN''), (3, -1, -1, ''-0''), (4, NULL, NULL, ''-Infinity''), (5, 0, 0, 3.4028235e38)');
SELECT lakebase.publish('grow_iceberg') IS NOT NULL AS published;
SELECT run('INSERT INTO grow_AM VALUES (6, 6, 6, 1e-45)');
BEGIN;
SELECT run('INSERT INTO grow_AM VALUES (7, 7, 7, 7)'), alter_column('grow', 'ALTER i TYPE bigint, ALTER f TYPE double precision'), rows_of('grow');
SAVEPOINT s;
SELECT alter_column('grow', 'ALTER s TYPE int'), run('INSERT INTO grow_AM VALUES (8, 70000, -5000000000, 1e300)'), run('INSERT INTO grow_AM VALUES (9, 70000, 5000000000, 0.1)'), run('UPDATE grow_AM SET i = i - 1, f = f * 2 WHERE a IN (1, 6, 7)'), rows_of('grow');
ROLLBACK TO s;
SELECT run('INSERT INTO grow_AM VALUES (8, 70000, -5000000000, 1e300)'), run('INSERT INTO grow_AM VALUES (8, 7, -5000000000, 1e300)'), alter_column('grow', 'ALTER s TYPE bigint'), rows_of('grow');
COMMIT;
SELECT rows_of('grow'), iceberg_columns('grow_iceberg');
SELECT run('SELECT FROM grow_AM WHERE i = -1'), run('SELECT FROM grow_AM WHERE i > 2147483645'), run('SELECT FROM grow_AM WHERE i < -2147483648'), run('SELECT FROM grow_AM WHERE f > 1e38'), run('SELECT FROM grow_AM WHERE f = 0'), run('SELECT FROM grow_AM WHERE f = 0.1::float4'), run('SELECT FROM grow_AM WHERE s BETWEEN -40000 AND 0');
SELECT lakebase.compact('grow_iceberg') IS NOT NULL AS compacted;
SELECT rows_of('grow'), run('DELETE FROM grow_AM WHERE f = ''NaN'''), rows_of('grow', 'ROW(a, s)');
-- Beside what writes rows anew, and where a heap table or a default that older rows have is concerned.
SELECT run('CREATE TABLE beside_AM (a int, i int, f real, g int GENERATED ALWAYS AS (a * 2) STORED) USING AM'), run('INSERT INTO beside_AM VALUES (1, -1, 0.1)'), run('CREATE SEQUENCE beside_s_AM');
SELECT alter_column('beside', 'ALTER i TYPE bigint, ALTER f TYPE float8, ADD n int DEFAULT nextval(''beside_s_AM'')'), alter_column('beside', 'ALTER f TYPE float8 USING f + 1, ALTER i TYPE bigint'), alter_column('beside', 'ALTER i TYPE bigint, ALTER i TYPE int'), alter_column('beside', 'ALTER nobody TYPE bigint'), alter_column('beside', 'ALTER i TYPE nothing'), rows_of('beside');
ALTER TABLE beside_iceberg SET (format_version = 3);
SELECT run('ALTER TABLE beside_AM ADD d real DEFAULT 0.1'), run('ALTER TABLE beside_AM ADD e int DEFAULT -1'), alter_column('beside', 'ALTER d TYPE float8'), alter_column('beside', 'ALTER e TYPE bigint'), rows_of('beside');
SELECT run('CREATE TABLE mixed_AM (a int, f real, i int) PARTITION BY LIST (a)'), run('CREATE TABLE m1_AM (x int, i int, a int, f real) USING AM'), run('ALTER TABLE m1_AM DROP x'), run('ALTER TABLE mixed_AM ATTACH PARTITION m1_AM FOR VALUES IN (1)'), run('INSERT INTO mixed_AM VALUES (1, 0.1, -1)');
SELECT run('ALTER TABLE mixed_AM ALTER f TYPE float8, ALTER i TYPE bigint'), run('INSERT INTO mixed_AM VALUES (1, 0.1, -5000000000)'), rows_of('mixed');
ALTER TABLE mixed_iceberg ADD r real; ALTER TABLE mixed_heap ADD r real;
CREATE TABLE m2_heap PARTITION OF mixed_heap FOR VALUES IN (2) USING heap;
CREATE TABLE m2_iceberg PARTITION OF mixed_iceberg FOR VALUES IN (2) USING heap;
SELECT run('INSERT INTO mixed_AM VALUES (1, 1, 1, 0.1), (2, 2, 2, 0.2)'), run('ALTER TABLE mixed_AM ALTER r TYPE float8'), rows_of('mixed');
SELECT run('CREATE TABLE parent_AM (a int, r real) USING AM'), run('CREATE TABLE child_AM () INHERITS (parent_AM) USING heap'), run('INSERT INTO parent_AM VALUES (1, 0.1)'), run('INSERT INTO child_AM VALUES (2, 0.2)');
SELECT run('ALTER TABLE ONLY parent_AM ALTER r TYPE float8'), run('ALTER TABLE child_AM ALTER r TYPE float8'), run('ALTER TABLE parent_AM ALTER r TYPE float8, ALTER a TYPE bigint'), rows_of('parent');
-- The same plan more than once.
CREATE FUNCTION grow() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE again ALTER i TYPE bigint; END $$;
CREATE TABLE again (i int) USING iceberg;
INSERT INTO again VALUES (-1);
SELECT grow();
SELECT grow();
DROP TABLE again;
CREATE TABLE again (j text, i int) USING heap;
INSERT INTO again VALUES ('j', -1);
SELECT grow();
SELECT * FROM again;
CREATE ROLE test_alter_types;
GRANT ALL ON SCHEMA test_alter_types TO test_alter_types;
SET ROLE test_alter_types;
ALTER TABLE grow_iceberg ALTER a TYPE bigint;
RESET ROLE;
REVOKE ALL ON SCHEMA test_alter_types FROM test_alter_types;
DROP ROLE test_alter_types;

-- An event trigger that has the table written anew before its fields are settled.
SELECT run('CREATE TABLE nested_AM (o oid) USING AM'), run('INSERT INTO nested_AM VALUES (7), (4294967295)');
CREATE FUNCTION nested() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'nested_iceberg'::regclass AND attname = 'x') THEN
        ALTER TABLE nested_iceberg ADD x float8 DEFAULT random();
    END IF;
END $$;
CREATE EVENT TRIGGER nested ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION nested();
SELECT run('ALTER TABLE nested_AM ALTER o TYPE int'), rows_of('nested', 'ROW(o)');
DROP EVENT TRIGGER nested;
SELECT run('INSERT INTO nested_AM VALUES (-2)'), rows_of('nested', 'ROW(o)');

-- One whose own ALTER TABLE is rolled back: the table was not written anew, and could not be read any more.
SELECT run('CREATE TABLE undone_AM (a int, o oid) USING AM'), run('INSERT INTO undone_AM VALUES (1, 4294967295), (2, 7)');
CREATE FUNCTION undone() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE am text;
BEGIN
    IF current_setting('test.nested', true) = 'on' THEN
        RETURN;
    END IF;
    PERFORM set_config('test.nested', 'on', true);
    FOREACH am IN ARRAY '{heap,iceberg}'::text[] LOOP
        BEGIN
            EXECUTE format('ALTER TABLE undone_%s ADD nested text DEFAULT ''n''', am);
            RAISE 'no';
        EXCEPTION WHEN OTHERS THEN END;
        BEGIN
            EXECUTE format('ALTER TABLE undone_%s ALTER a TYPE oid, ADD nested int DEFAULT 1 CHECK (nested > 2)', am);
        EXCEPTION WHEN check_violation THEN END;
    END LOOP;
    PERFORM set_config('test.nested', 'off', true);
END $$;
CREATE EVENT TRIGGER undone ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION undone();
SELECT run('ALTER TABLE undone_AM ALTER o TYPE int');
DROP EVENT TRIGGER undone;
SELECT rows_of('undone'), alter_column('undone', 'ALTER o TYPE bigint'), run('INSERT INTO undone_AM VALUES (3, 5000000000)'), rows_of('undone');

-- One that retypes the column once more, by way of a statement of another table.
SELECT run('CREATE TABLE more_AM (a int, o oid) USING AM'), run('INSERT INTO more_AM VALUES (1, 4294967295), (2, 7)');
CREATE TABLE between (a int);
CREATE FUNCTION more() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE depth text := coalesce(nullif(current_setting('test.depth', true), ''), '0');
BEGIN
    PERFORM set_config('test.depth', (depth::int + 1)::text, true);
    IF depth = '0' THEN
        ALTER TABLE between ADD b int;
    ELSIF depth = '1' THEN
        BEGIN
            ALTER TABLE more_heap ALTER o TYPE bigint; ALTER TABLE more_iceberg ALTER o TYPE bigint;
            RAISE 'no';
        EXCEPTION WHEN raise_exception THEN END;
        IF current_setting('test.more') = 'yes' THEN
            ALTER TABLE more_heap ALTER o TYPE bigint; ALTER TABLE more_iceberg ALTER o TYPE bigint;
        END IF;
    END IF;
END $$;
CREATE EVENT TRIGGER more ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION more();
BEGIN;
SET LOCAL test.more = 'no';
ALTER TABLE more_iceberg ALTER o TYPE int;
ALTER TABLE more_heap ALTER o TYPE int;
SELECT rows_of('more');
ROLLBACK;
SET test.more = 'yes';
ALTER TABLE more_iceberg ALTER o TYPE int;
DROP EVENT TRIGGER more;
SELECT atttypid::regtype FROM pg_attribute WHERE attrelid = 'more_iceberg'::regclass AND attname = 'o';
SELECT * FROM more_iceberg ORDER BY a;

-- Savepoints, exception blocks, generated columns, defaults, constraints, views.
CREATE TABLE referenced (id bigint PRIMARY KEY);
INSERT INTO referenced VALUES (1), (2);
SELECT run('CREATE TABLE bound_AM (a int REFERENCES referenced, b int DEFAULT 5, g int GENERATED ALWAYS AS (b * 2) STORED, CHECK (b > 0)) USING AM'), run('INSERT INTO bound_AM VALUES (1, 1), (2, 2)');
CREATE VIEW v_heap AS SELECT g FROM bound_heap; CREATE VIEW v_iceberg AS SELECT g FROM bound_iceberg;
SELECT alter_column('bound', 'ALTER a TYPE bigint'), alter_column('bound', 'ALTER b TYPE bigint'), alter_column('bound', 'ALTER g TYPE bigint'), alter_column('bound', 'ALTER a TYPE text'), rows_of('bound');
BEGIN;
SAVEPOINT s;
SELECT alter_column('bound', 'ALTER a TYPE numeric'), run('INSERT INTO bound_AM VALUES (1.0)'), rows_of('bound');
ROLLBACK TO s;
SELECT rows_of('bound'), run('INSERT INTO bound_AM VALUES (2)');
SAVEPOINT s;
SELECT alter_column('bound', 'ALTER a TYPE int'), run('INSERT INTO bound_AM VALUES (2)'), run('DELETE FROM bound_AM WHERE b = 1'), rows_of('bound');
RELEASE s;
COMMIT;
SELECT rows_of('bound');
SELECT run('CREATE TABLE parted_AM (a int, k int, v varchar(3), n numeric(4, 1)) PARTITION BY LIST (k)'), run('CREATE TABLE p1_AM PARTITION OF parted_AM FOR VALUES IN (1) USING AM'), run('CREATE TABLE p2_AM PARTITION OF parted_AM FOR VALUES IN (2) USING AM'), run('INSERT INTO parted_AM VALUES (1, 1, ''v'', 1), (2, 2, ''w'', 2)');
SELECT run('ALTER TABLE parted_AM ALTER v TYPE text, ALTER n TYPE numeric(6, 1)'), run('INSERT INTO parted_AM VALUES (3, 1, ''longer'', 12345.6)'), run('ALTER TABLE parted_AM ALTER a TYPE bigint'), run('ALTER TABLE parted_AM ALTER k TYPE bigint'), run('UPDATE parted_AM SET k = 3 - k WHERE a = 1'), rows_of('parted'), rows_of('p2');
CREATE TYPE shape AS (x int, y varchar(3));
SELECT run('CREATE TABLE typed_AM OF shape USING AM'), run('INSERT INTO typed_AM VALUES (1, ''y'')'), run('ALTER TYPE shape ALTER ATTRIBUTE y TYPE text CASCADE, ALTER ATTRIBUTE x TYPE bigint CASCADE'), rows_of('typed');
SELECT run('CREATE TEMP TABLE temp_AM (a int, n numeric(3, 1)) USING AM ON COMMIT DELETE ROWS'), alter_column('temp', 'ALTER a TYPE bigint'), alter_column('temp', 'ALTER n TYPE numeric(5, 1)');
BEGIN;
SELECT run('INSERT INTO temp_AM VALUES (5000000000, 1234.5)'), alter_column('temp', 'ALTER n TYPE numeric(6, 1)'), run('INSERT INTO temp_AM VALUES (1, 12345.6)'), rows_of('temp');
COMMIT;
BEGIN;
SELECT alter_column('wide', 'ALTER m TYPE numeric(38, 2), ALTER p TYPE numeric(7, 1)'), run('INSERT INTO wide_AM (a, p) VALUES (8, 123456.7)');
PREPARE TRANSACTION 'test_alter_types';
COMMIT PREPARED 'test_alter_types';
SELECT rows_of('wide', 'ROW(a, p)');
SELECT count(*) AS left_behind FROM lakebase.column_field f WHERE backend = -1 AND NOT EXISTS (SELECT FROM pg_class c WHERE c.relfilenode = f.relfilenumber);

DROP SCHEMA test_alter_types CASCADE;
