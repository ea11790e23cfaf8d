-- Foreign keys lead from Iceberg tables to heap tables; none lead to an Iceberg table.
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS test_foreign_keys CASCADE;
RESET client_min_messages;
CREATE SCHEMA test_foreign_keys;
SET search_path = test_foreign_keys;

CREATE TABLE customers (id int PRIMARY KEY, name text) USING heap;
CREATE TABLE orders (
    id int NOT NULL,
    customer int REFERENCES customers,
    CONSTRAINT positive CHECK (id > 0)
) USING iceberg;
INSERT INTO customers VALUES (1, 'Ada'), (2, 'Grace');
INSERT INTO orders VALUES (10, 1), (11, 2), (12, NULL);
INSERT INTO orders VALUES (13, 3);
INSERT INTO orders SELECT g, g FROM generate_series(1, 3) g;
COPY orders FROM stdin;
14	1
15	9
\.
SELECT * FROM orders ORDER BY id;

-- The referenced side is checked too: nothing that is referred to goes away.
DELETE FROM customers WHERE id = 1;
UPDATE customers SET id = 5 WHERE id = 2;
INSERT INTO customers VALUES (3, 'Edsger');
DELETE FROM customers WHERE id = 3;
TRUNCATE customers;

-- Deferred checks.
CREATE TABLE deferred_orders (id int, customer int REFERENCES customers DEFERRABLE INITIALLY DEFERRED) USING iceberg;
BEGIN;
INSERT INTO deferred_orders VALUES (1, 7);
INSERT INTO customers VALUES (7, 'Barbara');
COMMIT;
BEGIN;
INSERT INTO deferred_orders VALUES (2, 8);
COMMIT;
SELECT * FROM deferred_orders;

-- What foreign keys pass on.
CREATE TABLE owners (id int PRIMARY KEY) USING heap;
INSERT INTO owners VALUES (1), (2), (3);
CREATE TABLE cascading (owner int REFERENCES owners ON DELETE CASCADE ON UPDATE CASCADE) USING iceberg;
INSERT INTO cascading VALUES (1);
DELETE FROM owners WHERE id = 1;
UPDATE owners SET id = 9 WHERE id = 1;
DELETE FROM owners WHERE id = 3;
DROP TABLE cascading;
CREATE TABLE nulling (owner int REFERENCES owners ON DELETE SET NULL) USING iceberg;
INSERT INTO nulling VALUES (2);
DELETE FROM owners WHERE id = 2;
SELECT * FROM owners ORDER BY id;
SELECT * FROM nulling;
DROP TABLE nulling, owners;

-- A partitioned table that refers.
CREATE TABLE keys (id int PRIMARY KEY) USING heap;
INSERT INTO keys VALUES (1), (2), (3), (4), (5);
CREATE TABLE parts (k int REFERENCES keys) PARTITION BY LIST (k);
CREATE TABLE parts_ice PARTITION OF parts FOR VALUES IN (1) USING iceberg;
CREATE TABLE all_ice (k int REFERENCES keys) PARTITION BY RANGE (k);
CREATE TABLE all_ice_1 PARTITION OF all_ice FOR VALUES FROM (0) TO (100) USING iceberg;
INSERT INTO parts VALUES (1);
DELETE FROM keys WHERE id = 3;
CREATE TABLE parts_heap PARTITION OF parts FOR VALUES IN (2) USING heap;
INSERT INTO parts VALUES (2);
DELETE FROM keys WHERE id = 4;
UPDATE keys SET id = 6 WHERE id = 5;
DELETE FROM keys WHERE id = 1;
DELETE FROM keys WHERE id = 2;
UPDATE keys SET id = 7 WHERE id = 1;
SELECT * FROM parts FOR KEY SHARE;
SELECT * FROM keys ORDER BY id;
-- Passed on to partitions: heap rows go, Iceberg rows stay and keep what they refer to.
ALTER TABLE parts DROP CONSTRAINT parts_k_fkey, ADD FOREIGN KEY (k) REFERENCES keys ON DELETE CASCADE;
DELETE FROM keys WHERE id = 2;
DELETE FROM keys WHERE id = 1;
SELECT * FROM parts;
DROP TABLE parts, all_ice, keys;

-- Added later: existing rows are checked.
CREATE TABLE late (customer int) USING iceberg;
INSERT INTO late VALUES (1), (99);
ALTER TABLE late ADD CONSTRAINT late_customer FOREIGN KEY (customer) REFERENCES customers;
ALTER TABLE late ADD CONSTRAINT late_customer FOREIGN KEY (customer) REFERENCES customers NOT VALID;
INSERT INTO late VALUES (98);
ALTER TABLE late VALIDATE CONSTRAINT late_customer;
ALTER TABLE late DROP CONSTRAINT late_customer;
INSERT INTO late VALUES (98);
SELECT * FROM late ORDER BY customer;

-- Several columns, MATCH FULL.
CREATE TABLE places (country text, city text, PRIMARY KEY (country, city)) USING heap;
INSERT INTO places VALUES ('NL', 'Delft');
CREATE TABLE visits (country text, city text, FOREIGN KEY (country, city) REFERENCES places MATCH FULL) USING iceberg;
INSERT INTO visits VALUES ('NL', 'Delft'), (NULL, NULL);
INSERT INTO visits VALUES ('NL', NULL);
INSERT INTO visits VALUES ('NL', 'Utrecht');
SELECT * FROM visits ORDER BY city;

-- To an Iceberg table there is no foreign key, as it can have no unique constraint.
CREATE TABLE to_iceberg (id int REFERENCES orders (id)) USING heap;
CREATE TABLE to_iceberg (id int REFERENCES orders) USING heap;
CREATE TABLE to_iceberg (id int REFERENCES orders (id)) USING iceberg;

DROP TABLE customers;
DROP TABLE customers CASCADE;
INSERT INTO orders VALUES (20, 12345);
SELECT max(customer) FROM orders;

SET client_min_messages = warning;
DROP SCHEMA test_foreign_keys CASCADE;
