-- local tables only: it has unlogged tables.
-- In a database that is not UTF-8, names of columns went into the metadata with every letter beyond ASCII replaced; two
-- that differed in nothing else made committed rows unreadable. Attributes of composite types ended in a panic.
SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_iceberg_names;
DROP DATABASE IF EXISTS regress_iceberg_names_ascii;
RESET client_min_messages;
SELECT current_database() AS home \gset
CREATE DATABASE regress_iceberg_names TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C';
-- The server's log stays UTF-8.
ALTER DATABASE regress_iceberg_names SET log_min_messages = panic;
\c regress_iceberg_names
SET client_encoding = 'UTF8';
CREATE EXTENSION pg_iceberg_am;
CREATE TABLE two ("é" int, "è" int) USING iceberg;
CREATE TABLE one (a int, "é" text) USING iceberg;
CREATE TYPE accented AS ("é" int, "è" int);
CREATE TABLE composite (a int, c accented[]) USING iceberg;
CREATE TABLE heap ("é" int, "è" int) USING heap;
CREATE TABLE copied USING iceberg AS TABLE heap;
CREATE MATERIALIZED VIEW viewed USING iceberg AS TABLE heap;
CREATE TABLE inherited () INHERITS (heap) USING iceberg;
ALTER TABLE heap SET ACCESS METHOD iceberg;
CREATE TABLE partitioned ("é" int) PARTITION BY LIST ("é");
CREATE TABLE partition PARTITION OF partitioned DEFAULT USING iceberg;
-- Names of tables are no part of the metadata.
CREATE TABLE "tè" (a int, b int) USING iceberg;
INSERT INTO "tè" VALUES (1, 2), (3, 4);
ALTER TABLE "tè" RENAME a TO "é";
ALTER TABLE "tè" RENAME a TO c;
UPDATE "tè" SET c = 5;
TABLE "tè";
-- Attributes of types in use, and columns of partitions, are renamed by other statements.
CREATE TYPE pair AS (x int, y int);
CREATE TABLE pairs (p pair) USING iceberg;
INSERT INTO pairs VALUES ((1, 2));
ALTER TYPE pair RENAME ATTRIBUTE x TO "é";
ALTER TYPE pair RENAME ATTRIBUTE x TO z;
CREATE TABLE plain (k int) PARTITION BY LIST (k);
CREATE TABLE plain_rest PARTITION OF plain DEFAULT USING iceberg;
ALTER TABLE plain RENAME k TO "é";
-- Types and tables that are not Iceberg are as they were.
ALTER TYPE accented RENAME ATTRIBUTE "é" TO "ê";
ALTER TABLE heap RENAME "é" TO "ê";
ALTER TABLE heap RENAME "ê" TO "é";
-- Tables that have such names, from before, stay what they are.
CREATE TABLE old (a int, b int) USING iceberg;
UPDATE pg_attribute SET attname = 'é' WHERE attrelid = 'old'::regclass AND attname = 'a';
\c -
SET client_encoding = 'UTF8';
INSERT INTO old VALUES (1, 2);
SELECT lakebase.publish('old') IS NOT NULL AS published;
ALTER TABLE old ALTER "é" SET NOT NULL;
ALTER TABLE old ALTER "é" SET STATISTICS 10;
VACUUM FULL old;
TABLE old;
TRUNCATE old;
INSERT INTO old VALUES (3, 4);
ALTER TABLE old SET UNLOGGED;
TABLE old;
ALTER TABLE old RENAME "é" TO "è";
ALTER TABLE old RENAME "é" TO e;
TABLE old;
TABLE pairs;
\c :home
DROP DATABASE regress_iceberg_names;
-- Where the encoding of names is not known.
CREATE DATABASE regress_iceberg_names_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C';
ALTER DATABASE regress_iceberg_names_ascii SET log_min_messages = panic;
\c regress_iceberg_names_ascii
CREATE EXTENSION pg_iceberg_am;
CREATE TABLE unknown ("é" int) USING iceberg;
CREATE TABLE known (e int) USING iceberg;
INSERT INTO known VALUES (1);
TABLE known;
\c :home
DROP DATABASE regress_iceberg_names_ascii;
