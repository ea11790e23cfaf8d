-- What users look at. The functions are in src/inspect/.
-- The storage of each Iceberg table, as the extension's tables have it.
CREATE VIEW lakebase.table_storage AS
SELECT c.oid AS relid,
       c.relfilenode AS relfilenumber,
       CASE c.reltablespace WHEN 0 THEN d.dattablespace ELSE c.reltablespace END AS tablespace,
       CASE c.relpersistence
            WHEN 't' THEN pg_catalog.substring(n.nspname::text, 'pg_temp_(\d+)')::int4
            ELSE -1
       END AS backend,
       n.nspname,
       c.relname,
       c.relpersistence,
       c.reloptions
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_am a ON a.oid = c.relam AND a.amname = 'iceberg'
  JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
 WHERE c.relkind IN ('r', 'm');

COMMENT ON VIEW lakebase.table_storage IS
    'Internal: what the other views join tables by';

-- Each user sees the tables that they may read; who monitors the server sees all. The barrier keeps functions
-- of a query's from seeing the others.
CREATE VIEW lakebase.iceberg_tables WITH (security_barrier) AS
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

COMMENT ON VIEW lakebase.iceberg_tables IS
    'Iceberg tables of this database: what is committed as this statement sees it, without rows that its transaction has not committed; the current metadata file, and the number of rows, inserted or deleted, that it does not tell of yet';

CREATE VIEW lakebase.progress WITH (security_barrier) AS
SELECT m.pid,
       s.relid::regclass AS relation,
       m.started,
       m.files_done,
       m.files_total,
       m.bytes_done,
       m.bytes_total
  FROM lakebase.merges() m
  JOIN lakebase.table_storage s
    ON (s.relfilenumber, s.tablespace, s.backend) = (m.relfilenumber, m.tablespace, -1)
 WHERE pg_catalog.has_table_privilege(s.relid, 'SELECT') OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE');

COMMENT ON VIEW lakebase.progress IS
    'Merges of small data files that are going on in this database: how many files, and bytes of these, of how many have been read';

CREATE VIEW lakebase.upkeep WITH (security_barrier) AS
SELECT t.relation,
       t.file_count,
       looked.small_files,
       t.total_bytes,
       p.snapshot_count,
       looked.oldest_snapshot,
       t.unpublished_rows,
       garbage.superfluous_files,
       EXISTS (SELECT FROM lakebase.merges() m
                WHERE (m.relfilenumber, m.tablespace) = (s.relfilenumber, s.tablespace)) AS is_merging,
       upkept.last_run,
       upkept.last_error,
       upkept.last_error_at,
       -- What was superfluous and is due waits for whoever may still need it.
       CASE WHEN l.next_look IS NOT NULL THEN
            least(l.next_look, upkept.next_try,
                  CASE WHEN garbage.due IS NOT NULL THEN greatest(garbage.due, statement_timestamp()) END)
       END AS next_run
  FROM lakebase.iceberg_tables t
  JOIN lakebase.table_storage s ON s.relid = t.relation AND s.backend = -1
  JOIN lakebase.iceberg_pointer p
    ON (p.relfilenumber, p.tablespace, p.backend) = (s.relfilenumber, s.tablespace, s.backend)
  LEFT JOIN lakebase.upkept() upkept
    ON (upkept.relfilenumber, upkept.tablespace) = (s.relfilenumber, s.tablespace)
 CROSS JOIN lakebase.next_look() l (next_look)
 CROSS JOIN LATERAL lakebase.upkeep_of(t.relation) looked
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(pg_catalog.cardinality(g.files)), 0)::bigint AS superfluous_files, min(g.not_before) AS due
         FROM lakebase.garbage g
        WHERE (g.relfilenumber, g.tablespace, g.backend) = (s.relfilenumber, s.tablespace, s.backend)
       ) garbage;

COMMENT ON VIEW lakebase.upkeep IS
    'What the background workers look after: files below three quarters of their target size, snapshots, files that are to be removed; and how it went since the server was started';

CREATE VIEW lakebase.storage_service AS
SELECT s.status,
       s.socket,
       s.pid,
       s.version,
       s.started,
       s.restarts,
       s.last_error,
       s.last_error_at
  FROM lakebase.storage_service_status() s;

COMMENT ON VIEW lakebase.storage_service IS
    'The service that reads and writes object stores for this server: whether it runs, and what failed last since the server was started';

CREATE VIEW lakebase.store_operations AS
SELECT s.tablespace,
       s.operation,
       s.requests,
       s.errors,
       s.bytes,
       s.total_time
  FROM lakebase.store_statistics() s;

COMMENT ON VIEW lakebase.store_operations IS
    'What the storage service has asked of the stores of object tablespaces since it was started, by operation';

CREATE VIEW lakebase.stores AS
SELECT s.tablespace,
       s.store,
       sum(s.requests)::bigint AS requests,
       sum(s.errors)::bigint AS errors,
       (sum(s.bytes) FILTER (WHERE s.operation = 'get'))::bigint AS bytes_read,
       (sum(s.bytes) FILTER (WHERE s.operation = 'put'))::bigint AS bytes_written,
       sum(s.total_time) AS total_time,
       s.cache_hits,
       s.cache_misses,
       s.cached_files,
       s.cached_bytes
  FROM lakebase.store_statistics() s
 GROUP BY s.tablespace, s.store, s.cache_hits, s.cache_misses, s.cached_files, s.cached_bytes;

COMMENT ON VIEW lakebase.stores IS
    'Object tablespaces, what the storage service has asked of their stores since it was started, and what its cache has of them';

CREATE VIEW lakebase.cache AS
SELECT c.capacity,
       c.bytes,
       c.files,
       c.evictions
  FROM lakebase.cache_statistics() c;

COMMENT ON VIEW lakebase.cache IS
    'The cache of the storage service as a whole: how much it may have and has, and how many files it has removed to make room; no row if the service does not answer';

-- Paths and errors are for those who monitor the server.
REVOKE EXECUTE ON FUNCTION lakebase.storage_service_status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lakebase.storage_service_status() TO pg_read_all_stats;
GRANT SELECT ON lakebase.storage_service TO pg_read_all_stats;

GRANT USAGE ON SCHEMA lakebase TO PUBLIC;
GRANT SELECT ON lakebase.iceberg_tables TO PUBLIC;
GRANT SELECT ON lakebase.progress, lakebase.upkeep TO PUBLIC;
-- As PostgreSQL's pg_stat_io.
GRANT SELECT ON lakebase.store_operations, lakebase.stores, lakebase.cache TO PUBLIC;

COMMENT ON FUNCTION lakebase.publish(regclass) IS
    'Waits until everything committed to a table is in its metadata, and returns the metadata file; NULL if the table has none yet';
COMMENT ON FUNCTION lakebase.iceberg_location(regclass) IS
    'Directory of a table; NULL for what is no Iceberg table';
COMMENT ON FUNCTION lakebase.iceberg_snapshots(regclass) IS
    'Snapshots in the metadata of a table, oldest first';
COMMENT ON FUNCTION lakebase.iceberg_files(regclass) IS
    'Data files that this statement reads of a table; those that no metadata file names yet have no sequence number';
COMMENT ON FUNCTION lakebase.iceberg_delete_files(regclass) IS
    'Delete files that apply to the data files that this statement reads of a table';
COMMENT ON FUNCTION lakebase.compact(regclass) IS
    'Merges small data files of a table, all that can be, and waits for it';
COMMENT ON FUNCTION lakebase.expire_snapshots(regclass, interval) IS
    'Drops snapshots older than an age from the history of a table, or those that the settings do not keep, and returns how many';
COMMENT ON FUNCTION lakebase.remove_orphan_files(regclass, interval, boolean) IS
    'Removes, or only lists, files that nothing needs and that are older than an age: of a table, or if that is NULL, of all tables of the database';
COMMENT ON FUNCTION lakebase.merges() IS
    'Internal: what view lakebase.progress shows, by storage';
COMMENT ON FUNCTION lakebase.upkept() IS
    'Internal: how it went when tables were last kept in order, for view lakebase.upkeep';
COMMENT ON FUNCTION lakebase.upkeep_of(regclass) IS
    'Internal: small files and history of a table, for view lakebase.upkeep';
COMMENT ON FUNCTION lakebase.next_look() IS
    'Internal: when all tables will be looked at, for view lakebase.upkeep';
COMMENT ON FUNCTION lakebase.storage_service_status() IS
    'Internal: how the storage service is, for view lakebase.storage_service';
COMMENT ON FUNCTION lakebase.store_statistics() IS
    'Internal: what was asked of stores, for views lakebase.stores and lakebase.store_operations';
COMMENT ON FUNCTION lakebase.cache_statistics() IS
    'Internal: what the cache of the storage service has, for view lakebase.cache';
COMMENT ON FUNCTION lakebase.take_over(text, text, boolean, boolean) IS
    'Takes over objects that were made under an identity, before the cluster was promoted, restored or copied: no other server uses them';
COMMENT ON FUNCTION lakebase.identities(text) IS
    'The identities under which the cluster has written to a tablespace''s store, and the other servers that use them';
COMMENT ON FUNCTION lakebase.file_path(regclass, text) IS
    'Path of a table''s file, as its metadata have it';
COMMENT ON FUNCTION lakebase.has_file(regclass, text) IS
    'Internal: whether the directory of a table has a file, for view lakebase.iceberg_tables';
COMMENT ON FUNCTION lakebase.keep_changes_out() IS
    'Internal: trigger that keeps changes out of the tables of the extension';
COMMENT ON FUNCTION lakebase.iceberg_tableam_handler(internal) IS
    'Internal: handler of access method iceberg';
COMMENT ON FUNCTION lakebase.relation_size(regclass, text) IS
    'Internal: what queries call in place of pg_relation_size';
COMMENT ON FUNCTION lakebase.table_size(regclass) IS
    'Internal: what queries call in place of pg_table_size';
COMMENT ON FUNCTION lakebase.total_relation_size(regclass) IS
    'Internal: what queries call in place of pg_total_relation_size';
COMMENT ON FUNCTION lakebase.database_size(oid) IS
    'Internal: what queries call in place of pg_database_size';
COMMENT ON FUNCTION lakebase.database_size(name) IS
    'Internal: what queries call in place of pg_database_size';
COMMENT ON FUNCTION lakebase.tablespace_size(oid) IS
    'Internal: what queries call in place of pg_tablespace_size';
COMMENT ON FUNCTION lakebase.tablespace_size(name) IS
    'Internal: what queries call in place of pg_tablespace_size';
