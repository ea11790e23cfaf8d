-- A ctid that was returned once finds its row and no other: in the same transaction, after COMMIT, when rows have come
-- from the catalog into files, after a crash; and no two rows have the same one.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_row_ids CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_row_ids;
SET search_path = test_row_ids;
SELECT setting AS bindir FROM pg_config WHERE name = 'BINDIR' \gset
SELECT current_setting('data_directory') AS data \gset
\setenv BINDIR :bindir
\setenv DATA :data

CREATE TABLE t (id int, note text, _pg_row_id text) USING iceberg;
CREATE TABLE kept (c tid, id int, place text) USING heap;
CREATE FUNCTION add(from_id int, to_id int, p text) RETURNS void LANGUAGE sql SET search_path = test_row_ids AS $$
    WITH new AS (INSERT INTO t SELECT g, 'note ' || g, 'x' FROM generate_series(from_id, to_id) g RETURNING ctid, id)
    INSERT INTO kept SELECT ctid, id, p FROM new;
$$;
-- By TID and by scans; rows that were kept and are not found so, rows, different ctids.
CREATE FUNCTION found(OUT by_tid int, OUT by_scan int, OUT lost int, OUT rows int, OUT ctids int) LANGUAGE plpgsql SET search_path = test_row_ids AS $$
BEGIN
    PERFORM set_config('enable_seqscan', 'off', true), set_config('pg_iceberg_am.enable_custom_scan', 'off', true);
    SELECT count(f.id), count(*) - count(f.id) INTO by_tid, lost
      FROM kept k LEFT JOIN LATERAL (SELECT id FROM t WHERE t.ctid = k.c OFFSET 0) f ON f.id = k.id;
    PERFORM set_config('enable_seqscan', 'on', true), set_config('pg_iceberg_am.enable_custom_scan', 'on', true);
    SELECT count(*) INTO by_scan FROM kept k JOIN t ON t.ctid = k.c AND t.id = k.id;
    SELECT count(*), count(DISTINCT ctid) INTO rows, ctids FROM t;
END $$;

BEGIN;
SELECT add(1, 3, 'one file');
SELECT * FROM found();
SAVEPOINT s;
INSERT INTO t SELECT g FROM generate_series(1001, 1005) g;
ROLLBACK TO s;
SELECT add(4, 5, 'behind a gap');
SELECT * FROM found();
COMMIT;
SELECT * FROM found();
SELECT add(6, 6, 'inline');
SELECT add(7, 8, 'inline');
SELECT * FROM found();
BEGIN;
SELECT add(9, 9, 'inline, with a gap');
SAVEPOINT s;
INSERT INTO t VALUES (1006);
ROLLBACK TO s;
SELECT add(10, 12, 'inline, with a gap');
-- A parallel worker is told of the transaction's own rows with their ids.
SET LOCAL debug_parallel_query = on;
SELECT * FROM found();
SELECT count(*), count(DISTINCT ctid), min(ctid), max(ctid) FROM t;
RESET debug_parallel_query;
COMMIT;
SELECT * FROM found();
SELECT id, c, (SELECT note FROM t WHERE ctid = c) FROM kept ORDER BY id;
SELECT lakebase.publish('t') IS NOT NULL AS published;
SELECT * FROM found();
-- As many as are streamed into a file, with and without gaps, and some behind them.
INSERT INTO t SELECT g, 'note ' || g FROM generate_series(10001, 80000) g;
BEGIN;
INSERT INTO t SELECT g, 'note ' || g FROM generate_series(80001, 150000) g;
SAVEPOINT s;
INSERT INTO t VALUES (1007);
ROLLBACK TO s;
RELEASE s;
INSERT INTO t SELECT g, 'note ' || g FROM generate_series(150001, 220000) g;
COMMIT;
SELECT add(13, 20, 'behind many');
INSERT INTO kept SELECT ctid, id, 'streamed' FROM t WHERE id % 10000 < 2 AND id > 10000;
SELECT * FROM found();
SELECT lakebase.publish('t') IS NOT NULL AS published;
SELECT * FROM found();
-- A prepared transaction has rows that nobody sees yet.
BEGIN;
SELECT add(21, 24, 'prepared');
PREPARE TRANSACTION 'regress_row_ids';
SELECT add(25, 26, 'beside a prepared transaction');
-- A crash: who inserts next begins behind all that is written down.
\! "$BINDIR/pg_ctl" restart -m immediate -w -s -D "$DATA" -l "$DATA/../log/postgresql.log"
\c
SET search_path = test_row_ids;
SELECT add(27, 28, 'after a crash');
SELECT * FROM found();
COMMIT PREPARED 'regress_row_ids';
SELECT * FROM found();
SELECT id, c, place FROM kept WHERE place <> 'streamed' ORDER BY id;
-- A new storage begins anew.
VACUUM FULL t;
SELECT min(ctid), count(DISTINCT ctid) FROM t;
TRUNCATE t, kept;
SELECT add(1, 3, 'anew');
SELECT * FROM found();
SELECT id, ctid FROM t ORDER BY id;

-- Temporary tables that COMMIT empties.
CREATE TEMP TABLE brief (id int) USING iceberg ON COMMIT DELETE ROWS;
INSERT INTO brief VALUES (1);
BEGIN;
INSERT INTO brief VALUES (2), (3) RETURNING ctid;
SELECT id, ctid FROM brief ORDER BY id;
COMMIT;

-- Half of all ids are used: said once in a transaction. The last ones.
CREATE TABLE much (id int) USING iceberg;
INSERT INTO much VALUES (1);
CREATE FUNCTION use_until(next int8) RETURNS void LANGUAGE sql SET search_path = test_row_ids AS $$
    ALTER TABLE lakebase.iceberg_pointer DISABLE TRIGGER keep_changes_out;
    UPDATE lakebase.iceberg_pointer SET next_row_id = next WHERE relfilenumber = (SELECT relfilenode FROM pg_class WHERE oid = 'much'::regclass);
    ALTER TABLE lakebase.iceberg_pointer ENABLE ALWAYS TRIGGER keep_changes_out;
$$;
SELECT use_until(4294967295 * 291 / 2 - 1);
\! "$BINDIR/pg_ctl" restart -m immediate -w -s -D "$DATA" -l "$DATA/../log/postgresql.log"
\c
SET search_path = test_row_ids;
INSERT INTO much VALUES (2) RETURNING ctid;
BEGIN;
INSERT INTO much VALUES (3), (4) RETURNING ctid;
INSERT INTO much VALUES (5) RETURNING ctid;
COMMIT;
SELECT lakebase.publish('much') IS NOT NULL AS published;
SELECT use_until(4294967295 * 291 - 2);
\! "$BINDIR/pg_ctl" restart -m immediate -w -s -D "$DATA" -l "$DATA/../log/postgresql.log"
\c
SET search_path = test_row_ids;
SET client_min_messages = error;
INSERT INTO much VALUES (6), (7) RETURNING ctid;
RESET client_min_messages;
INSERT INTO much VALUES (8);
SELECT id FROM much WHERE ctid = '(4294967294,291)';
SELECT id, ctid FROM much ORDER BY id;
VACUUM FULL much;
INSERT INTO much VALUES (8) RETURNING ctid;

-- Where TIDs are used: offsets that a bitmap takes, and no block beyond the last one.
SELECT count(*) FROM t WHERE ctid IN ('(0,0)', '(0,292)', '(4294967295,1)', '(4294967294,291)');

SET client_min_messages = warning;
DROP SCHEMA test_row_ids CASCADE;
