-- local tables only: it reads metadata files.
-- Columns that are added: rows of before have NULL, the metadata get fields, and ids that have been committed are never given again.
-- Each statement runs on an Iceberg table and on its heap twin; differences are shown.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_add_columns CASCADE;
CREATE SCHEMA test_add_columns;
SET search_path = test_add_columns;

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

-- Rows in files, rows that wait, rows of the transaction; of before, between and after.
SELECT run('CREATE TABLE t_AM (a int, b text) USING AM');
SELECT run('INSERT INTO t_AM VALUES (1, ''file'')');
SELECT lakebase.publish('t_iceberg') IS NOT NULL AS published;
SELECT run('INSERT INTO t_AM VALUES (2, ''waits'')');
SELECT run('ALTER TABLE t_AM ADD COLUMN c int'), rows_of('t');
SELECT iceberg_columns('t_iceberg');
SELECT run('INSERT INTO t_AM VALUES (3, ''new'', 30)'), run('UPDATE t_AM SET c = 10 WHERE a = 1'), run('DELETE FROM t_AM WHERE c IS NULL'), rows_of('t');
SELECT run('SELECT FROM t_AM WHERE c > 9'), run('SELECT FROM t_AM WHERE c IS NULL'), run('ALTER TABLE t_AM ADD COLUMN c int'), run('ALTER TABLE t_AM ADD COLUMN IF NOT EXISTS c int');
BEGIN;
SELECT run('INSERT INTO t_AM VALUES (4, ''before'', 40)'), run('ALTER TABLE t_AM ADD d date, ADD e int[]'), run('INSERT INTO t_AM VALUES (5, ''after'', 50, ''2020-01-01'', ''{1,2}'')'), rows_of('t');
SELECT run('ALTER TABLE t_AM RENAME d TO day'), run('ALTER TABLE t_AM DROP COLUMN b'), run('ALTER TABLE t_AM ADD COLUMN b numeric(5,2)'), run('UPDATE t_AM SET b = c WHERE a > 3'), rows_of('t');
COMMIT;
SELECT rows_of('t'), iceberg_columns('t_iceberg');
-- Dropped and added again under the same name.
SELECT run('ALTER TABLE t_AM DROP COLUMN c'), run('ALTER TABLE t_AM ADD COLUMN c int'), rows_of('t');
SELECT iceberg_columns('t_iceberg');

-- Savepoints: ids of what was rolled back are not given again, whatever type comes instead.
BEGIN;
SELECT run('ALTER TABLE t_AM ADD COLUMN kept text'), run('INSERT INTO t_AM (a, kept) VALUES (6, ''six'')');
SAVEPOINT s;
SELECT run('ALTER TABLE t_AM ADD COLUMN f int'), run('INSERT INTO t_AM (a, f) VALUES (7, 77)'), rows_of('t', 'ROW(a, kept, f)');
ROLLBACK TO s;
SELECT rows_of('t', 'ROW(a, kept)'), run('INSERT INTO t_AM (a, kept) VALUES (8, ''eight'')'), run('ALTER TABLE t_AM ADD COLUMN f text'), rows_of('t', 'ROW(a, kept, f)');
SELECT run('INSERT INTO t_AM (a, f) VALUES (9, ''nine'')'), rows_of('t', 'ROW(a, kept, f)');
SAVEPOINT s2;
SELECT run('ALTER TABLE t_AM DROP COLUMN kept'), run('ALTER TABLE t_AM ADD COLUMN kept boolean'), run('INSERT INTO t_AM (a, kept) VALUES (10, true)'), rows_of('t', 'ROW(a, kept, f)');
ROLLBACK TO s2;
SELECT run('INSERT INTO t_AM (a, kept) VALUES (11, ''eleven'')');
COMMIT;
SELECT rows_of('t', 'ROW(a, kept, f)'), iceberg_columns('t_iceberg');
-- A column that came and went, with rows.
BEGIN;
SELECT run('ALTER TABLE t_AM ADD COLUMN gone int'), run('INSERT INTO t_AM (a, gone) VALUES (12, 12)'), run('ALTER TABLE t_AM DROP COLUMN gone');
COMMIT;
SELECT run('ALTER TABLE t_AM ADD COLUMN next int'), rows_of('t', 'ROW(a, next)');
SELECT iceberg_columns('t_iceberg');
BEGIN;
SELECT run('ALTER TABLE t_AM ADD COLUMN undone int'), run('INSERT INTO t_AM (a, undone) VALUES (13, 13)');
ROLLBACK;
SELECT run('INSERT INTO t_AM (a, next) VALUES (14, 14)'), rows_of('t', 'ROW(a, next)');
SELECT iceberg_columns('t_iceberg');

-- Prepared transactions.
BEGIN;
SELECT run('ALTER TABLE t_AM ADD COLUMN p int'), run('INSERT INTO t_AM (a, p) VALUES (15, 15)');
PREPARE TRANSACTION 'test_add_columns';
ROLLBACK PREPARED 'test_add_columns';
SELECT run('INSERT INTO t_AM (a, p) VALUES (15, 15)');
BEGIN;
SELECT run('ALTER TABLE t_AM ADD COLUMN p bigint'), run('INSERT INTO t_AM (a, p) VALUES (15, 15)'), run('DELETE FROM t_AM WHERE a < 6');
PREPARE TRANSACTION 'test_add_columns';
COMMIT PREPARED 'test_add_columns';
SELECT rows_of('t', 'ROW(a, p)'), iceberg_columns('t_iceberg');
SELECT lakebase.compact('t_iceberg') IS NOT NULL AS compacted;
SELECT rows_of('t'), iceberg_columns('t_iceberg');

-- Made, changed and filled in one transaction; emptied; unlogged and temporary tables; more rows than stay in memory.
BEGIN;
SELECT run('CREATE TABLE new_AM (a int) USING AM'), run('INSERT INTO new_AM VALUES (1)'), run('ALTER TABLE new_AM ADD COLUMN b text'), run('INSERT INTO new_AM VALUES (2, ''b'')'), rows_of('new');
COMMIT;
SELECT rows_of('new'), iceberg_columns('new_iceberg');
BEGIN;
SELECT run('TRUNCATE new_AM'), run('INSERT INTO new_AM VALUES (3, ''c'')'), run('ALTER TABLE new_AM ADD COLUMN c text'), run('INSERT INTO new_AM VALUES (4, ''d'', ''d'')'), rows_of('new');
COMMIT;
SELECT rows_of('new'), iceberg_columns('new_iceberg');
SELECT run('CREATE UNLOGGED TABLE unlogged_AM (a int) USING AM'), run('INSERT INTO unlogged_AM VALUES (1)'), run('ALTER TABLE unlogged_AM ADD COLUMN b text'), run('INSERT INTO unlogged_AM VALUES (2, ''b'')'), rows_of('unlogged');
SELECT run('CREATE TEMPORARY TABLE temp_AM (a int) USING AM'), run('INSERT INTO temp_AM VALUES (1)'), run('ALTER TABLE temp_AM ADD COLUMN b text'), run('INSERT INTO temp_AM VALUES (2, ''b'')'), run('UPDATE temp_AM SET b = ''x'' WHERE b IS NULL'), rows_of('temp');
BEGIN;
SELECT run('CREATE TABLE many_AM (a int) USING AM'), run('INSERT INTO many_AM SELECT generate_series(1, 100000)'), run('ALTER TABLE many_AM ADD COLUMN b int'), run('INSERT INTO many_AM SELECT g, -g FROM generate_series(100001, 200000) g'), run('UPDATE many_AM SET b = a WHERE a <= 1000');
SELECT count(*), sum(a), sum(b), count(b) FROM many_iceberg;
COMMIT;
SELECT count(*), sum(a), sum(b), count(b) FROM many_iceberg;
SELECT run('ALTER TABLE many_AM ADD COLUMN c int'), run('UPDATE many_AM SET c = 1 WHERE a % 2 = 0');
SELECT count(*), sum(a), sum(b), count(b), sum(c) FROM many_iceberg;

-- NOT NULL, checks, domains, generated and identity columns, defaults that differ from row to row: as heap does, which writes the table anew.
SELECT run('ALTER TABLE new_AM ADD COLUMN n int NOT NULL'), run('ALTER TABLE new_AM ADD COLUMN n int CHECK (n > 0)'), run('INSERT INTO new_AM (a, n) VALUES (5, -1)'), run('INSERT INTO new_AM (a, n) VALUES (5, 1)'), rows_of('new');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN present AS int NOT NULL;
CREATE SEQUENCE s_heap; CREATE SEQUENCE s_iceberg;
SELECT run('ALTER TABLE new_AM ADD COLUMN p positive'), run('INSERT INTO new_AM (a, p) VALUES (6, -6)'), run('INSERT INTO new_AM (a, p) VALUES (6, 6)'), run('ALTER TABLE new_AM ADD COLUMN q present'), rows_of('new');
SELECT run('ALTER TABLE new_AM ADD COLUMN twice int GENERATED ALWAYS AS (a * 2) STORED'), rows_of('new');
SELECT run('ALTER TABLE new_AM ADD COLUMN id int GENERATED ALWAYS AS IDENTITY'), run('ALTER TABLE new_AM ADD COLUMN number int DEFAULT nextval(''s_AM''), ADD COLUMN plain int'), run('ALTER TABLE new_AM ADD COLUMN z serial'), rows_of('new');
SELECT run('INSERT INTO new_AM (a) VALUES (7)'), rows_of('new');
SELECT iceberg_columns('new_iceberg');
BEGIN;
SELECT run('INSERT INTO new_AM (a) VALUES (8)'), run('ALTER TABLE new_AM ADD COLUMN v int DEFAULT nextval(''s_AM'')'), run('INSERT INTO new_AM (a) VALUES (9)'), rows_of('new');
SAVEPOINT s;
SELECT run('ALTER TABLE new_AM ADD COLUMN w int DEFAULT nextval(''s_AM'')'), run('INSERT INTO new_AM (a) VALUES (10)'), rows_of('new');
ROLLBACK TO s;
SELECT rows_of('new');
COMMIT;
SELECT rows_of('new'), iceberg_columns('new_iceberg');
-- A default that rows of before have as well, by itself and in a table that is written anew all the same.
SELECT run('ALTER TABLE new_AM ADD COLUMN fixed int DEFAULT 5'), run('ALTER TABLE new_AM ADD COLUMN again int DEFAULT 5, ADD COLUMN drawn int DEFAULT nextval(''s_AM'')'), rows_of('new', 'ROW(a, fixed, again)');
BEGIN;
SELECT run('INSERT INTO new_AM (a) VALUES (12)'), run('ALTER TABLE new_AM ADD COLUMN other text DEFAULT ''x'''), run('INSERT INTO new_AM (a) VALUES (13)'), rows_of('new', 'ROW(a, other)');
ROLLBACK;
\set VERBOSITY default
ALTER TABLE new_iceberg ADD COLUMN m money;
\set VERBOSITY terse
SELECT run('ALTER TABLE new_AM ALTER COLUMN plain SET DEFAULT 1'), run('INSERT INTO new_AM (a) VALUES (11)'), rows_of('new');

-- Partitions, inheritance, typed tables, composite types.
SELECT run('CREATE TABLE parted_AM (a int, k int) PARTITION BY LIST (k)'), run('CREATE TABLE p1_AM PARTITION OF parted_AM FOR VALUES IN (1) USING AM'), run('CREATE TABLE p2_AM (k int, x int, a int) USING AM'), run('ALTER TABLE p2_AM DROP COLUMN x'), run('ALTER TABLE parted_AM ATTACH PARTITION p2_AM FOR VALUES IN (2)');
SELECT run('INSERT INTO parted_AM VALUES (1, 1), (2, 2)'), run('ALTER TABLE parted_AM ADD COLUMN c text'), run('INSERT INTO parted_AM VALUES (3, 1, ''c''), (4, 2, ''d'')'), run('UPDATE parted_AM SET k = 3 - k WHERE a IN (1, 4)'), rows_of('parted'), rows_of('p2');
SELECT run('ALTER TABLE p1_AM ADD COLUMN own int'), run('CREATE TABLE child_AM (extra text) INHERITS (new_AM) USING AM'), run('INSERT INTO child_AM (a, id, number, z, extra) VALUES (20, 20, 20, 20, ''x'')'), run('ALTER TABLE new_AM ADD COLUMN inherited int'), rows_of('child', 'ROW(a, extra, inherited)'), rows_of('new', 'ROW(a, inherited)');
CREATE TYPE shape AS (x int);
SELECT run('CREATE TABLE typed_AM OF shape USING AM'), run('INSERT INTO typed_AM VALUES (1)');
SELECT run('ALTER TYPE shape ADD ATTRIBUTE y_AM text CASCADE'), rows_of('typed');
CREATE TYPE pair AS (l int, r text);
SELECT run('ALTER TABLE t_AM ADD COLUMN pair pair'), run('ALTER TABLE t_AM ADD COLUMN pairs pair[]'), run('INSERT INTO t_AM (a, pair, pairs) VALUES (30, ''(1,one)'', ARRAY[ROW(2, ''two'')::pair])'), rows_of('t', 'ROW(a, pair, pairs)');
SELECT iceberg_columns('t_iceberg');
ALTER TYPE pair RENAME ATTRIBUTE l TO "left";
SELECT iceberg_columns('t_iceberg');
SELECT rows_of('t', 'ROW(a, pair, pairs)');
ALTER TYPE pair ADD ATTRIBUTE third int;
SELECT run('CREATE TABLE uses_AM (t t_AM) USING AM'), run('ALTER TABLE t_AM ADD COLUMN more int');

-- A type that Iceberg has no counterpart of is named in a property.
SELECT run('ALTER TABLE u_AM ADD COLUMN i interval') FROM (SELECT run('CREATE TABLE u_AM (a int, n name) USING AM')) x;
SELECT metadata('u_iceberg')->'properties'->>'pg-lakebase.types' AS types;
DROP TABLE u_heap, u_iceberg;

-- Triggers, views, cursors, prepared statements, COPY, RETURNING, MERGE, functions that return the row.
SELECT run('CREATE TABLE u_AM (a int, b text) USING AM'), run('INSERT INTO u_AM SELECT g, ''b'' || g FROM generate_series(1, 3) g');
CREATE FUNCTION upper_c() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.c := upper(NEW.c); RETURN NEW; END $$;
CREATE VIEW v_heap AS SELECT * FROM u_heap; CREATE VIEW v_iceberg AS SELECT * FROM u_iceberg;
PREPARE q AS SELECT * FROM u_iceberg WHERE a = $1;
EXECUTE q(1);
SELECT run('ALTER TABLE u_AM ADD COLUMN c text'), run('CREATE TRIGGER t BEFORE INSERT OR UPDATE ON u_AM FOR EACH ROW EXECUTE FUNCTION upper_c()'), run('INSERT INTO u_AM VALUES (4, ''b4'', ''c4'')'), rows_of('u'), rows_of('v');
EXECUTE q(1);
DEALLOCATE q;
PREPARE q AS SELECT * FROM u_heap WHERE a = $1;
EXECUTE q(1);
SELECT run('MERGE INTO u_AM USING (VALUES (1, ''merged''), (5, ''five'')) AS s (a, c) ON u_AM.a = s.a WHEN MATCHED THEN UPDATE SET c = s.c WHEN NOT MATCHED THEN INSERT (a, c) VALUES (s.a, s.c)'), rows_of('u');
COPY u_iceberg (a, c) FROM stdin;
6	copied
\.
COPY u_heap (a, c) FROM stdin;
6	copied
\.
COPY (SELECT * FROM u_iceberg ORDER BY a) TO stdout;
BEGIN;
DECLARE cur CURSOR FOR SELECT * FROM u_iceberg ORDER BY a;
FETCH 1 FROM cur;
ALTER TABLE u_iceberg ADD COLUMN d int;
ROLLBACK;
SELECT run('UPDATE u_AM SET c = ''r'' WHERE a = 2'), rows_of('u');
VACUUM FULL u_iceberg;
SELECT rows_of('u', 'ROW(a, b)'), iceberg_columns('u_iceberg');
-- Statistics and pruning of a column that older files lack.
SELECT run('CREATE TABLE pruned_AM (a int) USING AM'), run('INSERT INTO pruned_AM SELECT generate_series(1, 1000)'), run('ALTER TABLE pruned_AM ADD COLUMN c int'), run('INSERT INTO pruned_AM SELECT g, g FROM generate_series(1001, 2000) g');
ANALYZE pruned_iceberg;
SELECT null_frac FROM pg_stats WHERE schemaname = 'test_add_columns' AND tablename = 'pruned_iceberg' AND attname = 'c';
SELECT run('SELECT FROM pruned_AM WHERE c < 1100'), run('SELECT FROM pruned_AM WHERE c IS NULL'), run('SELECT FROM pruned_AM WHERE c IS NOT NULL'), run('SELECT FROM pruned_AM WHERE c IS DISTINCT FROM 1500'), run('SELECT FROM pruned_AM WHERE NOT c > 0'), run('SELECT FROM pruned_AM WHERE coalesce(c, -1) = -1'), run('SELECT FROM pruned_AM WHERE c IN (5, 1005)'), run('DELETE FROM pruned_AM WHERE c IS NULL AND a < 10');

DROP SCHEMA test_add_columns CASCADE;
