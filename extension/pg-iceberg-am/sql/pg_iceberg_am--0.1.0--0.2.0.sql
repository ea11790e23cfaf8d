-- Rows of Iceberg tables can be changed.
SET LOCAL search_path = pg_catalog, pg_temp;

-- Rows that were deleted or superseded, and whose files do not say so yet; and rows that are locked, by transactions
-- that go on.
CREATE TABLE lakebase.row_change (
    relfilenumber     oid  NOT NULL,
    tablespace        oid  NOT NULL,
    backend           int4 NOT NULL,
    row_id            int8 NOT NULL,
    -- u: updated; x: updated, and locked FOR UPDATE before; d: deleted; m: moved to another partition; locked: k (KEY
    -- SHARE), s (SHARE), n (NO KEY UPDATE), e (UPDATE).
    kind              "char" NOT NULL,
    -- The next version of a row that was updated.
    next_row_id       int8
) USING heap;

CREATE INDEX row_change_row ON lakebase.row_change (relfilenumber, tablespace, backend, row_id);
CREATE INDEX row_change_next ON lakebase.row_change (relfilenumber, tablespace, backend, next_row_id)
    WHERE next_row_id IS NOT NULL;

COMMENT ON TABLE lakebase.row_change IS
    'Rows of Iceberg tables that were deleted or superseded, which the next metadata file will tell';

-- Libraries of 0.1.0, which would read deleted rows, refuse the tables from here on.
ALTER TABLE lakebase.iceberg_pointer ADD COLUMN deleted_row_count int8 NOT NULL DEFAULT 0;

CREATE TRIGGER keep_changes_out BEFORE INSERT OR UPDATE OR DELETE ON lakebase.row_change
    FOR EACH ROW EXECUTE FUNCTION lakebase.keep_changes_out();
CREATE TRIGGER keep_truncate_out BEFORE TRUNCATE ON lakebase.row_change
    FOR EACH STATEMENT EXECUTE FUNCTION lakebase.keep_changes_out();
ALTER TABLE lakebase.row_change
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
       SELECT count(*) AS rows
         FROM lakebase.row_change a
        WHERE a.relfilenumber = p.relfilenumber AND a.tablespace = p.tablespace AND a.backend = p.backend
          AND a.kind IN ('u', 'x', 'd', 'm')
       ) changed
 WHERE (pg_catalog.has_table_privilege(s.relid, 'SELECT') OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'));

COMMENT ON VIEW lakebase.iceberg_tables IS
    'Iceberg tables of this database: what is committed as this statement sees it, without rows that its transaction has not committed; the current metadata file, and the number of rows, inserted or deleted, that it does not tell of yet';
