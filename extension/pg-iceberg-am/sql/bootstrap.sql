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
    -- What older snapshots see: n (nothing), f (the same) or r (an error).
    origin            "char" NOT NULL,
    PRIMARY KEY (relfilenumber, tablespace, backend)
) USING heap WITH (fillfactor = 50);

COMMENT ON TABLE lakebase.iceberg_pointer IS
    'Current Iceberg metadata file of each table, by storage; read lakebase.iceberg_tables instead';

CREATE FUNCTION lakebase.iceberg_tableam_handler(internal) RETURNS table_am_handler
    AS 'MODULE_PATHNAME', 'iceberg_tableam_handler' LANGUAGE C STRICT;

CREATE ACCESS METHOD iceberg TYPE TABLE HANDLER lakebase.iceberg_tableam_handler;

COMMENT ON ACCESS METHOD iceberg IS 'Apache Iceberg table access method';
