-- Whoever may make operators in a schema of the search path is not to choose what views of all users call.
SET LOCAL search_path = pg_catalog, pg_temp;

-- The catalog of pg_iceberg_am: one row for each Iceberg table's storage in this database.
CREATE SCHEMA lakebase;

CREATE TABLE lakebase.iceberg_pointer (
    relfilenumber     oid  NOT NULL,
    tablespace        oid  NOT NULL,
    backend           int4 NOT NULL,
    -- Never toasted: rows are written at pre-commit, where no snapshot may be at hand to do so.
    metadata_location text STORAGE PLAIN,
    snapshot_id       int8,
    row_count         int8 NOT NULL,
    file_count        int8 NOT NULL,
    total_bytes       int8 NOT NULL,
    snapshot_count    int4 NOT NULL,
    -- What older snapshots see: n (nothing), f (the same) or r (an error).
    origin            "char" NOT NULL,
    published_at      timestamptz NOT NULL,
    -- The transaction that wrote the storage's first metadata file, or the first one after recovery had
    -- emptied the table.
    incarnation       xid8 NOT NULL,
    -- One past the largest row id in the metadata, and in any before.
    next_row_id       int8 NOT NULL,
    -- Rows that are in data files, and deleted.
    deleted_row_count int8 NOT NULL DEFAULT 0,
    PRIMARY KEY (relfilenumber, tablespace, backend)
) USING heap WITH (fillfactor = 50);

COMMENT ON TABLE lakebase.iceberg_pointer IS
    'Current Iceberg metadata file of each table, by storage; read lakebase.iceberg_tables instead';

-- What has been committed and is not in the metadata yet: data files and, where they are few, rows.
CREATE TABLE lakebase.inline_commit (
    relfilenumber     oid  NOT NULL,
    tablespace        oid  NOT NULL,
    backend           int4 NOT NULL,
    row_count         int8 NOT NULL,
    total_bytes       int8 NOT NULL,
    -- Either a manifest's entry of a data file, in Avro, or rows, in Arrow's IPC format; never toasted, as
    -- above.
    data_file         bytea STORAGE PLAIN,
    data_rows         bytea STORAGE PLAIN,
    -- That of the pointer row that it is on top of: without that, it does not count.
    incarnation       xid8 NOT NULL,
    -- The least row id, and one past the largest.
    first_row_id      int8 NOT NULL,
    end_row_id        int8 NOT NULL,
    CHECK ((data_file IS NULL) <> (data_rows IS NULL))
) USING heap;

CREATE INDEX inline_commit_storage ON lakebase.inline_commit (relfilenumber, tablespace, backend);

COMMENT ON TABLE lakebase.inline_commit IS
    'Committed rows and data files of Iceberg tables that wait for the next metadata file';

-- Rows that were deleted or superseded, and whose files do not say so yet; and rows that are locked, by transactions
-- that go on.
CREATE TABLE lakebase.row_change (
    relfilenumber     oid  NOT NULL,
    tablespace        oid  NOT NULL,
    backend           int4 NOT NULL,
    -- Below 0, with many rows: which chunk of 32768 ids they are in, -1 the first.
    row_id            int8 NOT NULL,
    -- u: updated; x: updated, and locked FOR UPDATE before; d: deleted; m: moved to another partition; U, D, M: so were
    -- many; locked: k (KEY SHARE), s (SHARE), n (NO KEY UPDATE), e (UPDATE).
    kind              "char" NOT NULL,
    -- The next version of a row that was updated; of many rows, the chunk that theirs are in.
    next_row_id       int8,
    row_count         int4 NOT NULL DEFAULT 1,
    -- Which of the chunk, where they are many; never toasted, as above.
    chunk_rows        bytea STORAGE PLAIN
) USING heap;

CREATE INDEX row_change_row ON lakebase.row_change (relfilenumber, tablespace, backend, row_id);
CREATE INDEX row_change_next ON lakebase.row_change (relfilenumber, tablespace, backend, next_row_id)
    WHERE next_row_id IS NOT NULL;

COMMENT ON TABLE lakebase.row_change IS
    'Rows of Iceberg tables that were deleted or superseded, which the next metadata file will tell';

-- What committed transactions have made superfluous, until it is removed: storages that they have dropped, and files
-- that no snapshot of the table's metadata leads to any more.
CREATE TABLE lakebase.garbage (
    relfilenumber     oid  NOT NULL,
    tablespace        oid  NOT NULL,
    backend           int4 NOT NULL,
    -- The transaction that did so. Files are needed as long as anybody may see what was before it.
    xid               xid8 NOT NULL,
    -- Null for objects until a publisher has seen the row committed: how long they are kept counts from then.
    not_before        timestamptz,
    -- Their names, relative to the table's directory or to the store; null: the directory with all that is in it. Never
    -- toasted, as above.
    files             text[] STORAGE PLAIN,
    -- Of a dropped table in an object store: the directory of its objects.
    objects           text STORAGE PLAIN
) USING heap;

CREATE INDEX garbage_storage ON lakebase.garbage (relfilenumber, tablespace, backend);

COMMENT ON TABLE lakebase.garbage IS
    'Directories of dropped and rewritten Iceberg tables, and files of expired snapshots, that are still to be removed';

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

CREATE FUNCTION lakebase.iceberg_tableam_handler(internal) RETURNS table_am_handler
    AS 'MODULE_PATHNAME', 'iceberg_tableam_handler' LANGUAGE C STRICT;

CREATE ACCESS METHOD iceberg TYPE TABLE HANDLER lakebase.iceberg_tableam_handler;

COMMENT ON ACCESS METHOD iceberg IS 'Apache Iceberg table access method';
