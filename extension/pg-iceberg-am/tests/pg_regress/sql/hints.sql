-- Hints say what can really be done: some named ways that led to the same error again.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_hints CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_hints;
SET search_path = test_hints;

-- A table with indexes becomes an Iceberg table without them.
CREATE TABLE keyed (id int PRIMARY KEY, v int) USING heap;
CREATE INDEX keyed_v ON keyed (v);
INSERT INTO keyed VALUES (1, 1);
ALTER TABLE keyed SET ACCESS METHOD iceberg;
DROP INDEX keyed_v;
ALTER TABLE keyed SET ACCESS METHOD iceberg;
ALTER TABLE keyed DROP CONSTRAINT keyed_pkey, SET ACCESS METHOD iceberg;
SELECT * FROM keyed;

-- Indexes of heap partitions beside Iceberg ones.
CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE parted_ice PARTITION OF parted FOR VALUES FROM (0) TO (10) USING iceberg;
CREATE TABLE parted_heap PARTITION OF parted FOR VALUES FROM (10) TO (20) USING heap;
INSERT INTO parted VALUES (1, 'one'), (11, 'eleven');
CREATE INDEX on_parted ON parted (id);
ALTER TABLE parted ADD UNIQUE (id);
CREATE INDEX on_heap ON parted_heap (id);
CREATE INDEX on_parted ON ONLY parted (id);
ALTER INDEX on_parted ATTACH PARTITION on_heap;
CREATE INDEX ON ONLY parted_ice (id);
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid IN ('parted'::regclass, 'parted_ice'::regclass, 'parted_heap'::regclass) ORDER BY 1;
SELECT * FROM parted WHERE id = 11;
DROP INDEX on_parted;
-- Indexes and keys are not inherited, other than by partitions.
CREATE TABLE parent (id int NOT NULL) USING heap;
CREATE TABLE child () INHERITS (parent) USING iceberg;
CREATE INDEX ON parent (id);
ALTER TABLE parent ADD PRIMARY KEY (id);
INSERT INTO child VALUES (1);
SELECT * FROM parent;

-- A type that a table has stays the same in a new table; another type is needed.
CREATE TYPE pair AS (a int, b text);
CREATE TABLE typed (p pair) USING iceberg;
INSERT INTO typed VALUES ((1, 'x'));
ALTER TYPE pair ADD ATTRIBUTE c int;
CREATE TYPE triple AS (a int, b text, c int);
CREATE TABLE new_typed (p triple) USING iceberg;
INSERT INTO new_typed SELECT ((p).a, (p).b, NULL)::triple FROM typed;
DROP TABLE typed;
ALTER TABLE new_typed RENAME TO typed;
SELECT * FROM typed;

CREATE MATERIALIZED VIEW mv USING iceberg AS SELECT id FROM keyed;
REFRESH MATERIALIZED VIEW CONCURRENTLY mv;

-- Values.
CREATE TABLE numbers (n numeric, p numeric(5, 1), ns numeric[]) USING iceberg;
INSERT INTO numbers (n) VALUES ('NaN');
INSERT INTO numbers (ns) VALUES ('{1,-Infinity}');
INSERT INTO numbers (p) VALUES ('NaN');
SET pg_iceberg_am.unconstrained_numeric = text;
CREATE TABLE as_text (n numeric) USING iceberg;
INSERT INTO as_text VALUES ('NaN');
RESET pg_iceberg_am.unconstrained_numeric;
SET timezone = 'UTC';
CREATE TABLE times (t timestamp, tz timestamptz) USING iceberg;
INSERT INTO times VALUES ('294247-01-10 04:00:54.775807', '294247-01-10 04:00:54.775807+00');
INSERT INTO times (t) VALUES ('294247-01-10 04:00:54.775808');
INSERT INTO times (tz) VALUES ('294247-01-10 04:00:54.775808+00');
SELECT * FROM times;

-- Options that are fixed, each for its reason.
ALTER TABLE keyed SET ("pg-lakebase.columns" = 'x');
ALTER TABLE keyed SET ("write.metadata.delete-after-commit.enabled" = true);
ALTER TABLE keyed SET ("write.metadata.compression-codec" = 'gzip');
ALTER TABLE keyed SET ("schema.name-mapping.default" = 'x');
ALTER TABLE keyed SET ("write.data.path" = '/tmp');
ALTER TABLE keyed SET ("write.object-storage.enabled" = true);
ALTER TABLE keyed SET ("write.data.path.of-others" = 'x');

-- A negative age was taken for none, so that the youngest files went as well.
SELECT * FROM lakebase.remove_orphan_files('keyed', interval '-1 day');
\set VERBOSITY sqlstate
SELECT * FROM lakebase.remove_orphan_files('keyed', interval '-1 second', true);
\set VERBOSITY default
SELECT * FROM lakebase.remove_orphan_files('keyed', interval '0', true);

SET client_min_messages = warning;
DROP SCHEMA test_hints CASCADE;
