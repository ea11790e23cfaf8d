-- Iceberg strings are UTF-8: in a database of another encoding columns of text are refused.
SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_iceberg_latin1;
RESET client_min_messages;
SELECT current_database() AS home \gset
CREATE DATABASE regress_iceberg_latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_iceberg_latin1
CREATE EXTENSION pg_iceberg_am;
CREATE TABLE texts (id int, t text) USING iceberg;
CREATE TABLE nested (id int, t varchar(5)[]) USING iceberg;
CREATE TABLE numbers (id int, n numeric(8, 2), b bytea, d date, u uuid) USING iceberg;
-- Text forms are strings as well; numbers in place of types that Iceberg has not are none.
CREATE TABLE spans (id int, i interval) USING iceberg;
CREATE TABLE unconstrained (n numeric, o oid) USING iceberg;
INSERT INTO unconstrained VALUES (1.50, 1);
TABLE unconstrained;
SET pg_iceberg_am.unconstrained_numeric = text;
CREATE TABLE unconstrained_texts (n numeric) USING iceberg;
RESET pg_iceberg_am.unconstrained_numeric;
DROP TABLE unconstrained;
INSERT INTO numbers VALUES (1, 1.5, '\xff', '2024-01-01', '00112233-4455-6677-8899-aabbccddeeff');
SELECT id, n, b, u FROM numbers;
SELECT count(*) FROM lakebase.iceberg_tables;
SELECT lakebase.publish('numbers') IS NOT NULL AS published;
SELECT count(*) FROM lakebase.iceberg_files('numbers');
\c :home
-- Of tables in a store it tells what is left there.
SET client_min_messages = warning;
DROP DATABASE regress_iceberg_latin1;
