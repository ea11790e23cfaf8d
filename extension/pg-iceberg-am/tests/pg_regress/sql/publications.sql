-- A publication of Iceberg tables sent their rows once and no changes afterwards, and said nothing of it.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_publications CASCADE;
DROP SCHEMA IF EXISTS test_publications_other CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_publications;
CREATE SCHEMA test_publications_other;
SET search_path = test_publications;
SELECT current_setting('wal_level') <> 'logical' AS warns_of_wal_level;

CREATE TABLE t (id int) USING iceberg;
CREATE TABLE h (id int PRIMARY KEY) USING heap;
CREATE TABLE parted (id int) PARTITION BY RANGE (id);
CREATE TABLE parted_heap PARTITION OF parted FOR VALUES FROM (1) TO (10) USING heap;
CREATE TABLE parent (id int) USING heap;
CREATE TABLE child () INHERITS (parent) USING iceberg;

-- By name: refused, also among others, and as a child.
CREATE PUBLICATION regress_iceberg FOR TABLE t;
CREATE PUBLICATION regress_iceberg FOR TABLE h, t;
CREATE PUBLICATION regress_iceberg FOR TABLE parent;
CREATE PUBLICATION regress_iceberg FOR TABLE h, ONLY parent;
ALTER PUBLICATION regress_iceberg ADD TABLE t;
ALTER PUBLICATION regress_iceberg SET TABLE h, t;
ALTER PUBLICATION regress_iceberg SET (publish = 'insert');
ALTER PUBLICATION regress_iceberg DROP TABLE ONLY parent;
SELECT tablename FROM pg_publication_tables WHERE pubname = 'regress_iceberg' ORDER BY 1;
-- Nor does a published table become one.
ALTER TABLE h DROP CONSTRAINT h_pkey, SET ACCESS METHOD iceberg;
SET default_table_access_method = iceberg;
ALTER TABLE h SET ACCESS METHOD DEFAULT;
RESET default_table_access_method;

-- Among others: a warning. In a partitioned table,
ALTER PUBLICATION regress_iceberg ADD TABLE parted;
CREATE TABLE parted_iceberg PARTITION OF parted FOR VALUES FROM (10) TO (20) USING iceberg;
CREATE TABLE loose (id int) USING iceberg;
ALTER TABLE parted ATTACH PARTITION loose FOR VALUES FROM (20) TO (30);
ALTER TABLE parted_heap SET ACCESS METHOD iceberg;
ALTER TABLE parted_heap SET ACCESS METHOD heap;
ALTER PUBLICATION regress_iceberg SET TABLE h, parted;
ALTER PUBLICATION regress_iceberg SET (publish_via_partition_root);
ALTER PUBLICATION regress_iceberg DROP TABLE parted;
-- in a schema,
CREATE PUBLICATION regress_iceberg_schema FOR TABLES IN SCHEMA test_publications_other;
CREATE TABLE test_publications_other.made (id int) USING iceberg;
CREATE TABLE test_publications_other.made_of USING iceberg AS SELECT 1 AS id;
ALTER TABLE t SET SCHEMA test_publications_other;
ALTER TABLE test_publications_other.t SET SCHEMA test_publications;
ALTER PUBLICATION regress_iceberg_schema ADD TABLES IN SCHEMA test_publications;
ALTER PUBLICATION regress_iceberg_schema DROP TABLES IN SCHEMA test_publications;
DROP PUBLICATION regress_iceberg_schema;
-- and in the whole database.
CREATE PUBLICATION regress_iceberg_all FOR ALL TABLES;
CREATE TABLE one_more (id int) USING iceberg;
CREATE TABLE becomes_one (id int) USING heap;
ALTER TABLE becomes_one SET ACCESS METHOD iceberg;
-- Changes of rows, of which nothing is published, need no replica identity.
CREATE TABLE keyless (id int) USING heap;
INSERT INTO keyless VALUES (1);
UPDATE keyless SET id = 2;
INSERT INTO one_more VALUES (1), (2), (3);
UPDATE one_more SET id = id + 1;
DELETE FROM one_more WHERE id = 3;
MERGE INTO one_more t USING (VALUES (4)) s (id) ON t.id = s.id WHEN MATCHED THEN UPDATE SET id = 5;
WITH gone AS (DELETE FROM one_more WHERE id = 2 RETURNING *) SELECT * FROM gone;
PREPARE change AS UPDATE one_more SET id = id * 10;
EXECUTE change;
ALTER TABLE one_more SET (fillfactor = 50);
EXECUTE change;
SELECT * FROM one_more;
-- No changes of these would be published anyway.
CREATE UNLOGGED TABLE unlogged (id int) USING iceberg;
CREATE TEMPORARY TABLE temporary (id int) USING iceberg;
CREATE MATERIALIZED VIEW matview USING iceberg AS SELECT 1 AS id;
CREATE TABLE heap (id int) USING heap;
ALTER TABLE unlogged SET LOGGED;
DROP PUBLICATION regress_iceberg_all, regress_iceberg;

SET client_min_messages = warning;
DROP SCHEMA test_publications CASCADE;
DROP SCHEMA test_publications_other CASCADE;
