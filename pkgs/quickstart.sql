\set QUIET on
SET client_min_messages = warning;
CREATE TABLE IF NOT EXISTS orders (id bigint, customer text, total numeric(12,2), placed date) USING iceberg;
INSERT INTO orders
    SELECT g, 'customer ' || g % 100, g * 1.5, date '2026-01-01' + g % 365
    FROM generate_series(1, 100000) g
    WHERE NOT EXISTS (SELECT FROM orders);
SELECT lakebase.publish('orders') AS metadata_file \gset
\set QUIET off

\echo 'The orders of January:'
SELECT count(*), sum(total) FROM orders WHERE placed < '2026-02-01';
\echo 'What the table consists of:'
SELECT relation, row_count, file_count, pg_size_pretty(total_bytes) AS size FROM lakebase.iceberg_tables;
\echo 'Other engines open it by its metadata file:'
\echo :metadata_file
