-- Every statement that Iceberg tables do not have is refused with 0A000 and a hint, and changes nothing.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_unsupported CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_unsupported;
SET search_path = test_unsupported;

CREATE TYPE pair AS (a int, b text);
CREATE TABLE t (id int, name text, n numeric(8, 2), p pair) USING iceberg;
INSERT INTO t VALUES (1, 'one', 1, (1, 'x')), (2, 'two', 2, NULL), (3, NULL, NULL, (NULL, NULL));
CREATE TABLE h (id int PRIMARY KEY, name text) USING heap;
INSERT INTO h VALUES (1, 'heap one'), (9, 'heap nine');
CREATE VIEW v AS SELECT id, name, n FROM t WHERE id > 0;
CREATE MATERIALIZED VIEW m USING iceberg AS SELECT id, name FROM t;
CREATE TABLE parted (id int, k text) PARTITION BY LIST (k);
CREATE TABLE parted_ice PARTITION OF parted FOR VALUES IN ('i') USING iceberg;
CREATE TABLE parted_heap PARTITION OF parted FOR VALUES IN ('h') USING heap;
INSERT INTO parted VALUES (1, 'i'), (2, 'h');
CREATE TABLE parent (id int, name text) USING heap;
CREATE TABLE child () INHERITS (parent) USING iceberg;
INSERT INTO parent VALUES (1, 'parent');
INSERT INTO child VALUES (2, 'child');
CREATE TABLE with_key (id int PRIMARY KEY, k text) USING heap;
CREATE TABLE parted_key (id int, k text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
CREATE TABLE parted_index (id int, k text) PARTITION BY LIST (k);
CREATE INDEX parted_index_id ON parted_index (id);
CREATE TABLE to_attach (id int NOT NULL, k text NOT NULL) USING iceberg;
CREATE TYPE shape AS (a int, b text);
CREATE TABLE typed OF shape USING iceberg;
CREATE TABLE arrays (ps pair[]) USING iceberg;
CREATE TABLE referred (id int PRIMARY KEY) USING heap;
INSERT INTO referred VALUES (1), (2);
CREATE TABLE cascading (id int REFERENCES referred ON DELETE CASCADE ON UPDATE SET NULL) USING iceberg;
INSERT INTO cascading VALUES (1);

-- Everything that a statement could have changed.
CREATE FUNCTION fingerprint() RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT md5(concat_ws('|',
        (SELECT string_agg(t::text, ',' ORDER BY t::text) FROM t), (SELECT string_agg(m::text, ',' ORDER BY m::text) FROM m),
        (SELECT string_agg(h::text, ',' ORDER BY h::text) FROM h), (SELECT string_agg(x::text, ',' ORDER BY x::text) FROM parted x),
        (SELECT string_agg(x::text, ',' ORDER BY x::text) FROM parent x), (SELECT string_agg(id::text, ',' ORDER BY id) FROM cascading),
        (SELECT string_agg(id::text, ',' ORDER BY id) FROM referred),
        (SELECT string_agg(format('%s.%s %s %s %s', attrelid::regclass, attname, atttypid, atttypmod, attnotnull), ',' ORDER BY attrelid, attnum)
            FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'test_unsupported'::regnamespace),
        (SELECT string_agg(format('%s %s %s %s', relname, relkind, relam, relhasindex), ',' ORDER BY relname) FROM pg_class WHERE relnamespace = 'test_unsupported'::regnamespace),
        (SELECT string_agg(format('%s %s', conname, contype), ',' ORDER BY conrelid, conname) FROM pg_constraint WHERE connamespace = 'test_unsupported'::regnamespace),
        (SELECT count(*) FROM pg_inherits)))
$$;

CREATE TABLE statements (o int GENERATED ALWAYS AS IDENTITY, statement text) USING heap;
INSERT INTO statements (statement) VALUES
-- Indexes and what needs them.
('CREATE INDEX ON t (id)'), ('CREATE UNIQUE INDEX named ON t (id)'), ('CREATE INDEX ON t USING hash (id)'), ('CREATE INDEX ON t USING brin (id)'), ('CREATE INDEX ON t USING gin (to_tsvector(''english'', name))'),
('CREATE INDEX ON t (lower(name)) WHERE id > 1'), ('CREATE INDEX IF NOT EXISTS new_one ON t (id)'), ('CREATE INDEX ON m (id)'), ('CREATE UNIQUE INDEX ON m (id)'), ('CREATE INDEX ON parted (id)'), ('CREATE INDEX ON parted_ice (id)'),
('ALTER TABLE t ADD PRIMARY KEY (id)'), ('ALTER TABLE t ADD UNIQUE (id)'), ('ALTER TABLE t ADD CONSTRAINT x UNIQUE NULLS NOT DISTINCT (id, name)'), ('ALTER TABLE t ADD EXCLUDE (id WITH =)'), ('ALTER TABLE parted ADD PRIMARY KEY (id, k)'),
('CREATE TABLE made (id int PRIMARY KEY) USING iceberg'), ('CREATE TABLE made (id int UNIQUE) USING iceberg'), ('CREATE TABLE made (id int, EXCLUDE USING btree (id WITH =)) USING iceberg'),
('CREATE TABLE made (id int, CONSTRAINT k PRIMARY KEY (id) DEFERRABLE) USING iceberg'), ('CREATE TABLE made (LIKE with_key INCLUDING ALL) USING iceberg'), ('CREATE TABLE made (LIKE with_key INCLUDING INDEXES) USING iceberg'),
('CREATE TABLE made PARTITION OF parted_key FOR VALUES IN (''a'') USING iceberg'), ('CREATE TABLE made PARTITION OF parted_index FOR VALUES IN (''a'') USING iceberg'),
('ALTER TABLE parted_key ATTACH PARTITION to_attach FOR VALUES IN (''b'')'), ('ALTER TABLE parted_index ATTACH PARTITION to_attach FOR VALUES IN (''b'')'), ('ALTER TABLE with_key SET ACCESS METHOD iceberg'),
('CREATE TEMPORARY TABLE made (id int PRIMARY KEY) USING iceberg'), ('CREATE UNLOGGED TABLE made (id int UNIQUE) USING iceberg'),
('CLUSTER t'), ('CLUSTER t USING with_key_pkey'), ('ALTER TABLE t CLUSTER ON with_key_pkey'),
-- Columns.
('ALTER TABLE t ADD COLUMN c int UNIQUE'), ('ALTER TABLE t ADD COLUMN c money'), ('ALTER TABLE to_attach ALTER COLUMN k TYPE money USING 1::money'),
('ALTER TYPE pair ADD ATTRIBUTE c int');

SELECT fingerprint() AS before, pg_postmaster_start_time() AS started, pg_backend_pid() AS pid \gset
-- Nothing is printed for a statement that is refused as it should be.
DO $$
DECLARE s record; code text; message text; hint text; before text := fingerprint();
BEGIN
    FOR s IN SELECT * FROM statements ORDER BY o LOOP
        BEGIN
            EXECUTE s.statement;
            RAISE EXCEPTION 'was not refused' USING ERRCODE = 'ZZ000';
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
            IF code <> '0A000' OR hint = '' THEN RAISE WARNING '%: % % (hint: %)', s.statement, code, message, hint; END IF;
        END;
        IF fingerprint() <> before THEN RAISE WARNING '%: something has changed', s.statement; END IF;
    END LOOP;
END $$;
SELECT count(*) FROM statements;
SELECT fingerprint() = :'before' AS unchanged, pg_postmaster_start_time() = :'started' AS still_up, pg_backend_pid() = :pid AS same_session;

SET client_min_messages = warning;
DROP SCHEMA test_unsupported CASCADE;
