-- Materialized views kept as Iceberg tables.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_matview CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_matview;
SET search_path = test_matview;

CREATE TABLE base (id int, grp text, n int) USING iceberg;
INSERT INTO base SELECT g, 'g' || g % 3, g FROM generate_series(1, 30) g;
CREATE MATERIALIZED VIEW summary USING iceberg AS SELECT grp, count(*) AS rows, sum(n) AS total FROM base GROUP BY grp;
SELECT * FROM summary ORDER BY grp;
SELECT a.amname FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.oid = 'summary'::regclass;
INSERT INTO base VALUES (31, 'g9', 31);
SELECT count(*) FROM summary;
REFRESH MATERIALIZED VIEW summary;
SELECT * FROM summary ORDER BY grp;
CREATE MATERIALIZED VIEW IF NOT EXISTS summary USING iceberg AS SELECT 1;

-- Not populated.
CREATE MATERIALIZED VIEW later USING iceberg AS SELECT id FROM base WHERE n > 25 WITH NO DATA;
SELECT * FROM later;
REFRESH MATERIALIZED VIEW later;
SELECT count(*) FROM later;
REFRESH MATERIALIZED VIEW later WITH NO DATA;
SELECT count(*) FROM later;
REFRESH MATERIALIZED VIEW later;

-- A refresh that is undone, in a block and by an error, and one within a savepoint.
BEGIN;
INSERT INTO base VALUES (40, 'g0', 40);
REFRESH MATERIALIZED VIEW later;
SELECT count(*) FROM later;
ROLLBACK;
SELECT count(*) FROM later;
CREATE MATERIALIZED VIEW fails USING iceberg AS SELECT 1 / (n - 50) AS q FROM base;
INSERT INTO base VALUES (50, 'g0', 50);
REFRESH MATERIALIZED VIEW fails;
SELECT count(*) FROM fails;
BEGIN;
SAVEPOINT s;
REFRESH MATERIALIZED VIEW summary;
ROLLBACK TO s;
SELECT total FROM summary WHERE grp = 'g0';
REFRESH MATERIALIZED VIEW summary;
COMMIT;
SELECT total FROM summary WHERE grp = 'g0';

-- Over another, over heap, over no rows; with no write of one's own.
CREATE MATERIALIZED VIEW over_matview USING iceberg AS SELECT max(total) AS top FROM summary;
SELECT * FROM over_matview;
CREATE TABLE heap_base (id int) USING heap;
CREATE MATERIALIZED VIEW over_heap USING iceberg AS SELECT id, id::text AS name FROM heap_base;
SELECT count(*) FROM over_heap;
INSERT INTO heap_base SELECT generate_series(1, 5000);
REFRESH MATERIALIZED VIEW over_heap;
SELECT count(*), max(name) FROM over_heap;
INSERT INTO over_heap VALUES (1, 'x');
ALTER MATERIALIZED VIEW over_heap RENAME TO over_heap_2;
DROP MATERIALIZED VIEW over_heap_2;
DROP TABLE base;
DROP TABLE base CASCADE;

SET client_min_messages = warning;
DROP SCHEMA test_matview CASCADE;
