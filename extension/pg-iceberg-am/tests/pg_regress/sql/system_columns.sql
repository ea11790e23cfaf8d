-- System columns that Iceberg tables do not have are refused with the table's name and a hint: the error was PostgreSQL's
-- "cannot retrieve a system column in this context".
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_system_columns CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_system_columns;
SET search_path = test_system_columns;

CREATE TABLE t (id int) USING iceberg;
INSERT INTO t VALUES (1), (2);
SELECT xmin FROM t;
SELECT xmax FROM t;
SELECT cmin FROM t WHERE id = 3;
SELECT id FROM t WHERE cmax = '0';
SELECT id FROM t ORDER BY xmin::text;
INSERT INTO t VALUES (3) RETURNING id, xmin;
SELECT count(*) FROM t;
SELECT ctid, tableoid::regclass, id FROM t ORDER BY id;
INSERT INTO t VALUES (3) RETURNING ctid, tableoid::regclass;

-- Wherever it stands.
CREATE VIEW v AS SELECT xmin AS made, id FROM t;
SELECT made FROM v;
SELECT id FROM v ORDER BY id;
EXPLAIN (COSTS off) SELECT xmin FROM t;
WITH x AS (SELECT xmin FROM t) SELECT count(*) FROM x WHERE xmin <> '0';
SELECT (SELECT max(y.xmin::text) FROM t y WHERE y.id = t.id) FROM t;
CREATE TABLE h (id int) USING heap;
INSERT INTO h VALUES (1);
SELECT h.xmin = t.xmin FROM h JOIN t USING (id);
SELECT h.xmin IS NOT NULL AS has FROM h JOIN t USING (id);
PREPARE by_id(int) AS SELECT xmin FROM t WHERE id = $1;
EXECUTE by_id(1);
SET pg_iceberg_am.enable_custom_scan = off;
SELECT xmin FROM t;
RESET pg_iceberg_am.enable_custom_scan;

-- Heap partitions have them; which partitions a statement comes to may be known only when it runs.
CREATE TABLE parted (id int) PARTITION BY RANGE (id);
CREATE TABLE parted_ice PARTITION OF parted FOR VALUES FROM (0) TO (10) USING iceberg;
CREATE TABLE parted_heap PARTITION OF parted FOR VALUES FROM (10) TO (20) USING heap;
INSERT INTO parted VALUES (1), (11);
SELECT xmin IS NOT NULL AS has FROM parted WHERE id = 11;
SELECT xmin IS NOT NULL AS has FROM parted WHERE id = (SELECT 11);
SELECT xmin IS NOT NULL AS has FROM parted WHERE id = (SELECT 1);
SELECT xmin IS NOT NULL AS has FROM parted;
-- PostgreSQL's own error: a row on its way to a partition is no row of a heap table yet.
INSERT INTO parted VALUES (12) RETURNING xmin IS NOT NULL AS has;
SELECT id FROM parted ORDER BY id;

-- A trigger's condition.
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER see AFTER INSERT ON t FOR EACH ROW WHEN (NEW.xmin IS NOT NULL) EXECUTE FUNCTION see();
INSERT INTO t VALUES (4);
SELECT count(*) FROM t;

SET client_min_messages = warning;
DROP SCHEMA test_system_columns CASCADE;
