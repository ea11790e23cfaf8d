-- Views, comments, privileges and row-level security.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_views_and_rights CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_views_and_rights;
SET search_path = test_views_and_rights;

SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_iceberg_reader;
DROP ROLE IF EXISTS regress_iceberg_writer;
RESET client_min_messages;
CREATE ROLE regress_iceberg_reader;
CREATE ROLE regress_iceberg_writer;
GRANT USAGE ON SCHEMA test_views_and_rights TO regress_iceberg_reader, regress_iceberg_writer;
CREATE TABLE t (id int, owner text, secret text, n int) USING iceberg;
INSERT INTO t VALUES (1, 'regress_iceberg_reader', 's1', 10), (2, 'regress_iceberg_writer', 's2', 20), (3, NULL, 's3', 30);

-- Views: plain, security barrier, security invoker, with check option, recursive.
CREATE VIEW v AS SELECT id, n FROM t WHERE n > 10;
CREATE VIEW barrier WITH (security_barrier) AS SELECT id, secret FROM t WHERE owner IS NOT NULL;
CREATE VIEW invoker WITH (security_invoker) AS SELECT * FROM t;
CREATE VIEW renamed (a, b) AS SELECT n, id FROM t;
INSERT INTO v VALUES (4, 40);
INSERT INTO renamed (b, a) VALUES (5, 50);
SELECT * FROM v ORDER BY id;
SELECT * FROM barrier ORDER BY id;
SELECT sum(a) FROM renamed;
CREATE OR REPLACE VIEW v AS SELECT id, n, secret FROM t WHERE n > 20;
SELECT * FROM v ORDER BY id;
SELECT pg_get_viewdef('v'::regclass);

COMMENT ON TABLE t IS 'kept in Parquet';
COMMENT ON COLUMN t.secret IS 'do not tell';
SELECT obj_description('t'::regclass), col_description('t'::regclass, 3);

-- Privileges on table and columns.
SET ROLE regress_iceberg_reader;
SELECT count(*) FROM t;
INSERT INTO t VALUES (9);
RESET ROLE;
GRANT SELECT (id, n) ON t TO regress_iceberg_reader;
GRANT SELECT ON v, invoker TO regress_iceberg_reader;
GRANT INSERT (id, n), SELECT (id) ON t TO regress_iceberg_writer;
SET ROLE regress_iceberg_reader;
SELECT sum(n) FROM t WHERE id < 3;
SELECT secret FROM t;
SELECT * FROM t;
SELECT secret FROM v WHERE id = 3;
SELECT secret FROM invoker;
COPY t (id, n) TO stdout;
COPY t TO stdout;
RESET ROLE;
SET ROLE regress_iceberg_writer;
INSERT INTO t (id, n) VALUES (6, 60) RETURNING id;
INSERT INTO t (id, n) VALUES (7, 70) RETURNING n;
INSERT INTO t (id, secret) VALUES (8, 'x');
COPY t (id, n) FROM stdin;
8	80
\.
RESET ROLE;
SELECT id, n FROM t WHERE id > 5 ORDER BY id;
SELECT has_table_privilege('regress_iceberg_reader', 't', 'SELECT') AS whole, has_column_privilege('regress_iceberg_reader', 't', 'n', 'SELECT') AS one;

-- Row-level security.
GRANT SELECT, INSERT ON t TO regress_iceberg_reader, regress_iceberg_writer;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
SET ROLE regress_iceberg_reader;
SELECT count(*) FROM t;
RESET ROLE;
CREATE POLICY own_rows ON t FOR SELECT USING (owner = current_user);
CREATE POLICY own_inserts ON t FOR INSERT WITH CHECK (owner = current_user AND n > 0);
SET ROLE regress_iceberg_reader;
SELECT id, secret FROM t;
INSERT INTO t VALUES (10, 'regress_iceberg_reader', 's10', 1) RETURNING id;
INSERT INTO t VALUES (11, 'regress_iceberg_writer', 's11', 1);
INSERT INTO t VALUES (12, 'regress_iceberg_reader', 's12', -1);
COPY t FROM stdin;
13	regress_iceberg_reader	s13	1
\.
COPY t (id) TO stdout;
SELECT count(*) FROM t a JOIN t b USING (id);
SET row_security = off;
SELECT count(*) FROM t;
RESET row_security;
RESET ROLE;
SELECT count(*) FROM t;
ALTER TABLE t FORCE ROW LEVEL SECURITY;
ALTER TABLE t DISABLE ROW LEVEL SECURITY;

-- Security labels aside, default privileges and ownership.
ALTER DEFAULT PRIVILEGES IN SCHEMA test_views_and_rights GRANT SELECT ON TABLES TO regress_iceberg_reader;
CREATE TABLE granted (id int) USING iceberg;
INSERT INTO granted VALUES (1);
SET ROLE regress_iceberg_reader;
SELECT * FROM granted;
RESET ROLE;
REVOKE ALL ON t, granted FROM regress_iceberg_reader;
SET ROLE regress_iceberg_reader;
SELECT * FROM granted;
RESET ROLE;
DROP OWNED BY regress_iceberg_reader, regress_iceberg_writer;
DROP ROLE regress_iceberg_reader, regress_iceberg_writer;

SET client_min_messages = warning;
DROP SCHEMA test_views_and_rights CASCADE;
