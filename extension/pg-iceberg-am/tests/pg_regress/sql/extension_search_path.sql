-- Operators of others, in a schema of the search path that CREATE EXTENSION runs with, got into the views, and ran with the
-- rights of whoever looked at them.
CREATE DATABASE regress_iceberg_search_path;
\set before :DBNAME
\c regress_iceberg_search_path
CREATE ROLE regress_iceberg_search_path;
GRANT CREATE ON SCHEMA public TO regress_iceberg_search_path;
SET ROLE regress_iceberg_search_path;
CREATE FUNCTION public.intrude(oid, int4) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'intruded as %', current_user; END $$;
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = int4, FUNCTION = public.intrude);
CREATE FUNCTION public.intrude(int8, numeric) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RAISE 'intruded as %', current_user; END $$;
CREATE OPERATOR public.+ (LEFTARG = int8, RIGHTARG = numeric, FUNCTION = public.intrude);
RESET ROLE;
SET search_path = public;
CREATE EXTENSION pg_iceberg_am;
CREATE TABLE t (id int) USING iceberg;
INSERT INTO t VALUES (1);
SELECT relation, row_count FROM lakebase.iceberg_tables;
SELECT relation FROM lakebase.upkeep;
-- No view depends on what is in schema public.
SELECT count(*) FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
  JOIN pg_class c ON c.oid = r.ev_class AND c.relnamespace = 'lakebase'::regnamespace
  JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND d.refobjid = o.oid
 WHERE o.oprnamespace = 'public'::regnamespace;

-- Nor do functions of the extension, or what follows ROLLBACK PREPARED, find them, though the database's owner sets the path.
CREATE FUNCTION public.intrude_text(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'intruded as %', current_user; END $$;
CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.intrude_text);
CREATE FUNCTION public.intrude_name(name, name) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'intruded as %', current_user; END $$;
CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = name, FUNCTION = public.intrude_name);
CREATE FUNCTION public.intrude_oid(oid, oid) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'intruded as %', current_user; END $$;
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = public.intrude_oid);
SET search_path = public, pg_catalog;
BEGIN;
INSERT INTO t VALUES (2);
PREPARE TRANSACTION 'regress_iceberg_search_path';
ROLLBACK PREPARED 'regress_iceberg_search_path';
BEGIN;
INSERT INTO t VALUES (3);
PREPARE TRANSACTION 'regress_iceberg_search_path';
COMMIT PREPARED 'regress_iceberg_search_path';
SELECT * FROM lakebase.remove_orphan_files(NULL);
SELECT * FROM t ORDER BY id;

\c :before
-- Of tables in a store it tells what is left there.
SET client_min_messages = warning;
DROP DATABASE regress_iceberg_search_path;
DROP ROLE regress_iceberg_search_path;
