-- local tables only: it reads metadata files.
-- Columns were found by name when read and by position when written: ALTER TYPE ... CASCADE on a typed table
-- made it unreadable or exchanged the values of two columns, and after DROP DOMAIN ... CASCADE nothing could be
-- inserted any more. Each statement runs on an Iceberg table and on its heap twin; differences are shown.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_alter_columns CASCADE;
CREATE SCHEMA test_alter_columns;
SET search_path = test_alter_columns;

-- Runs a statement as it is, or for both access methods where it says AM; shows what differs from heap.
CREATE FUNCTION run(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE outcome text[] := '{}'; am text; n bigint; code text; message text;
BEGIN
    FOREACH am IN ARRAY CASE WHEN statement ~ '(?<![A-Z])AM(?![A-Z])' THEN '{heap,iceberg}' ELSE '{both}' END::text[] LOOP
        BEGIN
            EXECUTE regexp_replace(statement, '(?<![A-Z])AM(?![A-Z])', am, 'g');
            GET DIAGNOSTICS n = ROW_COUNT;
            outcome := outcome || format('%s rows', n);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
            outcome := outcome || format('%s %s', code, replace(message, am, 'AM'));
        END;
    END LOOP;
    RETURN CASE WHEN outcome[1] = outcome[2] OR outcome[2] IS NULL THEN outcome[1] ELSE format('heap: %s; iceberg: %s', outcome[1], outcome[2]) END;
END $$;

-- The rows of tables NAME_heap and NAME_iceberg, which must be the same.
CREATE FUNCTION rows_of(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE heap text; iceberg text;
BEGIN
    EXECUTE format('SELECT string_agg(t::text, '' '' ORDER BY t::text) FROM %I t', name || '_heap') INTO heap;
    EXECUTE format('SELECT string_agg(t::text, '' '' ORDER BY t::text) FROM %I t', name || '_iceberg') INTO iceberg;
    RETURN CASE WHEN heap IS NOT DISTINCT FROM iceberg THEN heap ELSE format('heap: %s; iceberg: %s', heap, iceberg) END;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- What other engines take the columns of a table for.
CREATE FUNCTION iceberg_columns(relation regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE metadata jsonb := pg_read_file(replace(lakebase.publish(relation), 'file://', ''))::jsonb; columns text;
BEGIN
    SELECT string_agg(format('%s:%s %s', f->>'id', f->>'name',
        coalesce(f->'type'->>'type' || (SELECT jsonb_agg(n->'name') FROM jsonb_array_elements(coalesce(f->'type'->'fields', f->'type'->'element'->'fields')) n), f->>'type')), ', ' ORDER BY o)
        INTO columns FROM jsonb_array_elements(metadata->'schemas') s, jsonb_array_elements(s->'fields') WITH ORDINALITY x(f, o)
        WHERE s->'schema-id' = metadata->'current-schema-id';
    RETURN columns;
END $$;

-- Typed tables: attributes renamed so that two names are exchanged, dropped, added, retyped.
CREATE TYPE shape AS (a int, b int, c text);
CREATE TABLE typed_heap OF shape USING heap;
CREATE TABLE typed_iceberg OF shape USING iceberg;
SELECT run('INSERT INTO typed_AM VALUES (1, 2, ''x'')');
SELECT run('ALTER TYPE shape RENAME ATTRIBUTE a TO t CASCADE'), run('ALTER TYPE shape RENAME ATTRIBUTE b TO a CASCADE'), run('ALTER TYPE shape RENAME ATTRIBUTE t TO b CASCADE');
SELECT run('INSERT INTO typed_AM (b, a, c) VALUES (1, 2, ''y'')');
SELECT iceberg_columns('typed_iceberg');
SELECT * FROM typed_iceberg WHERE b = 1 ORDER BY c;
SELECT rows_of('typed');
SELECT run('ALTER TYPE shape DROP ATTRIBUTE a CASCADE'), run('INSERT INTO typed_AM (b, c) VALUES (3, ''z'')'), rows_of('typed');
SELECT iceberg_columns('typed_iceberg');
SELECT run('ALTER TYPE shape ADD ATTRIBUTE d int CASCADE'), run('ALTER TYPE shape ALTER ATTRIBUTE b TYPE bigint CASCADE'), rows_of('typed');
SELECT run('ALTER TABLE typed_AM NOT OF'), run('ALTER TABLE typed_AM OF shape'), run('INSERT INTO typed_AM VALUES (4, ''of'')'), rows_of('typed');

-- A cascade that drops a column, by each way to it.
CREATE SCHEMA away;
CREATE DOMAIN away.d1 AS int; CREATE DOMAIN d2 AS text; CREATE TYPE away.c1 AS (x int, y text);
CREATE ROLE regress_iceberg_columns; GRANT CREATE, USAGE ON SCHEMA test_alter_columns TO regress_iceberg_columns;
CREATE DOMAIN d3 AS date; ALTER DOMAIN d3 OWNER TO regress_iceberg_columns;
SELECT run('CREATE TABLE cascade_AM (a away.d1, k int, b d2, c away.c1, e d3, cs away.c1[], z text) USING AM');
SELECT run('INSERT INTO cascade_AM VALUES (1, 10, ''b'', (1, ''y''), ''2020-02-20'', ARRAY[(5, ''five'')::away.c1], ''z1'')');
SELECT run('DROP DOMAIN d2'), run('DROP DOMAIN d2 CASCADE');
SELECT run('INSERT INTO cascade_AM VALUES (2, 20, (2, ''yy''), ''2021-01-01'', NULL, ''z2'')'), rows_of('cascade');
SELECT run('DROP OWNED BY regress_iceberg_columns CASCADE'), run('INSERT INTO cascade_AM (k, z) VALUES (30, ''z3'')'), rows_of('cascade');
SELECT iceberg_columns('cascade_iceberg');
SELECT run('DROP SCHEMA away CASCADE'), run('INSERT INTO cascade_AM VALUES (40, ''z4'')'), rows_of('cascade');
SELECT iceberg_columns('cascade_iceberg');
DROP ROLE regress_iceberg_columns;
-- The column may go before its table.
CREATE SCHEMA away;
SELECT run('CREATE TABLE away.both_AM (k int) USING heap');
CREATE TYPE away.late AS (x int);
SELECT run('ALTER TABLE away.both_AM ADD COLUMN l away.late'), run('ALTER TABLE away.both_AM SET ACCESS METHOD AM'), run('INSERT INTO away.both_AM VALUES (1, ROW(2))');
SELECT run('DROP SCHEMA away CASCADE');

-- RENAME and DROP COLUMN, with rows written before, between and after, and with rollbacks.
SELECT run('CREATE TABLE t_AM (a int, b text, c int GENERATED ALWAYS AS (a * 2) STORED, d int GENERATED BY DEFAULT AS IDENTITY) USING AM');
SELECT run('INSERT INTO t_AM (a, b) VALUES (1, ''one'')');
BEGIN;
SELECT run('INSERT INTO t_AM (a, b) VALUES (2, ''two'')'), run('ALTER TABLE t_AM RENAME COLUMN b TO label'), run('INSERT INTO t_AM (a, label) VALUES (3, ''three'')');
SELECT rows_of('t');
SAVEPOINT s;
SELECT run('ALTER TABLE t_AM RENAME COLUMN a TO number'), run('INSERT INTO t_AM (number, label) VALUES (4, ''undone'')'), run('ALTER TABLE t_AM DROP COLUMN label'), rows_of('t');
ROLLBACK TO s;
SELECT run('INSERT INTO t_AM (a, label) VALUES (5, ''five'')'), rows_of('t');
COMMIT;
SELECT rows_of('t');
SELECT iceberg_columns('t_iceberg');
BEGIN;
SELECT run('ALTER TABLE t_AM RENAME COLUMN label TO undone'), run('INSERT INTO t_AM (undone) VALUES (''undone'')'), rows_of('t');
ROLLBACK;
SELECT run('INSERT INTO t_AM (a, label) VALUES (6, ''six'')'), rows_of('t');
SELECT iceberg_columns('t_iceberg');
SELECT run('ALTER TABLE t_AM DROP COLUMN a'), run('ALTER TABLE t_AM DROP COLUMN a CASCADE'), run('INSERT INTO t_AM (label) VALUES (''seven'')'), rows_of('t');
SELECT iceberg_columns('t_iceberg');
SELECT run('ALTER TABLE t_AM RENAME label TO a'), run('INSERT INTO t_AM (a) VALUES (''a is text'')'), run('ALTER TABLE t_AM DROP COLUMN IF EXISTS gone'), rows_of('t');
SELECT count(*) FROM t_iceberg WHERE a = 'seven';
SELECT run('SELECT * FROM t_AM WHERE label = ''x''');

-- Prepared transactions.
BEGIN;
SELECT run('ALTER TABLE t_AM RENAME a TO undone'), run('ALTER TABLE t_AM DROP COLUMN d'), run('INSERT INTO t_AM VALUES (''undone'')');
PREPARE TRANSACTION 'test_alter_columns';
ROLLBACK PREPARED 'test_alter_columns';
SELECT iceberg_columns('t_iceberg'), rows_of('t');
BEGIN;
SELECT run('ALTER TABLE t_AM RENAME a TO prepared'), run('ALTER TABLE t_AM DROP COLUMN d'), run('INSERT INTO t_AM VALUES (''prepared'')');
PREPARE TRANSACTION 'test_alter_columns';
COMMIT PREPARED 'test_alter_columns';
SELECT iceberg_columns('t_iceberg'), rows_of('t');

-- A subtransaction that is rolled back leaves nothing to do.
BEGIN;
SAVEPOINT s;
SELECT run('ALTER TABLE t_AM RENAME prepared TO undone');
ROLLBACK TO s;
COMMIT;

-- Made, changed and filled in one transaction.
BEGIN;
SELECT run('CREATE TABLE new_AM (a int, b int, c text) USING AM'), run('INSERT INTO new_AM VALUES (1, 2, ''c'')'), run('ALTER TABLE new_AM DROP COLUMN a'), run('ALTER TABLE new_AM RENAME b TO a'), run('INSERT INTO new_AM VALUES (20, ''cc'')'), rows_of('new');
COMMIT;
SELECT rows_of('new');
SELECT iceberg_columns('new_iceberg');
SELECT run('CREATE TEMPORARY TABLE temp_AM (a int, b int, c text) USING AM'), run('INSERT INTO temp_AM VALUES (1, 2, ''c'')'), run('ALTER TABLE temp_AM DROP COLUMN b'), run('ALTER TABLE temp_AM RENAME a TO b'), run('INSERT INTO temp_AM VALUES (3, ''d'')'), rows_of('temp');
-- More rows than stay in memory, before and after.
BEGIN;
SELECT run('CREATE TABLE many_AM (a int, b text, c int) USING AM'), run('INSERT INTO many_AM SELECT g, ''b'' || g, -g FROM generate_series(1, 100000) g'), run('ALTER TABLE many_AM DROP COLUMN b'), run('INSERT INTO many_AM SELECT g, -g FROM generate_series(100001, 200000) g');
SELECT count(*), sum(a), sum(c) FROM many_iceberg;
COMMIT;
SELECT count(*), sum(a), sum(c) FROM many_iceberg;

-- Storage made anew numbers the fields anew.
SELECT run('TRUNCATE new_AM'), run('INSERT INTO new_AM VALUES (7, ''after truncate'')'), rows_of('new');
VACUUM FULL new_iceberg;
SELECT run('ALTER TABLE new_AM SET UNLOGGED'), run('ALTER TABLE new_AM RENAME a TO aa'), run('ALTER TABLE new_AM SET LOGGED'), rows_of('new');
SELECT iceberg_columns('new_iceberg');
SELECT run('CREATE TABLE from_AM (a int, b text, c int) USING heap'), run('INSERT INTO from_AM VALUES (1, ''b'', 3)'), run('ALTER TABLE from_AM DROP COLUMN b'), run('ALTER TABLE from_AM SET ACCESS METHOD AM'), run('INSERT INTO from_AM VALUES (4, 5)'), rows_of('from');
SELECT run('ALTER TABLE from_AM SET ACCESS METHOD heap'), run('ALTER TABLE from_AM ADD COLUMN d text DEFAULT ''d'''), run('ALTER TABLE from_AM SET ACCESS METHOD AM'), rows_of('from');
SELECT run('CREATE TABLE like_AM (LIKE from_AM INCLUDING ALL) USING AM'), run('INSERT INTO like_AM SELECT * FROM from_AM'), rows_of('like');
SELECT iceberg_columns('from_iceberg'), iceberg_columns('like_iceberg');

-- Composite types in columns, at any depth.
CREATE TYPE inner_type AS (x int, y text);
CREATE DOMAIN inner_domain AS inner_type;
CREATE TYPE outer_type AS (i inner_type, l inner_type[], n int);
CREATE TABLE row_of_table (p int, q text) USING heap;
SELECT run('CREATE TABLE nested_AM (k int, o outer_type, os outer_type[], d inner_domain, r row_of_table) USING AM');
SELECT run($$INSERT INTO nested_AM VALUES (1, (ROW(1, 'y1'), ARRAY[ROW(2, 'y2')]::inner_type[], 3), ARRAY[(ROW(4, 'y4'), NULL, 5)::outer_type], ROW(6, 'y6'), ROW(7, 'q7'))$$);
SELECT run('ALTER TYPE inner_type RENAME ATTRIBUTE x TO t'), run('ALTER TYPE inner_type RENAME ATTRIBUTE y TO x'), run('ALTER TYPE inner_type RENAME ATTRIBUTE t TO y'), run('ALTER TABLE row_of_table RENAME p TO pp');
SELECT run($$INSERT INTO nested_AM VALUES (2, (ROW(1, 'y1'), ARRAY[ROW(2, 'y2')]::inner_type[], 3), ARRAY[(ROW(4, 'y4'), NULL, 5)::outer_type], ROW(6, 'y6'), ROW(7, 'q7'))$$);
SELECT rows_of('nested');
SELECT k, (o).i.y, (o).l[1].x, (os[1]).i.x, (d).y, (r).pp FROM nested_iceberg ORDER BY k;
SELECT iceberg_columns('nested_iceberg');
SELECT run('ALTER TYPE outer_type DROP ATTRIBUTE l'), run('ALTER TABLE row_of_table DROP COLUMN pp');
SELECT run($$INSERT INTO nested_AM VALUES (3, (ROW(1, 'y1'), 3), ARRAY[(ROW(4, 'y4'), 5)::outer_type], ROW(6, 'y6'), ROW('q7'))$$), rows_of('nested');
SELECT iceberg_columns('nested_iceberg');
-- heap reads what a row lacks as NULL. An Iceberg table would need a new field.
SELECT run('ALTER TYPE inner_type ADD ATTRIBUTE z int'), run('ALTER TYPE outer_type ADD ATTRIBUTE z int'), run('ALTER TABLE row_of_table ADD COLUMN z int');
SELECT run('ALTER TYPE inner_type ALTER ATTRIBUTE y TYPE bigint'), run('ALTER TABLE row_of_table DROP COLUMN q');
SELECT rows_of('nested');
DROP TABLE nested_iceberg;
SELECT run('ALTER TYPE inner_type ADD ATTRIBUTE z int'), run('ALTER TYPE outer_type ADD ATTRIBUTE z int'), run('ALTER TABLE row_of_table ADD COLUMN z int');

-- Partitions and children, whose columns are in another order than the parent's.
CREATE TABLE parted_heap (a int, b text, c int) PARTITION BY LIST (c);
CREATE TABLE parted_iceberg (a int, b text, c int) PARTITION BY LIST (c);
SELECT run('CREATE TABLE leaf_AM (x int, c int, b text, a int) USING AM'), run('ALTER TABLE leaf_AM DROP COLUMN x'), run('ALTER TABLE parted_AM ATTACH PARTITION leaf_AM FOR VALUES IN (1)');
SELECT run('INSERT INTO parted_AM VALUES (1, ''one'', 1)'), run('ALTER TABLE parted_AM RENAME b TO bb'), run('INSERT INTO parted_AM (bb, c) VALUES (''two'', 1)'), rows_of('parted'), rows_of('leaf');
SELECT run('ALTER TABLE parted_AM DROP COLUMN bb'), run('INSERT INTO parted_AM VALUES (3, 1)'), rows_of('parted');
SELECT iceberg_columns('leaf_iceberg');
SELECT run('ALTER TABLE parted_AM ADD COLUMN d int'), run('ALTER TABLE parted_AM ADD COLUMN IF NOT EXISTS a int'), run('ALTER TABLE parted_AM ALTER COLUMN a TYPE bigint'), rows_of('parted');
SELECT run('ALTER TABLE parted_AM DETACH PARTITION leaf_AM'), run('INSERT INTO leaf_AM VALUES (1, 4)'), rows_of('leaf');
CREATE TABLE parent_heap (a int, b text); CREATE TABLE parent_iceberg (a int, b text);
SELECT run('CREATE TABLE child_AM (extra text, b text, a int) USING AM'), run('ALTER TABLE child_AM INHERIT parent_AM'), run('INSERT INTO child_AM VALUES (''extra'', ''b'', 1)');
SELECT run('ALTER TABLE parent_AM RENAME a TO aa'), run('ALTER TABLE parent_AM DROP COLUMN b'), run('INSERT INTO child_AM (aa) VALUES (2)'), rows_of('parent'), rows_of('child');
SELECT run('ALTER TABLE parent_AM ADD COLUMN e int'), run('ALTER TABLE parent_AM ADD COLUMN extra text'), run('ALTER TABLE parent_AM ALTER COLUMN aa TYPE bigint'), rows_of('parent');

-- What is refused changes nothing, wherever it is said.
SELECT run('ALTER TABLE child_AM ADD COLUMN e int'), run('ALTER TABLE child_AM ADD COLUMN IF NOT EXISTS aa int'), run('ALTER TABLE child_AM ALTER COLUMN extra TYPE varchar(10)'), run('ALTER TABLE child_AM ALTER COLUMN extra TYPE text');
CREATE FUNCTION ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF tg_tag = 'COMMENT' THEN ALTER TABLE child_iceberg ADD COLUMN by_trigger int; END IF;
END $$;
CREATE EVENT TRIGGER test_alter_columns ON ddl_command_end EXECUTE FUNCTION ddl();
SELECT run('COMMENT ON TABLE child_iceberg IS ''x''');
DROP EVENT TRIGGER test_alter_columns;
ALTER TABLE child_iceberg NO INHERIT parent_iceberg;
DO $$ BEGIN ALTER TABLE child_iceberg RENAME extra TO more; ALTER TABLE child_iceberg DROP COLUMN more; INSERT INTO child_iceberg VALUES (9); END $$;
SELECT * FROM child_iceberg ORDER BY 1;
SELECT iceberg_columns('child_iceberg');

-- Domains: constraints come and go; values are checked by PostgreSQL.
CREATE DOMAIN checked AS int;
SELECT run('CREATE TABLE domain_AM (c checked) USING AM'), run('INSERT INTO domain_AM VALUES (5)'), run('ALTER DOMAIN checked ADD CHECK (VALUE > 5)'), run('ALTER DOMAIN checked ADD CONSTRAINT positive CHECK (VALUE > 0)'), run('INSERT INTO domain_AM VALUES (-1)'), run('ALTER DOMAIN checked DROP CONSTRAINT positive'), run('INSERT INTO domain_AM VALUES (-1)'), rows_of('domain');

-- Parallel workers read what the transaction has changed.
CREATE TABLE parallel_iceberg (a int, b text, c int) USING iceberg;
INSERT INTO parallel_iceberg SELECT g, 'b', -g FROM generate_series(1, 1000) g;
SET debug_parallel_query = on;
BEGIN;
ALTER TABLE parallel_iceberg DROP COLUMN b;
ALTER TABLE parallel_iceberg RENAME a TO b;
INSERT INTO parallel_iceberg SELECT g, -g FROM generate_series(1001, 2000) g;
SELECT count(*), sum(b), sum(c) FROM parallel_iceberg;
CREATE TABLE parallel_new (a int, b text, c int) USING iceberg;
INSERT INTO parallel_new SELECT g, 'b', -g FROM generate_series(1, 1000) g;
ALTER TABLE parallel_new DROP COLUMN b;
SELECT count(*), sum(a), sum(c) FROM parallel_new;
COMMIT;
RESET debug_parallel_query;
SELECT count(*), sum(b), sum(c) FROM parallel_iceberg;

-- No column is left.
SELECT run('CREATE TABLE none_AM (a int) USING AM'), run('INSERT INTO none_AM VALUES (1), (2)'), run('ALTER TABLE none_AM DROP COLUMN a'), run('INSERT INTO none_AM DEFAULT VALUES'), rows_of('none');
SELECT iceberg_columns('none_iceberg'), rows_of('none');
SELECT run('INSERT INTO none_AM SELECT FROM generate_series(1, 100000)');
SELECT count(*) FROM none_iceberg;
SELECT run('CREATE TABLE nothing_AM () USING AM'), run('INSERT INTO nothing_AM DEFAULT VALUES'), run('INSERT INTO nothing_AM DEFAULT VALUES');
SELECT iceberg_columns('nothing_iceberg'), rows_of('nothing');

-- Rows inserted after a rollback were written without the column that had been dropped before it, and lost its values.
SELECT run('CREATE TABLE undone_AM (a int, b text, c int) USING AM'), run('INSERT INTO undone_AM VALUES (0, ''zero'', 0)');
BEGIN;
SAVEPOINT s;
SELECT run('ALTER TABLE undone_AM DROP COLUMN b'), run('INSERT INTO undone_AM VALUES (1, 1)');
ROLLBACK TO s;
SELECT run('INSERT INTO undone_AM VALUES (2, ''two'', 2)');
SAVEPOINT s2;
SELECT run('ALTER TABLE undone_AM RENAME COLUMN b TO d');
SAVEPOINT s3;
SELECT run('ALTER TABLE undone_AM DROP COLUMN c'), run('INSERT INTO undone_AM VALUES (3, ''three'')');
RELEASE s3;
ROLLBACK TO s2;
SELECT run('INSERT INTO undone_AM SELECT g, ''many'', g FROM generate_series(10, 20000) g');
SELECT rows_of('undone') IS NOT NULL AS same;
COMMIT;
SELECT count(*), sum(a), min(b), max(b), sum(c) FROM undone_heap;
SELECT count(*), sum(a), min(b), max(b), sum(c) FROM undone_iceberg;
SELECT lakebase.publish('undone_iceberg') IS NOT NULL AS published;
SELECT * FROM undone_iceberg WHERE a < 10 ORDER BY a;

DROP SCHEMA test_alter_columns CASCADE;
