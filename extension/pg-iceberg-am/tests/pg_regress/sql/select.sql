-- Queries over Iceberg tables, alone and with heap tables.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_select CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_select;
SET search_path = test_select;

CREATE TABLE item (id int, category text, price numeric(8, 2)) USING iceberg;
CREATE TABLE sale (item int, quantity int, region text) USING iceberg;
CREATE TABLE region (name text PRIMARY KEY, country text) USING heap;
INSERT INTO item SELECT g, (ARRAY['fruit', 'tool', 'book'])[1 + g % 3], g * 1.25 FROM generate_series(1, 30) g;
INSERT INTO sale SELECT 1 + g % 30, g % 7, (ARRAY['north', 'south', NULL])[1 + g % 3] FROM generate_series(1, 1000) g;
INSERT INTO region VALUES ('north', 'NO'), ('south', 'IT');

-- Joins of every kind, by every method.
SELECT category, count(*), sum(quantity), sum(quantity * price) FROM sale JOIN item ON id = item GROUP BY category ORDER BY category;
SELECT name, country, count(sale.item) FROM region LEFT JOIN sale ON region = name GROUP BY name, country ORDER BY name;
SELECT country, count(*) FROM sale FULL JOIN region ON region = name GROUP BY country ORDER BY country NULLS FIRST;
SET enable_hashjoin = off;
SELECT category, count(*) FROM sale JOIN item ON id = item GROUP BY category ORDER BY category;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT category, count(*) FROM sale JOIN item ON id = item GROUP BY category ORDER BY category;
SELECT count(*) FROM item a, item b WHERE a.id < b.id;
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;
SELECT count(*) FROM item a JOIN item b USING (id);

-- Subqueries, LATERAL, CTEs, set operations.
SELECT id FROM item i WHERE price > (SELECT avg(price) FROM item WHERE category = i.category) AND category = 'book' ORDER BY id;
SELECT id FROM item WHERE id NOT IN (SELECT item FROM sale WHERE quantity > 5) ORDER BY id;
SELECT count(*) FROM item i WHERE EXISTS (SELECT 1 FROM sale s WHERE s.item = i.id AND s.region = 'north');
SELECT i.id, s.quantity FROM item i, LATERAL (SELECT quantity FROM sale WHERE item = i.id ORDER BY quantity DESC LIMIT 1) s WHERE i.id <= 3 ORDER BY 1;
WITH RECURSIVE up(id) AS (SELECT 1 UNION ALL SELECT i.id FROM up JOIN item i ON i.id = up.id + 1 WHERE up.id < 10) SELECT sum(id) FROM up;
WITH m AS MATERIALIZED (SELECT * FROM item WHERE id % 2 = 0) SELECT count(*), max(a.price) FROM m a JOIN m b USING (id);
SELECT id FROM item WHERE id < 4 UNION SELECT item FROM sale WHERE item < 6 EXCEPT SELECT 2 ORDER BY 1;
SELECT (SELECT count(*) FROM sale WHERE item = i.id) AS sales, (SELECT sum(quantity) FROM sale WHERE item = i.id AND region IS NULL) FROM item i WHERE id = 4;

-- Aggregates, windows, ORDER BY, DISTINCT, LIMIT.
SELECT region, count(*), count(region), min(quantity), max(quantity), round(avg(quantity), 3) FROM sale GROUP BY GROUPING SETS ((region), ()) ORDER BY region, count(*);
SELECT count(*) FILTER (WHERE quantity > 3), percentile_disc(0.5) WITHIN GROUP (ORDER BY quantity) FROM sale;
SELECT id, rank() OVER (PARTITION BY category ORDER BY price DESC), sum(price) OVER (ORDER BY id ROWS 1 PRECEDING) FROM item WHERE id <= 6 ORDER BY id;
SELECT DISTINCT region FROM sale ORDER BY region NULLS FIRST;
SELECT DISTINCT ON (category) category, id FROM item ORDER BY category, id DESC;
SELECT id, price FROM item ORDER BY price DESC, id LIMIT 3 OFFSET 2;
SELECT id FROM item ORDER BY id FETCH FIRST 2 ROWS WITH TIES;
SELECT string_agg(id::text, ',' ORDER BY id) FROM item WHERE category = 'tool';

-- No column at all, one column, the last column, the whole row.
SELECT count(*) FROM (SELECT FROM item) x;
SELECT 1 FROM item WHERE id <= 2;
SELECT price FROM item WHERE id = 30;
SELECT i FROM item i WHERE id = 1;
SELECT (i).*, i IS NULL FROM item i WHERE id = 2;
SELECT row_to_json(i) FROM item i WHERE id = 3;

-- Predicates, among them ones that are not monotone, and ones on NULL.
SELECT count(*) FROM sale WHERE item % 8 = 2;
SELECT count(*) FROM item WHERE id BETWEEN 10 AND 12 OR category LIKE 'b%k' AND price::text LIKE '%.50';
SELECT count(*) FROM sale WHERE region IS NULL;
SELECT count(*) FROM sale WHERE region IS DISTINCT FROM 'north';
SELECT count(*) FROM sale WHERE region <> 'north';
SELECT id FROM item WHERE id = ANY ('{1,3,99,NULL}') ORDER BY id;
SELECT id FROM item WHERE (id, category) IN ((1, 'tool'), (2, 'tool'), (2, 'book')) ORDER BY id;
SELECT id FROM item WHERE random() >= 0 AND id < 3 ORDER BY id;

-- System columns: every row has its own ctid, by which it is found again in the same transaction.
SELECT tableoid::regclass, count(*), count(DISTINCT ctid) FROM sale GROUP BY 1;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*), sum(s.item) FROM sale s, LATERAL (SELECT ctid AS c, item, quantity, region FROM sale x WHERE x.ctid = s.ctid) f
    WHERE (f.item, f.quantity, f.region) IS NOT DISTINCT FROM (s.item, s.quantity, s.region) AND s.quantity = 0;
SELECT ctid AS one FROM item WHERE id = 17 \gset
SELECT id FROM item WHERE ctid = :'one';
SELECT id FROM item WHERE ctid = ANY (ARRAY[:'one'::tid, :'one'::tid]);
SELECT count(*) FROM item WHERE ctid > :'one' OR ctid <= :'one';
COMMIT;
SELECT count(*) FROM item WHERE ctid = '(4294967294,1)';
-- The others either answer or say that there is no such thing here.
DO $$
DECLARE c text;
BEGIN
    FOREACH c IN ARRAY ARRAY['xmin', 'xmax', 'cmin', 'cmax'] LOOP
        BEGIN
            EXECUTE format('SELECT count(%I) FROM item', c);
        EXCEPTION WHEN feature_not_supported THEN NULL;
        END;
    END LOOP;
END $$;
SELECT count(*) FROM item;

-- Prepared statements with generic plans, rescans with parameters, parallel plans.
SET plan_cache_mode = force_generic_plan;
PREPARE by_id(int) AS SELECT category FROM item WHERE id = $1;
EXECUTE by_id(1);
EXECUTE by_id(99);
INSERT INTO item VALUES (99, 'new', 0);
EXECUTE by_id(99);
RESET plan_cache_mode;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT count(*), sum(quantity) FROM sale;
SET debug_parallel_query = on;
SELECT category, sum(quantity) FROM sale JOIN item ON id = item GROUP BY 1 ORDER BY 1;

SET client_min_messages = warning;
DROP SCHEMA test_select CASCADE;
