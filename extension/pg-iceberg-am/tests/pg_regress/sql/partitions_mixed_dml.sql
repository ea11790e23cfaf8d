-- UPDATE, DELETE and row locks that come to rows of heap partitions alone work, whenever the partitions are chosen.
-- Statements on a partitioned table with an Iceberg partition were refused by their plans: prepared ones from the sixth execution on.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_partitions_mixed_dml CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_partitions_mixed_dml;
SET search_path = test_partitions_mixed_dml;

CREATE TABLE emp (a int, b int) PARTITION BY RANGE (a);
CREATE TABLE emp_ice PARTITION OF emp FOR VALUES FROM (0) TO (10) USING iceberg;
CREATE TABLE emp_heap PARTITION OF emp FOR VALUES FROM (10) TO (20) USING heap;
INSERT INTO emp SELECT g, g FROM generate_series(0, 19) g;
CREATE TABLE twin (a int, b int) PARTITION BY RANGE (a);
CREATE TABLE twin_low PARTITION OF twin FOR VALUES FROM (0) TO (10) USING heap;
CREATE TABLE twin_high PARTITION OF twin FOR VALUES FROM (10) TO (20) USING heap;
INSERT INTO twin TABLE emp;

PREPARE change(int) AS UPDATE emp SET b = b + 1 WHERE a = $1;
PREPARE remove(int) AS DELETE FROM emp WHERE a = $1 RETURNING *;
PREPARE hold(int) AS SELECT * FROM emp WHERE a = $1 FOR UPDATE;
SET plan_cache_mode = force_generic_plan;
EXECUTE change(15);
EXECUTE hold(15);
EXECUTE remove(19);
-- A row of the Iceberg partition is refused as a statement on that partition is.
EXECUTE change(5);
EXECUTE hold(5);
EXECUTE remove(9);
RESET plan_cache_mode;
UPDATE emp_ice SET b = 0;
SELECT * FROM emp_ice FOR UPDATE;
DELETE FROM emp_ice;

UPDATE emp SET b = 1 WHERE a = (SELECT 17);
UPDATE emp SET b = 1 WHERE a = (SELECT 7);
SELECT * FROM emp WHERE a = (SELECT 17) FOR SHARE;
SELECT * FROM emp WHERE a = (SELECT 7) FOR SHARE;
SELECT * FROM emp WHERE a = (SELECT 7) FOR KEY SHARE;
SELECT * FROM emp WHERE a > (SELECT 7) FOR UPDATE SKIP LOCKED;
UPDATE emp SET b = x.b FROM (VALUES (11, 110), (12, 120)) x (a, b) WHERE emp.a = x.a;
DELETE FROM emp USING (VALUES (5)) x (a) WHERE emp.a = x.a;
-- A row that would move from one kind of partition to the other; new rows may go to either.
UPDATE emp SET a = 3 WHERE a = (SELECT 18);
UPDATE emp SET a = 13 WHERE a = (SELECT 3) AND b = 3;
SELECT tableoid::regclass, * FROM emp WHERE a IN (3, 18) ORDER BY b;
-- Nothing is left of a statement that came to a heap row first.
UPDATE emp SET b = -1;
SELECT count(*) FROM emp WHERE b = -1;

-- In a loop, where the plan becomes a generic one.
DO $$
DECLARE n int := 0; touched int;
BEGIN
    FOR i IN 1..20 LOOP
        UPDATE emp SET b = b + i WHERE a = 10 + i % 5;
        GET DIAGNOSTICS touched = ROW_COUNT;
        n := n + touched;
        DELETE FROM emp WHERE a = 13 + i % 2 AND i > 15;
        PERFORM FROM emp WHERE a = 10 + i % 5 FOR NO KEY UPDATE;
    END LOOP;
    RAISE NOTICE '% rows updated', n;
END $$;
UPDATE twin SET b = 110 WHERE a = 11;
UPDATE twin SET b = 120 WHERE a = 12;
DO $$
DECLARE n int := 0; touched int;
BEGIN
    FOR i IN 1..20 LOOP
        UPDATE twin SET b = b + i WHERE a = 10 + i % 5;
        GET DIAGNOSTICS touched = ROW_COUNT;
        n := n + touched;
        DELETE FROM twin WHERE a = 13 + i % 2 AND i > 15;
        PERFORM FROM twin WHERE a = 10 + i % 5 FOR NO KEY UPDATE;
    END LOOP;
    RAISE NOTICE '% rows updated', n;
END $$;
SELECT * FROM emp WHERE a BETWEEN 10 AND 14 ORDER BY a;
SELECT * FROM twin WHERE a BETWEEN 10 AND 14 ORDER BY a;

-- Triggers see rows once they are locked; the refusal says what the statement wanted.
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% %', TG_OP, TG_RELID::regclass; RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER see BEFORE UPDATE OR DELETE ON emp FOR EACH ROW EXECUTE FUNCTION see();
UPDATE emp SET b = 2 WHERE a = (SELECT 17);
UPDATE emp SET b = 2 WHERE a = (SELECT 7);
DELETE FROM emp WHERE a = (SELECT 7);
DELETE FROM emp WHERE a = (SELECT 17);

-- Inheritance without partitions.
CREATE TABLE parent (a int) USING iceberg;
CREATE TABLE child () INHERITS (parent) USING heap;
INSERT INTO child VALUES (1);
UPDATE parent SET a = 2;
SELECT * FROM parent FOR UPDATE;
INSERT INTO parent VALUES (1);
UPDATE parent SET a = 3;
SELECT * FROM parent FOR UPDATE;
UPDATE ONLY parent SET a = 3;

SET client_min_messages = warning;
DROP SCHEMA test_partitions_mixed_dml CASCADE;
