-- What users read when a statement is refused, and statements that run outside of transaction blocks.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_unsupported_messages CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_unsupported_messages;
SET search_path = test_unsupported_messages;

CREATE TABLE t (id int, name text) USING iceberg;
CREATE TABLE h (id int PRIMARY KEY) USING heap;
INSERT INTO t VALUES (1, 'one');
CREATE INDEX ON t (id);
ALTER TABLE t ADD PRIMARY KEY (id);
CREATE TABLE made (id int PRIMARY KEY) USING iceberg;
CLUSTER t;

-- The way over a heap table keeps rows, constraints, triggers, rights and what depends on the table.
CREATE TABLE through_heap (id int CHECK (id > 0), name text DEFAULT 'none') USING iceberg;
INSERT INTO through_heap VALUES (1, 'one'), (2, 'two');
CREATE VIEW of_through_heap AS SELECT name FROM through_heap;
GRANT SELECT ON through_heap TO pg_monitor;
ALTER TABLE through_heap SET ACCESS METHOD heap;
ALTER TABLE through_heap ADD COLUMN added int DEFAULT 5, ALTER COLUMN id TYPE bigint, ADD PRIMARY KEY (id);
ALTER TABLE through_heap DROP CONSTRAINT through_heap_pkey;
INSERT INTO through_heap VALUES (3000000000, 'three', 6);
ALTER TABLE through_heap SET ACCESS METHOD iceberg;
INSERT INTO through_heap (id) VALUES (4);
INSERT INTO through_heap VALUES (-1);
SELECT * FROM through_heap ORDER BY id;
SELECT count(*) FROM of_through_heap;
SELECT has_table_privilege('pg_monitor', 'through_heap', 'SELECT'), amname FROM pg_class c JOIN pg_am a ON a.oid = relam WHERE c.oid = 'through_heap'::regclass;
DROP TABLE through_heap CASCADE;
-- Rows that need TOAST do not go that way.
CREATE TABLE wide (v bytea STORAGE EXTERNAL) USING iceberg;
INSERT INTO wide VALUES (repeat('x', 10000)::bytea);
ALTER TABLE wide SET ACCESS METHOD heap;

-- Outside of a transaction block nothing half done is left, such as an invalid index.
CREATE INDEX CONCURRENTLY ON t (id);
CREATE UNIQUE INDEX CONCURRENTLY by_id ON t (id);
CREATE TABLE parted (id int) PARTITION BY RANGE (id);
CREATE TABLE leaf PARTITION OF parted FOR VALUES FROM (0) TO (10) USING iceberg;
CREATE INDEX on_parent ON ONLY parted (id);
DROP INDEX on_parent;
CREATE MATERIALIZED VIEW m USING iceberg AS SELECT * FROM t;
-- The hint once asked for a unique index, which cannot be on an Iceberg table.
REFRESH MATERIALIZED VIEW CONCURRENTLY m;
REFRESH MATERIALIZED VIEW m;
SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relname IN ('t', 'leaf', 'm', 'parted') AND c.relnamespace = 'test_unsupported_messages'::regnamespace;

-- A plan made while the table was a heap finds its rows after the change.
CREATE TABLE was_heap (id int) USING heap;
INSERT INTO was_heap VALUES (1), (2);
PREPARE remove_one AS DELETE FROM was_heap WHERE id = 1;
EXECUTE remove_one;
ALTER TABLE was_heap SET ACCESS METHOD iceberg;
EXECUTE remove_one;
SELECT * FROM was_heap;
SELECT * FROM t ORDER BY id;

-- What looks alike and is allowed.
MERGE INTO h USING t ON t.id = h.id WHEN NOT MATCHED THEN INSERT VALUES (t.id);
DELETE FROM h USING t WHERE t.id = h.id AND t.name = 'two';
UPDATE h SET id = 10 FROM t WHERE t.id = h.id;
SELECT h.id FROM h LEFT JOIN t USING (id) FOR UPDATE OF h;
BEGIN;
LOCK TABLE t IN ACCESS EXCLUSIVE MODE;
LOCK TABLE t IN ROW SHARE MODE NOWAIT;
COMMIT;
CREATE TRIGGER on_update BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
REINDEX TABLE t;

SET client_min_messages = warning;
DROP SCHEMA test_unsupported_messages CASCADE;
