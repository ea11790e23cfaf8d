-- local tables only: a heap partition follows its parent.
-- Declarative partitions whose leaves are Iceberg tables, heap tables, or both.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_partitions CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_partitions;
SET search_path = test_partitions;

SET datestyle = ISO, YMD;
CREATE TABLE event (id int NOT NULL, at date NOT NULL, kind text DEFAULT 'none', amount numeric(8, 2)) PARTITION BY RANGE (at);
CREATE TABLE event_2022 PARTITION OF event FOR VALUES FROM ('2022-01-01') TO ('2023-01-01') USING iceberg;
CREATE TABLE event_2023 PARTITION OF event FOR VALUES FROM ('2023-01-01') TO ('2024-01-01') USING heap;
CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') USING iceberg;
INSERT INTO event SELECT g, '2022-01-01'::date + g, 'kind' || g % 3, g FROM generate_series(0, 1000) g;
SELECT tableoid::regclass, count(*), sum(id) FROM event GROUP BY 1 ORDER BY tableoid::regclass::text;
INSERT INTO event VALUES (5000, '2026-01-01');
INSERT INTO event_2022 VALUES (5000, '2024-01-01');
CREATE TABLE event_other PARTITION OF event DEFAULT USING iceberg;
INSERT INTO event VALUES (5000, '2026-01-01') RETURNING tableoid::regclass, *;
INSERT INTO event VALUES (5001, '2022-05-05'), (5002, '2023-05-05'), (5003, '2024-05-05'), (5004, '1999-01-01') RETURNING tableoid::regclass, id;
COPY event FROM stdin (FORMAT csv);
6001,2022-06-01,copied,1.5
6002,2023-06-01,copied,
6003,2024-06-01,copied,2.5
6004,2030-06-01,copied,3.5
\.
SELECT tableoid::regclass, count(*), max(id) FROM event GROUP BY 1 ORDER BY tableoid::regclass::text;

-- Pruning, joins, aggregates.
SELECT count(*) FROM event WHERE at BETWEEN '2022-12-30' AND '2023-01-02';
SET enable_partitionwise_aggregate = on;
SET enable_partitionwise_join = on;
SELECT extract(year FROM at) AS year, count(*), sum(amount) FROM event GROUP BY at, 1 HAVING sum(amount) > 998 ORDER BY 1, 3;
SELECT count(*) FROM event a JOIN event b USING (at) WHERE a.kind = 'kind1' AND b.id < 100;
RESET enable_partitionwise_aggregate;
RESET enable_partitionwise_join;
SELECT id FROM event ORDER BY at DESC, id LIMIT 3;

-- Routing with triggers and constraints on parent and leaf.
ALTER TABLE event ADD CONSTRAINT id_positive CHECK (id >= 0);
ALTER TABLE event_2022 ADD CONSTRAINT small CHECK (amount < 100000);
INSERT INTO event VALUES (-1, '2022-01-01');
INSERT INTO event VALUES (1, '2022-01-01', 'x', 100000);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '% into %: %', TG_WHEN, TG_RELID::regclass, NEW.id; RETURN NEW; END $$;
CREATE TRIGGER note AFTER INSERT ON event FOR EACH ROW WHEN (NEW.id > 7000) EXECUTE FUNCTION note();
INSERT INTO event VALUES (7001, '2022-01-01'), (7002, '2023-01-01');
DROP TRIGGER note ON event;

-- Attach, detach, drop, truncate.
CREATE TABLE event_2025 (amount numeric(8, 2), kind text DEFAULT 'late', at date NOT NULL, id int NOT NULL) USING iceberg;
INSERT INTO event_2025 VALUES (1, 'attached', '2025-01-01', 8001), (2, 'attached', '2025-12-31', 8002);
ALTER TABLE event ATTACH PARTITION event_2025 FOR VALUES FROM ('2025-01-01') TO ('2025-12-31');
ALTER TABLE event_2025 ADD CONSTRAINT id_positive CHECK (id >= 0);
ALTER TABLE event ATTACH PARTITION event_2025 FOR VALUES FROM ('2025-01-01') TO ('2025-12-31');
ALTER TABLE event ATTACH PARTITION event_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO event (id, at) VALUES (8003, '2025-06-01');
SELECT * FROM event WHERE at >= '2025-01-01' AND at < '2026-01-01' ORDER BY id;
SELECT e FROM event e WHERE id = 8001;
ALTER TABLE event DETACH PARTITION event_2025;
SELECT count(*) FROM event WHERE at >= '2025-01-01' AND at < '2026-01-01';
SELECT count(*) FROM event_2025;
ALTER TABLE event DETACH PARTITION event_2023 CONCURRENTLY;
ALTER TABLE event DETACH PARTITION event_other;
ALTER TABLE event DETACH PARTITION event_2023;
ALTER TABLE event_2023 SET ACCESS METHOD iceberg;
ALTER TABLE event ATTACH PARTITION event_2023 FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
SELECT tableoid::regclass, count(*), sum(id) FROM event GROUP BY 1 ORDER BY tableoid::regclass::text;
TRUNCATE event_2022;
SELECT count(*) FROM event WHERE at < '2023-01-01';
TRUNCATE event;
SELECT count(*) FROM event;
DROP TABLE event_2022;
DROP TABLE event;
SELECT count(*) FROM event_2025;

-- The parent's access method is what its partitions get.
CREATE TABLE list_parent (region text, n int) PARTITION BY LIST (region) USING iceberg;
CREATE TABLE list_a PARTITION OF list_parent FOR VALUES IN ('a', 'b');
CREATE TABLE list_rest PARTITION OF list_parent DEFAULT PARTITION BY HASH (n);
CREATE TABLE list_rest_0 PARTITION OF list_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE list_rest_1 PARTITION OF list_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO list_parent SELECT chr(97 + g % 4), g FROM generate_series(1, 400) g;
INSERT INTO list_parent VALUES (NULL, 0), ('a', NULL), (NULL, NULL);
SELECT c.relname, a.amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.relname LIKE 'list\_%' AND c.relnamespace = 'test_partitions'::regnamespace ORDER BY 1;
SELECT region, count(*), sum(n), count(DISTINCT tableoid) FROM list_parent GROUP BY region ORDER BY region;
-- A partitioned table has no files, whatever its access method: functions that look inside said NULL, or nothing.
SELECT lakebase.publish('list_parent');
SELECT * FROM lakebase.iceberg_files('list_parent');
SELECT * FROM lakebase.iceberg_snapshots('list_parent');
SELECT * FROM lakebase.remove_orphan_files('list_parent');
SELECT lakebase.iceberg_location('list_parent') IS NULL AS has_no_location;
SELECT lakebase.publish('list_a') IS NOT NULL AS published;
ALTER TABLE list_parent SET ACCESS METHOD heap;
SELECT lakebase.publish('list_parent');
CREATE TABLE list_z PARTITION OF list_parent FOR VALUES IN ('z');
SELECT a.amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.oid = 'list_z'::regclass;
-- Many partitions in one statement.
CREATE TABLE many (k int, v text) PARTITION BY RANGE (k);
DO $$ BEGIN FOR i IN 0..49 LOOP
    EXECUTE format('CREATE TABLE many_%s PARTITION OF many FOR VALUES FROM (%s) TO (%s) USING iceberg', i, i * 10, i * 10 + 10);
END LOOP; END $$;
INSERT INTO many SELECT (g * 7919) % 500, 'v' || g FROM generate_series(1, 5000) g;
SELECT count(*), count(DISTINCT tableoid), min(k), max(k) FROM many;
SELECT count(*) FROM many WHERE k = 123;

SET client_min_messages = warning;
DROP SCHEMA test_partitions CASCADE;
