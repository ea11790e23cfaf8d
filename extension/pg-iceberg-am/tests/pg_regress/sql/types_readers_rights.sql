-- Reading a range over a domain checked the domain's constraints, with the rights of whoever read the table: so the
-- owner of a domain became a superuser when one dumped his table, and rows that a constraint NOT VALID excludes could
-- not be read.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_readers_rights CASCADE;
DROP ROLE IF EXISTS regress_types_owner;
CREATE SCHEMA test_readers_rights;
CREATE ROLE regress_types_owner NOSUPERUSER;
GRANT ALL ON SCHEMA test_readers_rights TO regress_types_owner;
RESET client_min_messages;
SET search_path = test_readers_rights;

-- What is there of a type that is a domain, or has one inside of it.
SET ROLE regress_types_owner;
CREATE DOMAIN number AS int;
CREATE DOMAIN numbers AS number[];
CREATE DOMAIN of_domain AS number;
CREATE TYPE r_domain AS RANGE (subtype = number, multirange_type_name = m_domain);
CREATE TYPE r_of_domain AS RANGE (subtype = of_domain);
CREATE TYPE r_array AS RANGE (subtype = number[]);
CREATE TYPE r_domain_array AS RANGE (subtype = numbers);
CREATE TYPE r_range AS RANGE (subtype = r_domain);
CREATE TYPE r_of_multi AS RANGE (subtype = m_domain);
CREATE DOMAIN d_range AS r_domain;
CREATE TYPE c_range AS (n int, r r_domain);
CREATE FUNCTION refused(type text) RETURNS TABLE (code text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE refused_type (c %s) USING iceberg', type);
    code := '00000'; message := 'was not refused';
    EXECUTE 'DROP TABLE refused_type';
    RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;
SELECT type, r.* FROM unnest(ARRAY['r_domain', 'm_domain', 'r_of_domain', 'r_array', 'r_domain_array', 'r_range', 'r_of_multi', 'd_range',
    'c_range', 'r_domain[]', 'd_range[]', 'c_range[]']) WITH ORDINALITY AS t(type, o), LATERAL refused(type) r ORDER BY o;
CREATE TABLE of_heap (r r_domain) USING heap;
INSERT INTO of_heap VALUES ('[1,5)');
ALTER TABLE of_heap SET ACCESS METHOD iceberg;
SELECT * FROM of_heap;

-- Everything else with a domain inside is read without its constraints, as from heap.
CREATE DOMAIN label AS text;
CREATE TYPE pair AS (n number, l label, ns numbers);
CREATE DOMAIN one_pair AS pair;
CREATE DOMAIN period AS int4range;
CREATE TABLE domains (
    n number, l label, o of_domain, ns number[], d numbers, ls label[], p pair, ps pair[], dp one_pair, dps one_pair[], t period, ts period[]
) USING iceberg;
INSERT INTO domains VALUES (1, 'a', 2, '{3,NULL}', '{4}', '{b}', '(5,c,"{6}")', '{"(7,d,{8})",NULL}', '(9,e,{10})', '{"(11,f,{12})"}', '[1,2)', '{empty}');
CREATE TABLE domains_heap (LIKE domains) USING heap;
INSERT INTO domains_heap TABLE domains;
CREATE FUNCTION evil(who text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
    RAISE 'a constraint of % runs as %', who, current_user;
END $$;
ALTER DOMAIN number ADD CHECK (evil('number')) NOT VALID;
ALTER DOMAIN numbers ADD CHECK (evil('numbers')) NOT VALID;
ALTER DOMAIN of_domain ADD CHECK (evil('of_domain')) NOT VALID;
ALTER DOMAIN label ADD CHECK (evil('label')) NOT VALID;
ALTER DOMAIN one_pair ADD CHECK (evil('one_pair')) NOT VALID;
ALTER DOMAIN period ADD CHECK (evil('period')) NOT VALID;
RESET ROLE;
TABLE domains;
COPY domains TO STDOUT;
ANALYZE domains;
VACUUM FULL domains;
(TABLE domains EXCEPT ALL TABLE domains_heap) UNION ALL (TABLE domains_heap EXCEPT ALL TABLE domains);
SELECT lakebase.publish('domains') IS NOT NULL AS published;
SELECT p, ps, t FROM domains;

-- A range's own functions are C functions, when the table is made and when it is read.
SET client_min_messages = warning;
CREATE TYPE days;
CREATE FUNCTION days_canonical(days) RETURNS days LANGUAGE internal IMMUTABLE STRICT AS 'int4range_canonical';
RESET client_min_messages;
CREATE TYPE days AS RANGE (subtype = int, canonical = days_canonical, multirange_type_name = days_multi);
ALTER TYPE days OWNER TO regress_types_owner;
ALTER FUNCTION days_canonical OWNER TO regress_types_owner;
SET ROLE regress_types_owner;
CREATE TABLE calendar (id int, d days, ds days[], m days_multi) USING iceberg;
INSERT INTO calendar VALUES (1, '[1,5]', '{"[1,1]"}', '{[1,2],[3,4]}');
TABLE calendar;
CREATE OR REPLACE FUNCTION days_canonical(days) RETURNS days LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    PERFORM test_readers_rights.evil('days');
    RETURN $1;
END $$;
RESET ROLE;
-- In a session that knows the table from before, and in a new one.
SELECT d FROM calendar;
SELECT ds FROM calendar;
SELECT m FROM calendar;
SELECT id FROM calendar;
\c -
SET search_path = test_readers_rights;
SELECT d FROM calendar;
COPY calendar TO STDOUT;
SELECT type, r.* FROM unnest(ARRAY['days', 'days_multi', 'days[]']) AS t(type), LATERAL refused(type) r;
-- So are those that compare what is inside of it.
CREATE FUNCTION compare(inet, inet) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS 'SELECT network_cmp($1, $2)';
CREATE OPERATOR CLASS compared FOR TYPE inet USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 compare(inet, inet);
CREATE TYPE networks AS RANGE (subtype = inet, subtype_opclass = compared);
CREATE TYPE networks_of_networks AS RANGE (subtype = networks);
SELECT type, r.* FROM unnest(ARRAY['networks', 'networks[]', 'networks_of_networks']) AS t(type), LATERAL refused(type) r;

SET client_min_messages = warning;
DROP SCHEMA test_readers_rights CASCADE;
DROP ROLE regress_types_owner;
