-- local tables only: it reads metadata files.
-- Columns that are added and rolled back to a savepoint: what the transaction writes then has none of them, whosever rows they
-- are. Each statement runs on an Iceberg table and on its heap twin; differences are shown.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_add_columns_undone CASCADE;
CREATE SCHEMA test_add_columns_undone;
SET search_path = test_add_columns_undone;

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


-- A table that the transaction makes.
BEGIN;
SELECT run('CREATE TABLE made_AM (a int, b text) USING AM'), run('INSERT INTO made_AM VALUES (0, ''zero'')');
SAVEPOINT s;
SELECT run('ALTER TABLE made_AM DROP b'), run('ALTER TABLE made_AM ADD c int'), run('INSERT INTO made_AM VALUES (1, 2)'), rows_of('made');
ROLLBACK TO s;
COMMIT;
SELECT rows_of('made'), iceberg_columns('made_iceberg');
SELECT run('ALTER TABLE made_AM ADD c text'), run('INSERT INTO made_AM VALUES (5, ''five'', ''c'')'), rows_of('made');
SELECT iceberg_columns('made_iceberg');
BEGIN;
SELECT run('CREATE TABLE gone_AM (a int) USING AM'), run('ALTER TABLE gone_AM ADD c int'), run('INSERT INTO gone_AM VALUES (1, 1)'), run('ALTER TABLE gone_AM DROP c');
COMMIT;
SELECT iceberg_columns('gone_iceberg');
SELECT run('ALTER TABLE gone_AM ADD d text'), rows_of('gone');
SELECT iceberg_columns('gone_iceberg');

-- Rows of others that wait for the publisher come into the metadata with the transaction's.
SELECT run('CREATE TABLE waits_AM (a int, b text) USING AM');
SELECT lakebase.publish('waits_iceberg') IS NOT NULL AS published;
SELECT run('INSERT INTO waits_AM VALUES (0, ''zero'')');
SELECT run('INSERT INTO waits_AM VALUES (1, ''one'')');
SELECT run('INSERT INTO waits_AM VALUES (2, ''two'')');
SET pg_iceberg_am.publish_interval = 0;
BEGIN;
SELECT run('INSERT INTO waits_AM VALUES (3, ''three'')');
SAVEPOINT s;
SELECT run('ALTER TABLE waits_AM DROP b'), run('ALTER TABLE waits_AM ADD c int'), run('INSERT INTO waits_AM VALUES (4, 4)');
ROLLBACK TO s;
COMMIT;
RESET pg_iceberg_am.publish_interval;
SELECT rows_of('waits'), iceberg_columns('waits_iceberg'), rows_of('waits');
SELECT run('ALTER TABLE waits_AM ADD c text'), rows_of('waits');
SELECT iceberg_columns('waits_iceberg');

-- What UPDATE writes again, and what it rolled back.
SELECT run('CREATE TABLE copied_AM (a int, b text) USING AM');
ALTER TABLE copied_iceberg SET ("write.update.mode" = 'copy-on-write', "write.delete.mode" = 'copy-on-write');
SELECT run('INSERT INTO copied_AM SELECT g, ''b'' || g FROM generate_series(1, 5) g'), lakebase.publish('copied_iceberg') IS NOT NULL AS published;
BEGIN;
SELECT run('UPDATE copied_AM SET b = ''u'' WHERE a = 1');
SAVEPOINT s;
SELECT run('ALTER TABLE copied_AM DROP b, ADD c int'), run('INSERT INTO copied_AM VALUES (9, 9)');
ROLLBACK TO s;
SELECT run('ALTER TABLE copied_AM ADD c text'), run('UPDATE copied_AM SET c = ''c'' WHERE a IN (1, 2)'), run('DELETE FROM copied_AM WHERE a = 3');
COMMIT;
SELECT rows_of('copied'), lakebase.publish('copied_iceberg') IS NOT NULL AS published, rows_of('copied');

-- Emptied tables, temporary ones that every commit empties.
BEGIN;
SELECT run('TRUNCATE waits_AM'), run('INSERT INTO waits_AM VALUES (6, ''six'', ''c'')');
SAVEPOINT s;
SELECT run('ALTER TABLE waits_AM DROP c'), run('ALTER TABLE waits_AM ADD d int'), run('INSERT INTO waits_AM VALUES (7, ''seven'', 7)'), rows_of('waits');
ROLLBACK TO s;
SELECT rows_of('waits'), run('ALTER TABLE waits_AM ADD d int[]'), run('INSERT INTO waits_AM VALUES (8, ''eight'', ''c'', ''{8}'')');
COMMIT;
SELECT rows_of('waits'), iceberg_columns('waits_iceberg');
SELECT run('CREATE TEMP TABLE temp_AM (a int, b int) USING AM ON COMMIT DELETE ROWS'), run('INSERT INTO temp_AM VALUES (7, 7)');
BEGIN;
SELECT run('ALTER TABLE temp_AM ADD c int'), run('INSERT INTO temp_AM VALUES (1, 2, 3)');
SAVEPOINT s;
SELECT run('INSERT INTO temp_AM VALUES (4, 5, 6)'), rows_of('temp'), run('SELECT FROM temp_AM WHERE c = 3');
COMMIT;
BEGIN;
SELECT run('ALTER TABLE temp_AM DROP a, ADD d text'), run('INSERT INTO temp_AM VALUES (2, 3, ''x'')'), rows_of('temp');
ROLLBACK;
BEGIN;
SELECT run('INSERT INTO temp_AM VALUES (1, 2, 3)');
SAVEPOINT s;
SELECT run('ALTER TABLE temp_AM ADD d text'), run('INSERT INTO temp_AM VALUES (2, 3, 4, ''x'')'), rows_of('temp');
ROLLBACK TO s;
SELECT rows_of('temp'), run('ALTER TABLE temp_AM ADD d int[]'), run('INSERT INTO temp_AM VALUES (2, 3, 4, ''{4}'')'), rows_of('temp');
COMMIT;

-- Which type holds numbers of any precision is decided when a column is added, and a column that comes back is what it was.
SELECT run('CREATE TABLE number_AM (a int) USING AM');
BEGIN;
SET LOCAL pg_iceberg_am.unconstrained_numeric = 'text';
SELECT run('ALTER TABLE number_AM ADD n numeric'), run('INSERT INTO number_AM VALUES (1, 1.50)');
SET LOCAL pg_iceberg_am.unconstrained_numeric = 'decimal';
SELECT rows_of('number'), run('INSERT INTO number_AM VALUES (2, 2.500)');
SAVEPOINT s;
SELECT run('INSERT INTO number_AM VALUES (3, 3.5000)');
COMMIT;
SELECT rows_of('number'), iceberg_columns('number_iceberg');
SET pg_iceberg_am.unconstrained_numeric = 'text';
SELECT run('ALTER TABLE number_AM ADD m numeric');
RESET pg_iceberg_am.unconstrained_numeric;
SELECT run('INSERT INTO number_AM VALUES (4, 4.5, 4.50)'), rows_of('number');
SELECT iceberg_columns('number_iceberg');
BEGIN;
SELECT run('INSERT INTO number_AM VALUES (5, 5.5, 5.50)');
SAVEPOINT s;
SELECT run('ALTER TABLE number_AM DROP n, ADD c int'), run('INSERT INTO number_AM VALUES (6, 6.50, 6)');
ROLLBACK TO s;
SELECT run('INSERT INTO number_AM VALUES (7, 7.5, 7.50)');
COMMIT;
SELECT rows_of('number'), iceberg_columns('number_iceberg');

-- Other places, partitions, a table that is dropped, an exception block.
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE test_add_columns_undone LOCATION '';
SELECT run('CREATE TABLE moved_AM (a int, b text) USING AM'), run('INSERT INTO moved_AM VALUES (1, ''x'')');
BEGIN;
SELECT run('INSERT INTO moved_AM VALUES (2, ''y'')'), run('ALTER TABLE moved_AM DROP b, ADD c int, ADD d int[], SET TABLESPACE test_add_columns_undone'), run('INSERT INTO moved_AM VALUES (3, 3, ''{3}'')');
SAVEPOINT s;
SELECT run('ALTER TABLE moved_AM ADD e text'), run('ALTER TABLE moved_AM SET TABLESPACE pg_default'), run('INSERT INTO moved_AM VALUES (4, 4, ''{4}'', ''e'')'), rows_of('moved');
ROLLBACK TO s;
SELECT rows_of('moved'), run('ALTER TABLE moved_AM ADD e int[]'), run('INSERT INTO moved_AM VALUES (5, 5, ''{5}'', ''{5}'')'), rows_of('moved');
COMMIT;
SELECT rows_of('moved'), iceberg_columns('moved_iceberg');
DROP TABLE moved_heap, moved_iceberg;
DROP TABLESPACE test_add_columns_undone;
SELECT run('CREATE TABLE parted_AM (a int, k int) PARTITION BY LIST (k)'), run('CREATE TABLE part_AM PARTITION OF parted_AM FOR VALUES IN (1) USING AM'), run('INSERT INTO parted_AM VALUES (1, 1)');
BEGIN;
SELECT run('INSERT INTO parted_AM VALUES (2, 1)');
SAVEPOINT s;
SELECT run('ALTER TABLE parted_AM ADD c int'), run('INSERT INTO parted_AM VALUES (3, 1, 3)'), run('ALTER TABLE parted_AM DETACH PARTITION part_AM'), run('ALTER TABLE part_AM ADD own int'), run('INSERT INTO part_AM VALUES (4, 1, 4, 4)'), rows_of('part');
ROLLBACK TO s;
SELECT run('ALTER TABLE parted_AM ADD c text, ADD d text'), run('MERGE INTO parted_AM t USING (VALUES (1, ''m''), (7, ''n'')) s (a, c) ON t.a = s.a WHEN MATCHED THEN UPDATE SET d = s.c WHEN NOT MATCHED THEN INSERT VALUES (s.a, 1, ''c'', s.c)');
COMMIT;
SELECT rows_of('parted'), iceberg_columns('part_iceberg');
BEGIN;
SELECT run('ALTER TABLE parted_AM ADD late int');
SAVEPOINT s;
SELECT run('DROP TABLE parted_AM');
ROLLBACK TO s;
SELECT run('ALTER TABLE parted_AM ADD e int[]'), run('INSERT INTO parted_AM VALUES (9, 1, ''c'', ''d'', 1, ''{9}'')');
COMMIT;
SELECT rows_of('parted'), iceberg_columns('part_iceberg');
DO $$ BEGIN
    INSERT INTO made_iceberg VALUES (6, 'six', 'c');
    BEGIN
        ALTER TABLE made_iceberg ADD d int, ADD e int;
        INSERT INTO made_iceberg VALUES (7, 'seven', 'c', 7, 7);
        RAISE 'no';
    EXCEPTION WHEN raise_exception THEN END;
    ALTER TABLE made_iceberg ADD d text;
    INSERT INTO made_iceberg VALUES (8, 'eight', 'c', 'd');
END $$;
SELECT * FROM made_iceberg ORDER BY a;
SELECT iceberg_columns('made_iceberg'), count(*) FROM made_iceberg;
SELECT count(*) AS left_behind FROM lakebase.column_field f WHERE backend = -1 AND NOT EXISTS (SELECT FROM pg_class c WHERE c.relfilenode = f.relfilenumber);

DROP SCHEMA test_add_columns_undone CASCADE;
