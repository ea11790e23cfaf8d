-- Foreign keys of Iceberg tables into heap tables: what is done to the key is done to the rows that refer to it.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_dml_foreign_keys CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_dml_foreign_keys;
SET search_path = test_dml_foreign_keys;

\getenv abs_srcdir PG_ABS_SRCDIR
\set both :abs_srcdir '/include/on_heap_and_iceberg.sql'
\i :both
CREATE TABLE log (seq int GENERATED ALWAYS AS IDENTITY, tab text, line text) USING heap;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (tab, line) VALUES (TG_TABLE_NAME, concat_ws(' ', TG_NAME, TG_OP, CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'INSERT' THEN OLD::text END, CASE WHEN TG_LEVEL = 'ROW' AND TG_OP <> 'DELETE' THEN NEW::text END));
    RETURN coalesce(NEW, OLD);
END $$;
-- What has been noted since, the same for both kinds.
CREATE FUNCTION noted() RETURNS text LANGUAGE plpgsql AS $$
DECLARE heap text; iceberg text;
BEGIN
    SELECT string_agg(line, '; ' ORDER BY seq) INTO heap FROM log WHERE tab LIKE '%heap';
    SELECT string_agg(line, '; ' ORDER BY seq) INTO iceberg FROM log WHERE tab LIKE '%iceberg';
    DELETE FROM log;
    RETURN CASE WHEN heap IS NOT DISTINCT FROM iceberg THEN heap ELSE format('heap: %s; iceberg: %s', heap, iceberg) END;
END $$;

CREATE TABLE pk_heap (id int PRIMARY KEY, note text) USING heap;
CREATE TABLE pk_iceberg (id int PRIMARY KEY, note text) USING heap;
SELECT run('INSERT INTO pk_AM SELECT g, ''k'' || g FROM generate_series(0, 20) g');
SELECT run('CREATE TABLE cascading_AM (id int, k int REFERENCES pk_AM ON DELETE CASCADE ON UPDATE CASCADE) USING AM'), run('CREATE TABLE nulling_AM (id int, k int REFERENCES pk_AM ON DELETE SET NULL ON UPDATE SET NULL) USING AM'), run('CREATE TABLE defaulting_AM (id int, k int DEFAULT 0 REFERENCES pk_AM ON DELETE SET DEFAULT ON UPDATE SET DEFAULT) USING AM'), run('CREATE TABLE restricting_AM (id int, k int REFERENCES pk_AM ON DELETE RESTRICT ON UPDATE RESTRICT) USING AM'), run('CREATE TABLE noaction_AM (id int, k int REFERENCES pk_AM DEFERRABLE INITIALLY DEFERRED) USING AM');
SELECT run('INSERT INTO cascading_AM VALUES (1, 1), (2, 1), (3, 2), (4, NULL)'), run('INSERT INTO nulling_AM VALUES (1, 3), (2, 3), (3, 4)'), run('INSERT INTO defaulting_AM VALUES (1, 5), (2, 6)'), run('INSERT INTO restricting_AM VALUES (1, 7)'), run('INSERT INTO noaction_AM VALUES (1, 8), (2, 9)');
SELECT run('DELETE FROM pk_AM WHERE id = 1'), rows_of('cascading'), run('UPDATE pk_AM SET id = 102 WHERE id = 2'), rows_of('cascading'), run('UPDATE pk_AM SET note = ''other'' WHERE id = 102'), rows_of('cascading');
SELECT run('DELETE FROM pk_AM WHERE id = 3'), rows_of('nulling'), run('UPDATE pk_AM SET id = 104 WHERE id = 4'), rows_of('nulling');
SELECT run('DELETE FROM pk_AM WHERE id = 5'), rows_of('defaulting'), run('UPDATE pk_AM SET id = 106 WHERE id = 6'), rows_of('defaulting'), run('DELETE FROM pk_AM WHERE id = 0');
SELECT run('DELETE FROM pk_AM WHERE id = 7'), run('UPDATE pk_AM SET id = 107 WHERE id = 7'), run('DELETE FROM restricting_AM'), run('DELETE FROM pk_AM WHERE id = 7');
-- Rows that refer are changed themselves.
SELECT run('UPDATE cascading_AM SET k = 12 WHERE id = 3'), run('UPDATE cascading_AM SET k = 999'), run('UPDATE cascading_AM SET k = NULL WHERE id = 3'), run('UPDATE cascading_AM SET id = 40 WHERE id = 4'), run('DELETE FROM pk_AM WHERE id = 12'), rows_of('cascading');
SELECT run('MERGE INTO cascading_AM c USING pk_AM p ON c.k = p.id WHEN NOT MATCHED AND p.id BETWEEN 18 AND 20 THEN INSERT VALUES (p.id, p.id)'), run('MERGE INTO cascading_AM c USING pk_AM p ON c.k = p.id WHEN MATCHED AND c.id = 18 THEN UPDATE SET k = 777'), rows_of('cascading');
-- NO ACTION, deferred: what counts is the end of the transaction.
BEGIN;
DELETE FROM pk_heap WHERE id = 8;
DELETE FROM pk_iceberg WHERE id = 8;
DELETE FROM noaction_heap WHERE k = 8;
DELETE FROM noaction_iceberg WHERE k = 8;
COMMIT;
SELECT rows_of('noaction');
BEGIN;
DELETE FROM pk_iceberg WHERE id = 9;
COMMIT;
BEGIN;
DELETE FROM pk_iceberg WHERE id = 9;
INSERT INTO pk_iceberg VALUES (9, 'again');
COMMIT;
BEGIN;
UPDATE noaction_iceberg SET k = 555;
UPDATE noaction_iceberg SET k = 9;
COMMIT;
BEGIN;
UPDATE noaction_iceberg SET k = 555;
COMMIT;
BEGIN;
UPDATE noaction_iceberg SET k = 555;
SAVEPOINT a;
DELETE FROM noaction_iceberg;
ROLLBACK TO a;
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
BEGIN;
UPDATE noaction_iceberg SET k = 555;
DELETE FROM noaction_iceberg;
SET CONSTRAINTS ALL IMMEDIATE;
ROLLBACK;
SELECT rows_of('noaction');
-- Savepoints around what is passed on.
BEGIN;
SAVEPOINT a;
DELETE FROM pk_heap WHERE id = 18;
DELETE FROM pk_iceberg WHERE id = 18;
SELECT rows_of('cascading');
ROLLBACK TO a;
SELECT rows_of('cascading');
UPDATE pk_heap SET id = 118 WHERE id = 18;
UPDATE pk_iceberg SET id = 118 WHERE id = 18;
DELETE FROM pk_heap WHERE id = 118;
DELETE FROM pk_iceberg WHERE id = 118;
COMMIT;
SELECT rows_of('cascading');
-- Several columns of which one is set; triggers of the rows that it is passed on to.
CREATE TABLE two (a int, b int, PRIMARY KEY (a, b)) USING heap;
INSERT INTO two VALUES (1, 1), (1, 2), (2, 1);
SELECT run('CREATE TABLE of_two_AM (a int, b int, FOREIGN KEY (a, b) REFERENCES two ON DELETE SET NULL (b) ON UPDATE CASCADE) USING AM'), run('INSERT INTO of_two_AM VALUES (1, 1), (1, 2), (2, 1)'), run('CREATE TRIGGER seen AFTER UPDATE OR DELETE ON of_two_AM FOR EACH ROW EXECUTE FUNCTION note()');
DELETE FROM two WHERE a = 1 AND b = 1;
UPDATE two SET a = 3 WHERE a = 2;
SELECT rows_of('of_two');
SELECT unnest(string_to_array(noted(), '; ')) AS line ORDER BY 1;
-- Partitions of both kinds.
CREATE TABLE keys (id int PRIMARY KEY) USING heap;
INSERT INTO keys SELECT generate_series(1, 6);
CREATE TABLE parts (k int REFERENCES keys ON DELETE CASCADE ON UPDATE CASCADE) PARTITION BY RANGE (k);
CREATE TABLE parts_ice PARTITION OF parts FOR VALUES FROM (0) TO (4) USING iceberg;
CREATE TABLE parts_heap PARTITION OF parts FOR VALUES FROM (4) TO (100) USING heap;
INSERT INTO parts SELECT generate_series(1, 6);
DELETE FROM keys WHERE id IN (1, 5);
UPDATE keys SET id = 22 WHERE id = 2;
UPDATE keys SET id = 1 WHERE id = 6;
SELECT tableoid::regclass, k FROM parts ORDER BY k;
-- Many rows at once.
SELECT run('INSERT INTO pk_AM SELECT g, ''many'' FROM generate_series(1001, 1200) g'), run('INSERT INTO cascading_AM SELECT g, 1001 + g % 200 FROM generate_series(1, 2000) g'), run('DELETE FROM pk_AM WHERE id BETWEEN 1001 AND 1050'), run('UPDATE pk_AM SET id = id + 1000 WHERE id BETWEEN 1100 AND 1150'), run('SELECT count(*), sum(k) FROM cascading_AM');

SET client_min_messages = warning;
DROP SCHEMA test_dml_foreign_keys CASCADE;
