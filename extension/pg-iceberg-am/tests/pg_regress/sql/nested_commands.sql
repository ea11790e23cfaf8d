-- A function that inserts while the INSERT that calls it goes on puts rows of later commands between those of an
-- earlier one. A snapshot of a command in between took a wrong part of them for its own.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_nested_commands CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_nested_commands;
SET search_path = test_nested_commands;

CREATE TABLE i (a int, note text) USING iceberg;
CREATE TABLE h (a int, note text) USING heap;

CREATE FUNCTION rows_of(tab text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE r text;
BEGIN
    EXECUTE format('SELECT count(*) || '':'' || coalesce(sum(a), 0) || '':'' || coalesce(md5(string_agg(a::text, '','' ORDER BY a)), '''') FROM %I', tab) INTO r;
    RETURN r;
END $$;

-- Inserts a row, and says what a query that began with the first call sees.
CREATE FUNCTION step(tab text, n int, every int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    c refcursor := 'seen by ' || tab;
    r text;
BEGIN
    IF n = 1 THEN
        OPEN c FOR EXECUTE format('SELECT rows_of(%L) FROM generate_series(1, 100000)', tab);
    END IF;
    EXECUTE format('INSERT INTO %I VALUES (%s, ''inner'')', tab, 1000000 + n);
    IF n % every = 1 OR every = 1 THEN FETCH c INTO r; END IF;
    RETURN r;
END $$;

-- Statement by statement.
BEGIN;
INSERT INTO i SELECT n, step('i', n, 1) FROM generate_series(1, 8) n;
INSERT INTO h SELECT n, step('h', n, 1) FROM generate_series(1, 8) n;
SELECT a, split_part(note, ':', 1) AS seen FROM i WHERE a < 1000000 ORDER BY a;
SELECT count(*) FROM (TABLE i EXCEPT ALL TABLE h) d;
SELECT count(*) FROM (TABLE h EXCEPT ALL TABLE i) d;
COMMIT;
SELECT count(*) FROM (TABLE i EXCEPT ALL TABLE h) d;
TRUNCATE i, h;

-- Cursors of such a snapshot stay as they were while rows of both kinds go on arriving, some of which are rolled back.
CREATE FUNCTION hold(tab text, n int) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE c refcursor := format('held %s of %s', n, tab);
BEGIN
    OPEN c SCROLL FOR EXECUTE format('SELECT a, note FROM %I', tab);
    -- Heap tables choose the rows of a page when they come to it.
    MOVE c;
    RETURN n;
END $$;
CREATE FUNCTION step_and_hold(tab text, n int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    c refcursor := 'holds ' || tab;
    r int;
BEGIN
    IF n = 1 THEN
        OPEN c FOR EXECUTE format('SELECT hold(%L, k) FROM generate_series(2, 100) k', tab);
        RETURN 'outer';
    END IF;
    EXECUTE format('INSERT INTO %I VALUES (%s, ''inner'')', tab, 1000000 + n);
    BEGIN
        EXECUTE format('INSERT INTO %I VALUES (%s, ''undone'')', tab, 2000000 + n);
        FETCH c INTO r;
        RAISE EXCEPTION 'undo';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    FETCH c INTO r;
    RETURN 'outer';
END $$;
BEGIN;
INSERT INTO i VALUES (0, 'before');
INSERT INTO h VALUES (0, 'before');
INSERT INTO i SELECT n, step_and_hold('i', n) FROM generate_series(1, 8) n;
INSERT INTO h SELECT n, step_and_hold('h', n) FROM generate_series(1, 8) n;
INSERT INTO i VALUES (9, 'after');
INSERT INTO h VALUES (9, 'after');
SELECT name FROM pg_cursors WHERE name LIKE 'held%' ORDER BY name;
FETCH ALL FROM "held 7 of i";
FETCH ALL FROM "held 7 of h";
FETCH BACKWARD 3 FROM "held 7 of i";
FETCH FORWARD ALL FROM "held 7 of i";
FETCH BACKWARD ALL FROM "held 7 of i";
FETCH ABSOLUTE 5 FROM "held 7 of i";
FETCH RELATIVE -2 FROM "held 7 of i";
FETCH FORWARD ALL FROM "held 7 of i";
SELECT count(*) FROM (TABLE i EXCEPT ALL TABLE h) d;
SELECT count(*) FROM (TABLE h EXCEPT ALL TABLE i) d;
COMMIT;
TRUNCATE i, h;

-- Files hold rows of both kinds.
BEGIN;
SET LOCAL pg_iceberg_am.write_work_mem = '1MB';
INSERT INTO i SELECT n, coalesce(step('i', n, 5000), repeat(md5(n::text), 10)) FROM generate_series(1, 20000) n;
INSERT INTO h SELECT n, coalesce(step('h', n, 5000), repeat(md5(n::text), 10)) FROM generate_series(1, 20000) n;
SELECT a, split_part(note, ':', 1) AS seen FROM i WHERE a % 5000 = 1 AND a < 1000000 ORDER BY a;
SELECT count(*) FROM (TABLE i EXCEPT ALL TABLE h) d;
SELECT count(*) FROM (TABLE h EXCEPT ALL TABLE i) d;
COMMIT;
SELECT count(*) FROM (TABLE i EXCEPT ALL TABLE h) d;
TRUNCATE i, h;

-- Parallel workers see the same.
CREATE FUNCTION is_worker() RETURNS bool LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT pg_backend_pid() <> current_setting('test.leader')::int $$;
SELECT set_config('test.leader', pg_backend_pid()::text, false) IS NOT NULL AS set;
CREATE FUNCTION rows_in_worker(tab text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE r text;
BEGIN
    EXECUTE format('SELECT is_worker() || '': '' || string_agg(a::text, '','' ORDER BY a) FROM %I', tab) INTO r;
    RETURN r;
END $$;
CREATE FUNCTION step_in_worker(tab text, n int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    c refcursor := 'seen by worker of ' || tab;
    r text;
BEGIN
    IF n = 1 THEN
        OPEN c FOR EXECUTE format('SELECT rows_in_worker(%L) FROM generate_series(1, 100)', tab);
    END IF;
    EXECUTE format('INSERT INTO %I VALUES (%s, ''inner'')', tab, 1000000 + n);
    FETCH c INTO r;
    RETURN r;
END $$;
BEGIN;
SET LOCAL debug_parallel_query = on;
INSERT INTO i SELECT n, step_in_worker('i', n) FROM generate_series(1, 5) n;
INSERT INTO h SELECT n, step_in_worker('h', n) FROM generate_series(1, 5) n;
SELECT note FROM i WHERE a < 1000000 ORDER BY a;
SELECT count(*) FROM (TABLE i EXCEPT ALL TABLE h) d;
COMMIT;
TRUNCATE i, h;

-- Triggers that insert: those after a row come when the rows of the statement are all there, those before one in between.
CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    c refcursor := TG_WHEN || ' of ' || TG_TABLE_NAME;
    r text;
BEGIN
    IF NEW.a < 100 THEN
        IF NEW.a = 1 THEN
            OPEN c FOR EXECUTE format('SELECT rows_of(%L) FROM generate_series(1, 100)', TG_TABLE_NAME);
        END IF;
        EXECUTE format('INSERT INTO %I VALUES (%s, %L)', TG_TABLE_NAME, NEW.a + 100, TG_WHEN);
        FETCH c INTO r;
        EXECUTE format('INSERT INTO %I VALUES (%s, %L)', TG_TABLE_NAME, NEW.a + 200, TG_WHEN || ': ' || r);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER before_row BEFORE INSERT ON i FOR EACH ROW EXECUTE FUNCTION more();
CREATE TRIGGER before_row BEFORE INSERT ON h FOR EACH ROW EXECUTE FUNCTION more();
CREATE TRIGGER after_row AFTER INSERT ON i FOR EACH ROW EXECUTE FUNCTION more();
CREATE TRIGGER after_row AFTER INSERT ON h FOR EACH ROW EXECUTE FUNCTION more();
BEGIN;
INSERT INTO i SELECT n, 'outer' FROM generate_series(1, 4) n;
INSERT INTO h SELECT n, 'outer' FROM generate_series(1, 4) n;
SELECT a, substring(note FROM '^[A-Z]+: [0-9]+') AS seen FROM i WHERE a > 200 ORDER BY a, note COLLATE "C";
SELECT count(*) FROM (TABLE i EXCEPT ALL TABLE h) d;
SELECT count(*) FROM (TABLE h EXCEPT ALL TABLE i) d;
COMMIT;
SELECT count(*) FROM (TABLE i EXCEPT ALL TABLE h) d;

SET client_min_messages = warning;
DROP SCHEMA test_nested_commands CASCADE;
