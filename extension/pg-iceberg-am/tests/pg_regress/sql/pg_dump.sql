-- local tables only: a dump tells tablespaces.
-- pg_dump and pg_restore carry Iceberg tables with their rows and their access method.
SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_iceberg_dumped;
DROP DATABASE IF EXISTS regress_iceberg_restored;
RESET client_min_messages;
SELECT current_database() AS home \gset
SELECT setting AS bindir FROM pg_config WHERE name = 'BINDIR' \gset
CREATE DATABASE regress_iceberg_dumped TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_iceberg_dumped
CREATE EXTENSION pg_iceberg_am;
CREATE TYPE pair AS (a int, b text);
CREATE TABLE plain (id int NOT NULL, name text DEFAULT 'x' CHECK (name <> ''), p pair, tags text[], twice int GENERATED ALWAYS AS (id * 2) STORED) USING iceberg;
INSERT INTO plain (id, name, p, tags) SELECT g, 'row ' || g, (g, 'p')::pair, ARRAY['t', NULL] FROM generate_series(1, 1000) g;
INSERT INTO plain (id, name) VALUES (1001, NULL), (1002, E'tab\t"quote" ''single''\\');
CREATE TABLE parted (id int, k text) PARTITION BY LIST (k);
CREATE TABLE parted_ice PARTITION OF parted FOR VALUES IN ('i') USING iceberg;
CREATE TABLE parted_heap PARTITION OF parted FOR VALUES IN ('h') USING heap;
INSERT INTO parted VALUES (1, 'i'), (2, 'h'), (3, 'i');
CREATE MATERIALIZED VIEW m USING iceberg AS SELECT count(*) AS n FROM plain;
CREATE MATERIALIZED VIEW m_empty USING iceberg AS SELECT 1 AS one WITH NO DATA;
CREATE TABLE customers (id int PRIMARY KEY) USING heap;
INSERT INTO customers VALUES (1);
CREATE TABLE orders (customer int REFERENCES customers) USING iceberg;
INSERT INTO orders VALUES (1), (NULL);
CREATE UNLOGGED TABLE unlogged (id int) USING iceberg;
INSERT INTO unlogged VALUES (1);
CREATE TYPE mood AS ENUM ('sad', 'it''s ok');
CREATE TABLE forms (id int, n numeric, m mood, i interval, r tstzrange, ms mood[], t timetz) USING iceberg;
INSERT INTO forms SELECT g, g / 8.0, CASE WHEN g % 2 = 0 THEN 'it''s ok' ELSE 'sad' END::mood, g * interval '1 hour', tstzrange('2024-01-01 00:00+00', '2024-01-01 00:00+00'::timestamptz + g * interval '1 day'),
    ARRAY['sad', NULL]::mood[], '12:00+05:45' FROM generate_series(1, 100) g;
CREATE TABLE "Odd ""name""" ("a b" int) USING iceberg;
INSERT INTO "Odd ""name""" VALUES (7);
COMMENT ON TABLE plain IS 'commented';
ALTER TABLE plain SET ("history.expire.max-snapshot-age-ms" = 86400000, fillfactor = 70, "write.note" = 'it''s, "so"');

-- Of a plain dump, what tells of access methods.
\set dump `:bindir/pg_dump --schema-only regress_iceberg_dumped | grep -c 'default_table_access_method = iceberg'`
SELECT :dump > 0 AS names_the_access_method;
\set dump `:bindir/pg_dump regress_iceberg_dumped | grep -c 'iceberg_pointer'`
SELECT :dump AS lines_about_the_extensions_own_table;

CREATE VIEW methods AS SELECT c.relname, a.amname, c.relpersistence FROM pg_class c JOIN pg_am a ON a.oid = c.relam
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'm', 'p') ORDER BY 1;
CREATE VIEW contents AS SELECT (SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM plain t) AS plain, (SELECT string_agg(t::text, ' ' ORDER BY id) FROM parted t) AS parted,
    (SELECT n FROM m) AS m, (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM unlogged) AS unlogged, (SELECT "a b" FROM "Odd ""name""") AS odd,
    (SELECT md5(string_agg(f::text, '|' ORDER BY id)) FROM forms f) AS forms;
TABLE methods;
SELECT plain AS plain_before, forms AS forms_before FROM contents \gset
SELECT parted, m, orders, unlogged, odd FROM contents;

-- By pg_restore from the custom format, in one transaction.
\c :home
CREATE DATABASE regress_iceberg_restored TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
\set trouble `(:bindir/pg_dump --format=custom regress_iceberg_dumped | :bindir/pg_restore --exit-on-error --single-transaction --dbname=regress_iceberg_restored) 2>&1`
\echo :trouble
\c regress_iceberg_restored
TABLE methods;
SELECT unnest(reloptions) AS option FROM pg_class WHERE oid = 'plain'::regclass ORDER BY 1;
SELECT plain = :'plain_before' AS same_rows, forms = :'forms_before' AS same_forms, parted, m, orders, unlogged, odd FROM contents;
SELECT obj_description('plain'::regclass);
INSERT INTO plain (id) VALUES (2000) RETURNING name, twice;
INSERT INTO orders VALUES (2);
\c :home
DROP DATABASE regress_iceberg_restored;

-- By psql from INSERT statements.
CREATE DATABASE regress_iceberg_restored TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
\set trouble `(:bindir/pg_dump --rows-per-insert=100 regress_iceberg_dumped | :bindir/psql -X -q -o /dev/null --set ON_ERROR_STOP=1 --dbname=regress_iceberg_restored) 2>&1`
\echo :trouble
\c regress_iceberg_restored
SELECT plain = :'plain_before' AS same_rows, forms = :'forms_before' AS same_forms, parted, m, orders, unlogged, odd FROM contents;
\c :home
DROP DATABASE regress_iceberg_restored;

-- Without the access method they become heap tables, which have no options of Iceberg's; the rows alone go into tables that are there.
\c regress_iceberg_dumped
ALTER TABLE plain RESET ("history.expire.max-snapshot-age-ms", "write.note");
\c :home
CREATE DATABASE regress_iceberg_restored TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
\set trouble `(:bindir/pg_dump --no-table-access-method regress_iceberg_dumped | :bindir/psql -X -q -o /dev/null --set ON_ERROR_STOP=1 --dbname=regress_iceberg_restored) 2>&1`
\echo :trouble
\c regress_iceberg_restored
TABLE methods;
SELECT plain = :'plain_before' AS same_rows FROM contents;
TRUNCATE plain;
ALTER TABLE plain SET ACCESS METHOD iceberg;
\set trouble `(:bindir/pg_dump --data-only --table=plain regress_iceberg_dumped | :bindir/psql -X -q -o /dev/null --set ON_ERROR_STOP=1 --dbname=regress_iceberg_restored) 2>&1`
\echo :trouble
SELECT plain = :'plain_before' AS same_rows FROM contents;
\c :home
DROP DATABASE regress_iceberg_restored;
DROP DATABASE regress_iceberg_dumped;
