-- Nobody but the extension itself changes its tables, logical replication included. What comes to be kept in
-- schema lakebase has these triggers too.
CREATE TRIGGER keep_changes_out BEFORE INSERT OR UPDATE OR DELETE ON lakebase.iceberg_pointer
    FOR EACH ROW EXECUTE FUNCTION lakebase.keep_changes_out();
CREATE TRIGGER keep_truncate_out BEFORE TRUNCATE ON lakebase.iceberg_pointer
    FOR EACH STATEMENT EXECUTE FUNCTION lakebase.keep_changes_out();
ALTER TABLE lakebase.iceberg_pointer
    ENABLE ALWAYS TRIGGER keep_changes_out, ENABLE ALWAYS TRIGGER keep_truncate_out;

CREATE TRIGGER keep_changes_out BEFORE INSERT OR UPDATE OR DELETE ON lakebase.inline_commit
    FOR EACH ROW EXECUTE FUNCTION lakebase.keep_changes_out();
CREATE TRIGGER keep_truncate_out BEFORE TRUNCATE ON lakebase.inline_commit
    FOR EACH STATEMENT EXECUTE FUNCTION lakebase.keep_changes_out();
ALTER TABLE lakebase.inline_commit
    ENABLE ALWAYS TRIGGER keep_changes_out, ENABLE ALWAYS TRIGGER keep_truncate_out;

CREATE TRIGGER keep_changes_out BEFORE INSERT OR UPDATE OR DELETE ON lakebase.garbage
    FOR EACH ROW EXECUTE FUNCTION lakebase.keep_changes_out();
CREATE TRIGGER keep_truncate_out BEFORE TRUNCATE ON lakebase.garbage
    FOR EACH STATEMENT EXECUTE FUNCTION lakebase.keep_changes_out();
ALTER TABLE lakebase.garbage
    ENABLE ALWAYS TRIGGER keep_changes_out, ENABLE ALWAYS TRIGGER keep_truncate_out;

CREATE TRIGGER keep_changes_out BEFORE INSERT OR UPDATE OR DELETE ON lakebase.row_change
    FOR EACH ROW EXECUTE FUNCTION lakebase.keep_changes_out();
CREATE TRIGGER keep_truncate_out BEFORE TRUNCATE ON lakebase.row_change
    FOR EACH STATEMENT EXECUTE FUNCTION lakebase.keep_changes_out();
ALTER TABLE lakebase.row_change
    ENABLE ALWAYS TRIGGER keep_changes_out, ENABLE ALWAYS TRIGGER keep_truncate_out;

CREATE TRIGGER keep_changes_out BEFORE INSERT OR UPDATE OR DELETE ON lakebase.column_field
    FOR EACH ROW EXECUTE FUNCTION lakebase.keep_changes_out();
CREATE TRIGGER keep_truncate_out BEFORE TRUNCATE ON lakebase.column_field
    FOR EACH STATEMENT EXECUTE FUNCTION lakebase.keep_changes_out();
ALTER TABLE lakebase.column_field
    ENABLE ALWAYS TRIGGER keep_changes_out, ENABLE ALWAYS TRIGGER keep_truncate_out;
