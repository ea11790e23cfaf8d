-- Names of tables and columns, whatever they are.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_names CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_names;
SET search_path = test_names;

CREATE TABLE "Upper Case" ("Column One" int, "two" text) USING iceberg;
INSERT INTO "Upper Case" VALUES (1, 'x');
INSERT INTO "Upper Case" ("two", "Column One") VALUES ('y', 2);
SELECT "Column One", two FROM "Upper Case" ORDER BY 1;
CREATE TABLE "quo""te's; DROP TABLE x; --" ("a""b" int, "c'd" int, "e\f" int, "g/h" int, "i.j" int, "k%l" int, "m$n" int) USING iceberg;
INSERT INTO "quo""te's; DROP TABLE x; --" VALUES (1, 2, 3, 4, 5, 6, 7);
SELECT * FROM "quo""te's; DROP TABLE x; --";
SELECT "i.j", "a""b" FROM "quo""te's; DROP TABLE x; --";
CREATE TABLE "größe 表 😀" ("naïve" int, "列" text, "😀" date) USING iceberg;
INSERT INTO "größe 表 😀" VALUES (1, '値', '2024-01-01');
SELECT "naïve", "列", "😀" IS NOT NULL AS face FROM "größe 表 😀";
-- 63 bytes, of one byte each and of several.
CREATE TABLE a23456789012345678901234567890123456789012345678901234567890123 (c23456789012345678901234567890123456789012345678901234567890123 int) USING iceberg;
INSERT INTO a23456789012345678901234567890123456789012345678901234567890123 VALUES (63);
SELECT c23456789012345678901234567890123456789012345678901234567890123 AS c FROM a23456789012345678901234567890123456789012345678901234567890123;
CREATE TABLE "漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢" ("漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢" int) USING iceberg;
INSERT INTO "漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢" VALUES (21);
SELECT "漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢" AS c FROM "漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢漢";

-- Names that mean something to SQL, Parquet or Iceberg; that begin with a digit, a blank; white space.
CREATE TABLE "select" ("from" int, list int[], element int, "key" int, "value" int, array_element int, schema int, "1st" int, " " int, "a	b" int, _row_id int, "_file" int)
    USING iceberg;
INSERT INTO "select" VALUES (1, '{2}', 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
SELECT "from", list, element, "1st", " ", "a	b", _row_id, _file FROM "select";
CREATE TYPE "odd type" AS ("a.b" int, "C" text, "a" int);
CREATE TABLE odd (s "odd type", "s.a" int, a "odd type"[]) USING iceberg;
INSERT INTO odd VALUES ((1, 'c', 2), 3, ARRAY[(4, 'd', 5)::"odd type"]);
SELECT s, (s)."a.b", (s)."C", (s).a, "s.a", (a[1])."a.b" FROM odd;
-- Columns that differ in case only.
CREATE TABLE cases ("id" int, "ID" int, "Id" text) USING iceberg;
INSERT INTO cases VALUES (1, 2, 'three');
INSERT INTO cases ("Id", "ID") VALUES ('six', 5);
SELECT "ID", id, "Id" FROM cases ORDER BY 1;

-- Schemas; the same name twice; renames there and back.
CREATE SCHEMA "Test Names.x";
CREATE TABLE "Test Names.x".odd (id int) USING iceberg;
INSERT INTO "Test Names.x".odd VALUES (7);
SELECT * FROM "Test Names.x".odd;
ALTER TABLE "Test Names.x".odd RENAME TO "ö";
ALTER SCHEMA "Test Names.x" RENAME TO "Test Names y";
INSERT INTO "Test Names y"."ö" VALUES (8);
SELECT sum(id) FROM "Test Names y"."ö";
DROP SCHEMA "Test Names y" CASCADE;
ALTER TABLE "select" RENAME TO "Upper case";
SELECT count(*) FROM "Upper case";
ALTER TABLE "Upper Case" RENAME TO "select";
SELECT count(*) FROM "select";
-- Column lists: in part, in another order, twice the same, and in COPY.
CREATE TABLE three (a int, b int DEFAULT 20, c int) USING iceberg;
INSERT INTO three (c, a) VALUES (3, 1);
INSERT INTO three (b) VALUES (2), (DEFAULT);
INSERT INTO three (a, a) VALUES (1, 1);
COPY three (c, b) FROM stdin;
33	22
\.
SELECT * FROM three ORDER BY b, c;

SET client_min_messages = warning;
DROP SCHEMA test_names CASCADE;
