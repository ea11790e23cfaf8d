-- Statements that change many rows say so of many at once.
SET LOCAL search_path = pg_catalog, pg_temp;

-- How many rows a row tells of, and which of its chunk of row ids, where they are many. Libraries of 0.2.0, which would
-- read deleted rows, refuse the tables from here on.
ALTER TABLE lakebase.row_change
    ADD COLUMN row_count int4 NOT NULL DEFAULT 1,
    ADD COLUMN chunk_rows bytea STORAGE PLAIN;

-- Which fields hold columns that were added after a storage had been made: for the transaction that adds one, and for
-- those that see metadata from before.
CREATE TABLE lakebase.column_field (
    relfilenumber     oid  NOT NULL,
    tablespace        oid  NOT NULL,
    backend           int4 NOT NULL,
    attnum            int2 NOT NULL,
    -- As property pg-lakebase.columns has them, of this column alone.
    field_ids         text NOT NULL,
    -- An Iceberg schema of this column alone.
    field             text NOT NULL
) USING heap;

CREATE INDEX column_field_storage ON lakebase.column_field (relfilenumber, tablespace, backend);

COMMENT ON TABLE lakebase.column_field IS
    'Fields of columns that were added to Iceberg tables';

CREATE TRIGGER keep_changes_out BEFORE INSERT OR UPDATE OR DELETE ON lakebase.column_field
    FOR EACH ROW EXECUTE FUNCTION lakebase.keep_changes_out();
CREATE TRIGGER keep_truncate_out BEFORE TRUNCATE ON lakebase.column_field
    FOR EACH STATEMENT EXECUTE FUNCTION lakebase.keep_changes_out();
ALTER TABLE lakebase.column_field
    ENABLE ALWAYS TRIGGER keep_changes_out, ENABLE ALWAYS TRIGGER keep_truncate_out;

CREATE OR REPLACE VIEW lakebase.iceberg_tables WITH (security_barrier) AS
SELECT s.relid::regclass AS relation,
       s.nspname::text AS table_namespace,
       s.relname::text AS table_name,
       lakebase.iceberg_location(s.relid::regclass) AS location,
       lakebase.file_path(s.relid::regclass, p.metadata_location) AS metadata_location,
       p.snapshot_id,
       greatest(coalesce(p.row_count, 0) + unpublished.rows - changed.rows, 0)::bigint AS row_count,
       (coalesce(p.file_count, 0) + unpublished.files)::bigint AS file_count,
       (coalesce(p.total_bytes, 0) + unpublished.bytes)::bigint AS total_bytes,
       (unpublished.rows + changed.rows)::bigint AS unpublished_rows
  FROM lakebase.table_storage s
  LEFT JOIN lakebase.iceberg_pointer p
    ON (p.relfilenumber, p.tablespace, p.backend) = (s.relfilenumber, s.tablespace, s.backend)
   -- Not of an unlogged table that recovery has emptied.
   AND (s.relpersistence <> 'u' OR lakebase.has_file(s.relid::regclass, p.metadata_location))
 CROSS JOIN LATERAL (
       SELECT count(a.data_file) AS files, coalesce(sum(a.row_count), 0) AS rows, coalesce(sum(a.total_bytes), 0) AS bytes
         FROM lakebase.inline_commit a
        WHERE a.relfilenumber = p.relfilenumber AND a.tablespace = p.tablespace AND a.backend = p.backend
          AND a.incarnation = p.incarnation
       ) unpublished
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(a.row_count), 0) AS rows
         FROM lakebase.row_change a
        WHERE a.relfilenumber = p.relfilenumber AND a.tablespace = p.tablespace AND a.backend = p.backend
          AND a.kind IN ('u', 'x', 'd', 'm', 'U', 'D', 'M')
       ) changed
 WHERE (pg_catalog.has_table_privilege(s.relid, 'SELECT') OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'));

CREATE FUNCTION lakebase.iceberg_delete_files(
    relation regclass
) RETURNS TABLE (
    content text,
    file_path text,
    file_format text,
    record_count bigint,
    file_size_in_bytes bigint
)
STRICT STABLE
LANGUAGE c AS 'MODULE_PATHNAME', 'iceberg_delete_files_wrapper';

COMMENT ON FUNCTION lakebase.iceberg_delete_files(regclass) IS
    'Delete files that apply to the data files that this statement reads of a table';
