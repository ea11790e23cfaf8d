//! Arrays, composite types, and one inside of the other.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use super::super::query::{resolve, run, with_rows};
    use super::super::round_trip::{assert_refused, assert_round_trip, to_batch};
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{DataType, Int32Type};
    use pgrx::PgSqlErrorCode;
    use pgrx::prelude::*;

    #[pg_test]
    fn arrays_of_scalars_round_trip() {
        let batch = assert_round_trip(
            "SELECT i, t, n::numeric(5,2)[] FROM (VALUES
                (ARRAY[1, 2, 3], ARRAY['a', '', 'größer'], ARRAY[1.5, -2]::numeric(5,2)[]),
                ('{}', '{}', '{}'),
                (ARRAY[NULL, 1, NULL]::int[], ARRAY[NULL]::text[], ARRAY[NULL, 0]::numeric(5,2)[]),
                (NULL, NULL, NULL),
                (ARRAY[7], ARRAY['z'], ARRAY[999.99]::numeric(5,2)[])) AS v(i, t, n)",
        );
        let lists = batch.column(0).as_list::<i32>();
        assert_eq!(lists.value_offsets(), [0, 3, 3, 6, 6, 7]);
        assert_eq!(lists.values().as_primitive::<Int32Type>().value(6), 7);
        assert_round_trip(
            "SELECT ARRAY[true, NULL, false] AS b, ARRAY[1, 2]::int2[] AS s, ARRAY[1, 2]::int8[] AS l,
                    ARRAY['NaN', 1]::real[] AS f4, ARRAY['-0', 1]::float8[] AS f8,
                    ARRAY['\\x00', '\\x']::bytea[] AS y, ARRAY[gen_random_uuid(), NULL] AS u,
                    ARRAY[date '2000-01-01', NULL] AS d, ARRAY[time '01:00'] AS ti,
                    ARRAY[timestamp '2000-01-01'] AS ts, ARRAY[now()] AS tz,
                    ARRAY['a', NULL]::name[] AS na, ARRAY['x']::char(4)[] AS c,
                    ARRAY['{\"a\": 1}', '[]']::jsonb[] AS jb, ARRAY['{ }']::json[] AS j,
                    ARRAY['v']::varchar(3)[] AS v",
        );
    }

    #[pg_test]
    fn long_arrays_round_trip() {
        assert_round_trip(
            "SELECT array_agg(CASE WHEN n % 9 <> 0 THEN n END) AS i,
                    array_agg(CASE WHEN n % 8 <> 0 THEN repeat('x', n % 300) END) AS t
             FROM generate_series(1, 3000) AS n",
        );
    }

    #[pg_test]
    fn composites_round_trip() {
        run(
            "CREATE TYPE point3 AS (x float8, label text, n numeric(10,3), ok boolean);
             CREATE TYPE outer_t AS (a int2, p point3, tags text[]);",
        );
        let batch = assert_round_trip(
            "SELECT * FROM (VALUES
                (ROW(1.5, 'one', 1.25, true)::point3, ROW(1, ROW(2, 'in', 3, NULL), '{a,NULL}')::outer_t),
                (ROW(NULL, NULL, NULL, NULL)::point3, ROW(NULL, NULL, NULL)::outer_t),
                (NULL, ROW(3, ROW(NULL, '', NULL, false), '{}')::outer_t),
                (ROW('NaN', repeat('long', 100), -0.001, NULL)::point3, NULL)) AS v(p, o)",
        );
        assert_eq!(batch.column(0).null_count(), 1);
        assert_eq!(
            batch
                .column(1)
                .as_struct()
                .column_by_name("tags")
                .unwrap()
                .len(),
            4
        );
    }

    #[pg_test]
    fn arrays_of_composites_with_arrays_round_trip() {
        run(
            "CREATE TYPE item AS (name text, sizes int[], at timestamptz);
             CREATE TYPE carton AS (items item[], flag boolean);",
        );
        assert_round_trip(
            "SELECT ARRAY[ROW('a', '{1,2}', '2020-01-01 00:00+00')::item, NULL,
                          ROW(NULL, NULL, NULL)::item, ROW('b', '{}', NULL)::item] AS i
             UNION ALL SELECT '{}' UNION ALL SELECT NULL",
        );
        assert_round_trip(
            "SELECT ROW(ARRAY[ROW('a', ARRAY[1, NULL], now())::item], true)::carton AS b
             UNION ALL SELECT ROW(NULL, NULL)::carton",
        );
    }

    #[pg_test]
    fn domains_inside_of_arrays_and_arrays_in_domains_round_trip() {
        run("CREATE DOMAIN cents AS numeric(8,2);
             CREATE DOMAIN int_list AS int[];");
        assert_round_trip("SELECT ARRAY[1.5, NULL]::cents[] AS c, ARRAY[1, 2]::int_list AS l");
        assert_round_trip("SELECT ARRAY[ARRAY[1, 2]::int_list, '{}', NULL]::int_list[] AS l");
        let element = resolve("cents[]").unwrap().arrow_type();
        assert!(matches!(element, DataType::List(field)
            if *field.data_type() == DataType::Decimal128(8, 2) && field.is_nullable()));
    }

    #[pg_test]
    fn dropped_attributes_are_skipped() {
        run("CREATE TYPE shrunk AS (a int, gone text, b text);
             CREATE TABLE kept (v shrunk);
             INSERT INTO kept VALUES (ROW(1, 'dropped value', 'b'));
             ALTER TYPE shrunk DROP ATTRIBUTE gone;
             INSERT INTO kept VALUES (ROW(2, 'c'));");
        let batch = assert_round_trip("SELECT ROW((v).*)::shrunk AS v FROM kept");
        assert_eq!(batch.column(0).as_struct().num_columns(), 2);
        // The first row still holds the dropped value, which does not come back.
        let batch = with_rows("SELECT v FROM kept", |rows| to_batch(rows).unwrap());
        let field = batch.column(0).as_struct().column_by_name("b").unwrap();
        assert_eq!(
            field
                .as_string::<i32>()
                .iter()
                .flatten()
                .collect::<Vec<_>>(),
            ["b", "c"]
        );
    }

    #[pg_test]
    fn attributes_added_after_the_value_are_null() {
        run("CREATE TYPE grown AS (a int);
             CREATE TABLE old_rows (v grown);
             INSERT INTO old_rows VALUES (ROW(1));
             ALTER TYPE grown ADD ATTRIBUTE b text;
             INSERT INTO old_rows VALUES (ROW(2, 'new'));");
        let batch = with_rows("SELECT v FROM old_rows", |rows| to_batch(rows).unwrap());
        let field = batch.column(0).as_struct().column_by_name("b").unwrap();
        assert_eq!(
            field.as_string::<i32>().iter().collect::<Vec<_>>(),
            [None, Some("new")]
        );
    }

    #[pg_test]
    fn table_row_types_round_trip() {
        run(
            "CREATE TABLE person (id int, name text DEFAULT 'x', born date);
             INSERT INTO person VALUES (1, 'Ada', '1815-12-10'), (2, NULL, NULL);",
        );
        assert_round_trip("SELECT p FROM person AS p");
        assert_round_trip("SELECT array_agg(p) AS all_of_them FROM person AS p");
    }

    #[pg_test]
    fn other_array_shapes_are_refused() {
        let unsupported = PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED;
        assert_refused(
            "SELECT ARRAY[[1, 2], [3, 4]] AS c",
            unsupported,
            "column \"c\": array value has 2 dimensions",
        );
        assert_refused(
            "SELECT '[0:1]={1,2}'::int[] AS c",
            unsupported,
            "column \"c\": array value has lower bound 0",
        );
        assert_round_trip("SELECT ('[0:1]={1,2}'::int[])[:] AS c");
    }

    #[pg_test]
    fn errors_inside_of_composites_name_the_field() {
        run("CREATE TYPE inner_n AS (n numeric(5,2));
             CREATE TYPE outer_n AS (rows inner_n[]);");
        assert_refused(
            "SELECT ROW(ARRAY[ROW(1), ROW('NaN')]::inner_n[])::outer_n AS c",
            PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            "column \"c\": field \"rows\": field \"n\": numeric value NaN has no decimal form",
        );
    }
}
