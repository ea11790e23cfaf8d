-- local tables only: it puts files into directories.
-- remove_orphan_files finds what nothing needs, and only that.
CREATE TABLE kept (id int) USING iceberg;
INSERT INTO kept SELECT generate_series(1, 10);
INSERT INTO kept SELECT generate_series(11, 20);
SELECT count(*) FROM lakebase.remove_orphan_files('kept', interval '0', true);
-- A file that somebody left behind.
SELECT location AS full_location FROM lakebase.iceberg_tables WHERE relation = 'kept'::regclass \gset
\setenv DIR :full_location
\! echo left > "$DIR/data/left.parquet"; echo left > "$DIR/metadata/left-m0.avro"
SELECT regexp_replace(path, '^.*iceberg_\d+/', '') AS path, bytes
  FROM lakebase.remove_orphan_files('kept', interval '1 hour', true) ORDER BY 1;
SELECT regexp_replace(path, '^.*iceberg_\d+/', '') AS path, bytes
  FROM lakebase.remove_orphan_files('kept', interval '0', true) ORDER BY 1;
SELECT regexp_replace(path, '^.*iceberg_\d+/', '') AS path, bytes
  FROM lakebase.remove_orphan_files('kept', interval '0') ORDER BY 1;
SELECT count(*) FROM lakebase.remove_orphan_files('kept', interval '0', true);
SELECT count(*), sum(id) FROM kept;
-- The directory of a table that is no more.
\! mkdir -p "$DIR/../iceberg_4000000000/data"; echo x > "$DIR/../iceberg_4000000000/data/a.parquet"; touch -d '2 hours ago' "$DIR/../iceberg_4000000000"
SELECT path LIKE 'base/%/iceberg_4000000000' AS found, bytes
  FROM lakebase.remove_orphan_files(NULL, interval '1 hour', true) WHERE path LIKE '%4000000000%';
SELECT count(*) FROM lakebase.remove_orphan_files(NULL, interval '1 hour') WHERE path LIKE '%4000000000%';
SELECT count(*) FROM lakebase.remove_orphan_files(NULL, interval '1 hour', true) WHERE path LIKE '%4000000000%';
\! ls -d "$DIR/../iceberg_4000000000" 2>/dev/null || echo gone
-- Files of a transaction in progress are none, one's own included.
BEGIN;
INSERT INTO kept VALUES (21);
SELECT * FROM lakebase.remove_orphan_files('kept', interval '0');
ROLLBACK;
-- Whose it is to do.
CREATE ROLE orphan_user;
SET ROLE orphan_user;
SELECT * FROM lakebase.remove_orphan_files('kept');
SELECT * FROM lakebase.remove_orphan_files(NULL);
RESET ROLE;
DROP ROLE orphan_user;
CREATE TABLE heap_kept (id int) USING heap;
SELECT * FROM lakebase.remove_orphan_files('heap_kept');
DROP TABLE heap_kept, kept;
