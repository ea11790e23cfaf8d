-- local tables only: inserts into tables in object stores leave all to the publisher.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_publish_order CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_publish_order;
SET search_path = test_publish_order;
-- Snapshots come in the order of commits: with every row that takes the place of another, the other is gone.
CREATE TABLE ordered (id int, v text) USING iceberg WITH (autovacuum_enabled = off);
INSERT INTO ordered SELECT g, 'old' FROM generate_series(1, 20) g;
SELECT lakebase.publish('ordered') IS NOT NULL AS published;
CREATE PROCEDURE renew(first int, last int) LANGUAGE plpgsql AS $$ BEGIN
    FOR i IN first..last LOOP
        DELETE FROM ordered WHERE id = i;
        COMMIT;
        INSERT INTO ordered VALUES (i, 'new');
        COMMIT;
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$;
CREATE FUNCTION too_many() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*) FROM lakebase.iceberg_snapshots('ordered')
     WHERE (summary->>'total-records')::int - coalesce((summary->>'total-position-deletes')::int, 0) > 20 $$;
CALL renew(1, 10);
SET pg_iceberg_am.publish_interval = 0;
CALL renew(11, 20);
SELECT too_many();
-- Such an insert publishes itself what waits.
DELETE FROM ordered WHERE id = 1;
INSERT INTO ordered VALUES (1, 'newer');
SELECT summary->>'total-position-deletes' > '0' AS deletes FROM lakebase.iceberg_snapshots('ordered') ORDER BY sequence_number DESC LIMIT 1;
SELECT too_many();
RESET pg_iceberg_am.publish_interval;
-- So does one beside DDL, and a change of rows beside it; what was changed may wait as well.
DELETE FROM ordered WHERE id = 2;
BEGIN;
ALTER TABLE ordered RENAME v TO w;
INSERT INTO ordered VALUES (2, 'newer');
COMMIT;
DELETE FROM ordered WHERE id = 3;
INSERT INTO ordered VALUES (3, 'newer');
BEGIN;
UPDATE ordered SET w = w || '!' WHERE id IN (2, 3, 4);
ALTER TABLE ordered RENAME w TO v;
COMMIT;
SELECT too_many();
SELECT v, count(*), min(id), max(id) FROM ordered GROUP BY v ORDER BY v;
SELECT lakebase.publish('ordered') IS NOT NULL AS published;
SELECT v, count(*), min(id), max(id) FROM ordered GROUP BY v ORDER BY v;
-- And one that drops history, of rows that wait.
INSERT INTO ordered VALUES (21, 'waits');
BEGIN;
DELETE FROM ordered WHERE id > 19;
SELECT lakebase.expire_snapshots('ordered');
COMMIT;
SELECT count(*), max(id) FROM ordered;
SELECT lakebase.publish('ordered') IS NOT NULL AS published;
SELECT count(*), max(id) FROM ordered;

SET client_min_messages = warning;
DROP SCHEMA test_publish_order CASCADE;
