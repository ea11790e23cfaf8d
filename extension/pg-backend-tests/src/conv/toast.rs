//! Values that lie compressed or out of line, and large ones.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use super::super::query::run;
    use super::super::round_trip::assert_round_trip;
    use arrow::array::AsArray;
    use pgrx::prelude::*;

    /// A table whose rows hold every way in which a value can be toasted.
    fn create(columns: &str) {
        run(&format!("CREATE TABLE toasted ({columns})"));
    }

    #[pg_test]
    fn compressed_and_external_strings_round_trip() {
        create("t text, b bytea");
        run("INSERT INTO toasted VALUES
               (repeat('compresses well ', 1000), decode(repeat('00', 5000), 'hex')),
               ('short', '\\x01'),
               ((SELECT string_agg(md5(n::text), '') FROM generate_series(1, 2000) AS n), NULL);
             ALTER TABLE toasted ALTER t SET STORAGE EXTERNAL;
             INSERT INTO toasted SELECT repeat('stored as it is ', 5000), b FROM toasted LIMIT 1;");
        let batch = assert_round_trip("SELECT * FROM toasted");
        assert_eq!(batch.column(0).as_string::<i32>().value(2).len(), 64_000);
    }

    #[pg_test]
    fn short_headers_of_stored_tuples_round_trip() {
        create("t text, n numeric(12,3), a int[], j jsonb");
        run("INSERT INTO toasted SELECT 'v' || i, i / 7.0, ARRAY[i, i + 1], jsonb_build_object('i', i)
             FROM generate_series(1, 50) AS i");
        assert_round_trip("SELECT * FROM toasted");
    }

    #[pg_test]
    fn toasted_arrays_and_composites_round_trip() {
        run("CREATE TYPE big AS (a text, b int, c text[])");
        create("l text[], j jsonb, v big");
        run("INSERT INTO toasted
             SELECT array_agg(md5(n::text)), jsonb_agg(md5(n::text)),
                    ROW(repeat('z', 100000), 7, array_agg(repeat('y', 1000)))::big
             FROM generate_series(1, 1000) AS n");
        assert_round_trip("SELECT * FROM toasted");
    }

    #[pg_test]
    fn expanded_arrays_round_trip() {
        run(
            "CREATE FUNCTION expanded() RETURNS int[] LANGUAGE plpgsql AS $$
             DECLARE a int[] := ARRAY[1, 2];
             BEGIN a[3] := 5; RETURN a; END $$",
        );
        assert_round_trip("SELECT expanded() AS a");
    }

    #[pg_test]
    fn ten_megabytes_of_text_round_trip() {
        let batch = assert_round_trip("SELECT repeat('0123456789', 1024 * 1024) AS t");
        assert_eq!(
            batch.column(0).as_string::<i32>().value(0).len(),
            10 * 1024 * 1024
        );
    }
}
