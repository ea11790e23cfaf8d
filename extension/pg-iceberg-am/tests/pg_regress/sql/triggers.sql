-- Triggers fire on Iceberg tables as on heap tables.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_triggers CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_triggers;
SET search_path = test_triggers;

CREATE TABLE t (id int, name text, stamp text) USING iceberg;
CREATE TABLE log (seq int GENERATED ALWAYS AS IDENTITY, line text) USING heap;
CREATE TABLE audit (seq int, line text) USING iceberg;

CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (line) VALUES (format('%s %s %s %s', TG_NAME, TG_WHEN, TG_LEVEL, TG_OP)
        || CASE WHEN TG_LEVEL = 'ROW' THEN ' ' || NEW::text ELSE '' END);
    RETURN NEW;
END $$;
CREATE TRIGGER a_before_statement BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER b_before_row BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER c_after_row AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER d_after_statement AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION note();
INSERT INTO t VALUES (1, 'one'), (2, NULL);
INSERT INTO t SELECT 3, 'three' WHERE false;
SELECT line FROM log ORDER BY seq;
TRUNCATE log;

-- A BEFORE trigger changes the row or drops it; a WHEN condition filters.
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id % 2 = 0 THEN RETURN NULL; END IF;
    NEW.stamp := upper(NEW.name);
    RETURN NEW;
END $$;
CREATE TRIGGER e_change BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.id > 10) EXECUTE FUNCTION change();
INSERT INTO t SELECT g, 'name' || g FROM generate_series(9, 14) g RETURNING id, stamp;
SELECT * FROM t ORDER BY id;
SELECT count(*) FROM log WHERE line LIKE 'c_after_row%';
DROP TRIGGER a_before_statement ON t;
DROP TRIGGER b_before_row ON t;
DROP TRIGGER c_after_row ON t;
DROP TRIGGER d_after_statement ON t;
DROP TRIGGER e_change ON t;
TRUNCATE log;

-- Transition tables.
CREATE FUNCTION sum_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (line) SELECT format('%s rows, ids %s', count(*), sum(id)) FROM new_rows;
    RETURN NULL;
END $$;
CREATE TRIGGER transition AFTER INSERT ON t REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION sum_new();
INSERT INTO t VALUES (20, 'x');
INSERT INTO t SELECT g, 'y' FROM generate_series(21, 30) g;
INSERT INTO t SELECT g, 'y' FROM generate_series(21, 20) g;
COPY t (id, name) FROM stdin;
40	copied
41	copied
\.
SELECT line FROM log ORDER BY seq;
DROP TRIGGER transition ON t;

-- A trigger that writes to another Iceberg table and reads its own table.
CREATE FUNCTION to_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit SELECT NEW.id, format('%s of %s', NEW.name, (SELECT count(*) FROM t));
    RETURN NULL;
END $$;
CREATE TRIGGER audited AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION to_audit();
TRUNCATE t;
INSERT INTO t VALUES (50, 'p'), (51, 'q');
INSERT INTO t VALUES (52, 'r');
SELECT * FROM audit ORDER BY seq;
-- A trigger that fails undoes the statement, and what triggers before it wrote.
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no row %', NEW.id; END $$;
CREATE TRIGGER failing AFTER INSERT ON t FOR EACH ROW WHEN (NEW.id = 62) EXECUTE FUNCTION fail();
INSERT INTO t SELECT g, 'z' FROM generate_series(60, 64) g;
SELECT (SELECT count(*) FROM t) AS t, (SELECT count(*) FROM audit) AS audit;
ALTER TABLE t DISABLE TRIGGER failing;
INSERT INTO t SELECT g, 'z' FROM generate_series(60, 64) g;
SELECT (SELECT count(*) FROM t) AS t, (SELECT count(*) FROM audit) AS audit;

-- A trigger that inserts into its own table.
CREATE TABLE countdown (n int) USING iceberg;
CREATE FUNCTION one_less() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.n > 0 THEN INSERT INTO countdown VALUES (NEW.n - 1); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER recursion AFTER INSERT ON countdown FOR EACH ROW EXECUTE FUNCTION one_less();
INSERT INTO countdown VALUES (5);
SELECT array_agg(n ORDER BY n) FROM countdown;

-- A BEFORE trigger sees the rows that its statement has put in already, an AFTER trigger all of them.
CREATE TABLE seen (n int, before_rows bigint) USING iceberg;
CREATE FUNCTION count_seen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_WHEN = 'AFTER' THEN RAISE NOTICE 'after row %: % rows', NEW.n, (SELECT count(*) FROM seen); RETURN NULL; END IF;
    NEW.before_rows := (SELECT count(*) FROM seen);
    RETURN NEW;
END $$;
CREATE TRIGGER before_row BEFORE INSERT ON seen FOR EACH ROW EXECUTE FUNCTION count_seen();
CREATE TRIGGER after_row AFTER INSERT ON seen FOR EACH ROW EXECUTE FUNCTION count_seen();
INSERT INTO seen (n) SELECT g FROM generate_series(1, 3) g;
INSERT INTO seen (n) VALUES (4), (5);
SELECT * FROM seen ORDER BY n;

-- Deferred constraint triggers see the row at commit.
CREATE TABLE deferred (id int, name text) USING iceberg;
CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'at commit: % of %', NEW, (SELECT count(*) FROM deferred);
    IF NEW.name = 'bad' THEN RAISE EXCEPTION 'bad row'; END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit();
BEGIN;
INSERT INTO deferred VALUES (1, 'good');
INSERT INTO deferred VALUES (2, 'also good');
SELECT count(*) FROM deferred;
COMMIT;
BEGIN;
INSERT INTO deferred VALUES (3, 'bad');
COMMIT;
BEGIN;
INSERT INTO deferred VALUES (4, 'now');
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
SELECT * FROM deferred ORDER BY id;

-- TRUNCATE triggers, and INSTEAD OF triggers of a view.
CREATE FUNCTION truncated() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% %', TG_WHEN, TG_OP; RETURN NULL; END $$;
CREATE TRIGGER before_truncate BEFORE TRUNCATE ON deferred EXECUTE FUNCTION truncated();
CREATE TRIGGER after_truncate AFTER TRUNCATE ON deferred EXECUTE FUNCTION truncated();
TRUNCATE deferred;
CREATE VIEW joined AS SELECT d.id, d.name, c.n FROM deferred d JOIN countdown c ON c.n = d.id;
CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO countdown VALUES (NEW.id); INSERT INTO deferred VALUES (NEW.id, NEW.name); RETURN NEW; END $$;
CREATE TRIGGER instead INSTEAD OF INSERT ON joined FOR EACH ROW EXECUTE FUNCTION instead();
INSERT INTO joined (id, name) VALUES (0, 'through the view') RETURNING *;
SELECT count(*) FROM joined;

SET client_min_messages = warning;
DROP SCHEMA test_triggers CASCADE;
