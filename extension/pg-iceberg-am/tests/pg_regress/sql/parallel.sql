-- Parallel workers see what their leader's transaction has done to Iceberg tables, and no more.
CREATE TABLE base (id int, note text) USING heap;
INSERT INTO base SELECT g, 'note ' || g FROM generate_series(1, 20000) g;
CREATE TABLE seen (id int, note text) USING iceberg;
INSERT INTO seen SELECT g, 'old' FROM generate_series(1, 100) g;
CREATE TABLE other (id int) USING iceberg;
ANALYZE base, seen, other;
-- Every query runs in a worker.
SET debug_parallel_query = on;
CREATE FUNCTION is_worker() RETURNS bool LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT pg_backend_pid() <> current_setting('test.leader')::int $$;
SELECT set_config('test.leader', pg_backend_pid()::text, false) IS NOT NULL AS set;
SELECT is_worker(), count(*) FROM seen;
BEGIN;
INSERT INTO seen VALUES (101, 'new');
SELECT is_worker(), count(*), max(note COLLATE "C"), sum(id) FROM seen;
-- What is rolled back.
SAVEPOINT s;
INSERT INTO seen SELECT g, 'gone' FROM generate_series(102, 110) g;
SELECT is_worker(), count(*) FROM seen;
ROLLBACK TO s;
SELECT is_worker(), count(*), count(*) FILTER (WHERE note = 'gone') AS gone FROM seen;
-- More than is kept in memory.
INSERT INTO seen SELECT g, 'many' FROM generate_series(1000, 80999) g;
SELECT is_worker(), count(*), sum(id) FROM seen WHERE id >= 1000;
SAVEPOINT s;
INSERT INTO seen SELECT g, 'many' FROM generate_series(100001, 170000) g;
INSERT INTO seen VALUES (5, NULL);
SELECT is_worker(), count(*), count(note), sum(id) FROM seen;
RELEASE s;
SELECT is_worker(), count(*), count(note), sum(id) FROM seen;
-- A table made and one emptied by this transaction.
CREATE TABLE fresh (id int, tags text[]) USING iceberg;
INSERT INTO fresh VALUES (1, '{a,b}'), (2, NULL);
SELECT is_worker(), count(*), max(tags[2]) FROM fresh;
TRUNCATE other;
INSERT INTO other VALUES (7);
SELECT is_worker(), array_agg(id) FROM other;
-- Functions in workers.
CREATE FUNCTION seen_rows() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT count(*) FROM seen $$;
SELECT is_worker(), seen_rows();
-- A statement does not see what it adds itself, whoever reads.
INSERT INTO seen SELECT id + 1000000, note FROM seen WHERE id < 200;
SELECT is_worker(), count(*) FROM seen WHERE id > 1000000;
COMMIT;
SELECT is_worker(), count(*), count(note), sum(id) FROM seen;
-- Several workers, a join with a heap table.
SET debug_parallel_query = off;
SET parallel_setup_cost = 0;
SET min_parallel_table_scan_size = 0;
SET enable_mergejoin = off;
-- So that the filter on base is worth having workers, and rows stay with them.
SET cpu_operator_cost = 1;
SET parallel_tuple_cost = 1000;
BEGIN;
INSERT INTO other SELECT g * 3 FROM generate_series(1, 3000) g;
EXPLAIN (COSTS OFF) SELECT count(*), sum(base.id) FROM base JOIN other USING (id) WHERE length(md5(note)) = 32;
SELECT count(*), sum(base.id) FROM base JOIN other USING (id) WHERE length(md5(note)) = 32;
SELECT count(*), sum(id) FROM base WHERE EXISTS (SELECT FROM other WHERE other.id = base.id);
-- A query within a query, in a function that changes something in between.
CREATE FUNCTION grow(n int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE found bigint;
BEGIN
    INSERT INTO other VALUES (n);
    SELECT count(*) INTO found FROM base JOIN other USING (id) WHERE length(md5(note)) = 32;
    RETURN found;
END $$;
SELECT n, grow(n) FROM generate_series(1, 5) n;
SELECT count(*) FROM base JOIN other USING (id);
-- An error in the middle, and on.
SAVEPOINT s;
SELECT count(*) FROM base JOIN other USING (id) WHERE 1 / (base.id - 9) > -1;
ROLLBACK TO s;
SELECT count(*) FROM base JOIN other USING (id);
ROLLBACK;
SELECT count(*) FROM base JOIN other USING (id);
DROP FUNCTION seen_rows, is_worker;
DROP TABLE base, seen, other, fresh;
