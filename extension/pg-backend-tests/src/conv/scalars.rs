//! Every scalar type: NULLs, ordinary values, extremes.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use super::super::query::resolve;
    use super::super::round_trip::assert_round_trip;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{
        DataType, Date32Type, Decimal128Type, Int32Type, TimeUnit, TimestampMicrosecondType,
    };
    use pgrx::prelude::*;
    use std::sync::Arc;

    #[pg_test]
    fn scalar_types_have_their_arrow_types() {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
        let cases = [
            ("boolean", DataType::Boolean),
            ("smallint", DataType::Int32),
            ("integer", DataType::Int32),
            ("bigint", DataType::Int64),
            ("real", DataType::Float32),
            ("double precision", DataType::Float64),
            ("numeric(38,0)", DataType::Decimal128(38, 0)),
            ("numeric(38,38)", DataType::Decimal128(38, 38)),
            ("numeric(10)", DataType::Decimal128(10, 0)),
            ("text", DataType::Utf8),
            ("varchar", DataType::Utf8),
            ("varchar(7)", DataType::Utf8),
            ("char(7)", DataType::Utf8),
            ("name", DataType::Utf8),
            ("json", DataType::Utf8),
            ("jsonb", DataType::Utf8),
            ("bytea", DataType::Binary),
            ("date", DataType::Date32),
            ("time", DataType::Time64(TimeUnit::Microsecond)),
            ("time(3)", DataType::Time64(TimeUnit::Microsecond)),
            (
                "timestamp",
                DataType::Timestamp(TimeUnit::Microsecond, None),
            ),
            ("timestamptz", utc),
            ("uuid", DataType::FixedSizeBinary(16)),
        ];
        for (sql_type, arrow_type) in cases {
            assert_eq!(
                resolve(sql_type).unwrap().arrow_type(),
                arrow_type,
                "{sql_type}"
            );
        }
    }

    #[pg_test]
    fn booleans_and_integers_round_trip() {
        assert_round_trip(
            "SELECT * FROM (VALUES
                (true, 32767::int2, 2147483647, 9223372036854775807),
                (false, (-32768)::int2, -2147483648, -9223372036854775808),
                (true, 0::int2, 0, 0::int8),
                (NULL, NULL, NULL, NULL),
                (false, (-1)::int2, -1, (-1)::int8)) AS v(b, i2, i4, i8)",
        );
    }

    #[pg_test]
    fn floats_round_trip_with_nan_infinities_and_negative_zero() {
        assert_round_trip(
            "SELECT x::real AS f4, x::float8 AS f8
             FROM unnest(ARRAY['NaN', 'Infinity', '-Infinity', '-0', '0', '1e-37', '3.4028235e38',
                               '0.1', NULL]) AS x",
        );
        assert_round_trip(
            "SELECT x::float8 FROM unnest(ARRAY['1.7976931348623157e308', '5e-324', '-5e-324']) AS x",
        );
    }

    #[pg_test]
    fn numerics_round_trip() {
        let batch = assert_round_trip(
            "SELECT x::numeric(15,2) FROM unnest(ARRAY['0', '0.01', '-0.01', '1', '100', '12345.67',
                '-9999999999999.99', '9999999999999.99', '10000', '10000.10', NULL]) AS x",
        );
        let values = batch.column(0).as_primitive::<Decimal128Type>();
        assert_eq!(values.value(5), 1_234_567);
        assert!(values.is_null(10));
        for (precision, scale) in [(38, 0), (38, 37), (38, 38), (1, 0), (1, 1), (5, 3), (19, 4)] {
            let nines = "9".repeat(precision);
            assert_round_trip(&format!(
                "SELECT (sign * x * '1e-{scale}'::numeric)::numeric({precision},{scale}) AS c
                 FROM unnest(ARRAY[0, 1, 7, {nines}, {nines} - 1]) AS x,
                      unnest(ARRAY[1, -1]) AS sign"
            ));
        }
    }

    #[pg_test]
    fn numerics_of_every_scale_and_length_round_trip() {
        for scale in (0..=38).step_by(3) {
            assert_round_trip(&format!(
                "SELECT (sign * digits::numeric * '1e-{scale}'::numeric)::numeric(38,{scale}) AS c
                 FROM (SELECT left(repeat('1230405000067', 3), n) AS digits
                       FROM generate_series(1, 38) AS n) AS d, unnest(ARRAY[1, -1]) AS sign"
            ));
        }
    }

    #[pg_test]
    fn strings_round_trip() {
        assert_round_trip(
            "SELECT x AS t, x::varchar(20) AS v, x::char(20) AS c, x::name AS n
             FROM unnest(ARRAY['', 'a', ' padded ', 'größer', '日本語', E'tab\\tnew\\nline',
                               U&'\\+01F600', NULL]) AS x",
        );
        assert_round_trip("SELECT repeat('n', 63)::name AS n, ''::name AS e");
    }

    #[pg_test]
    fn blanks_of_char_are_kept() {
        let batch = assert_round_trip("SELECT 'ab'::char(5) AS c, 'ab  '::char(4) AS d");
        assert_eq!(batch.column(0).as_string::<i32>().value(0), "ab   ");
        assert_eq!(batch.column(1).as_string::<i32>().value(0), "ab  ");
    }

    #[pg_test]
    fn bytea_and_uuid_round_trip() {
        assert_round_trip(
            "SELECT '\\x'::bytea AS b, '00000000-0000-0000-0000-000000000000'::uuid AS u
             UNION ALL SELECT '\\x00ff00', 'ffffffff-ffff-ffff-ffff-ffffffffffff'
             UNION ALL SELECT NULL, NULL
             UNION ALL SELECT decode(repeat('ab', 200), 'hex'), gen_random_uuid()",
        );
    }

    #[pg_test]
    fn json_is_kept_to_the_letter_and_jsonb_by_value() {
        assert_round_trip(
            r#"SELECT x::json AS j, x::jsonb AS b FROM unnest(ARRAY[
                '{"b": 1,   "a": [1.10, 2e3, null, true]}', '[]', '{}', '"x\u00e9\n"', 'null', '0',
                '-1.50', '{"nested": {"deep": [[[{"k": "v"}]]]}}', NULL]) AS x"#,
        );
        assert_round_trip(
            "SELECT jsonb_object_agg('key' || n, repeat('v', n)) AS b FROM generate_series(1, 500) AS n",
        );
    }

    #[pg_test]
    fn dates_round_trip_to_both_ends() {
        let batch = assert_round_trip(
            "SELECT x::date AS d FROM unnest(ARRAY['1970-01-01', '2000-01-01', '1969-12-31',
                '4713-01-01 BC', '4714-11-24 BC', '5874897-12-31', '0001-01-01', '0001-12-31 BC',
                NULL]) AS x",
        );
        let days = batch.column(0).as_primitive::<Date32Type>();
        assert_eq!(
            (days.value(0), days.value(1), days.value(2)),
            (0, 10_957, -1)
        );
    }

    #[pg_test]
    fn times_round_trip() {
        assert_round_trip(
            "SELECT x::time AS t, x::time(0) AS t0 FROM unnest(ARRAY['00:00', '12:34:56.789012',
                '23:59:59', NULL]) AS x
             UNION ALL SELECT '23:59:59.999999', '00:00'",
        );
    }

    #[pg_test]
    fn timestamps_round_trip_to_both_ends() {
        let batch = assert_round_trip(
            "SELECT x::timestamp AS t, (x || '+00')::timestamptz AS z FROM unnest(ARRAY[
                '1970-01-01 00:00', '2000-01-01 00:00', '1969-12-31 23:59:59.999999',
                '294247-01-01 00:00', '0044-03-15 12:00:00.000001', NULL]) AS x
             UNION ALL SELECT '4714-11-24 00:00 BC', '4714-11-24 00:00+00 BC'
             UNION ALL SELECT '294247-01-10 04:00:54.775807', '294247-01-10 04:00:54.775807+00'",
        );
        let micros = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        assert_eq!((micros.value(0), micros.value(2)), (0, -1));
        assert_eq!(micros.value(7), i64::MAX);
    }

    #[pg_test]
    fn domains_are_their_base_type() {
        super::super::query::run(
            "CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE >= 0);
             CREATE DOMAIN cheap AS price CHECK (VALUE < 10);
             CREATE DOMAIN code AS char(3);",
        );
        assert_eq!(
            resolve("cheap").unwrap().arrow_type(),
            DataType::Decimal128(10, 2)
        );
        assert_round_trip(
            "SELECT 9.99::cheap AS p, 'ab'::code AS c UNION ALL SELECT NULL::cheap, NULL::code",
        );
    }

    #[pg_test]
    fn many_rows_round_trip() {
        let batch = assert_round_trip(
            "SELECT n AS i, n::int8 * 1000003 AS l, (n / 7.0)::numeric(20,6) AS d, 'row ' || n AS t,
                    CASE WHEN n % 3 = 0 THEN n % 2 = 0 END AS b, date '2000-01-01' + n AS day
             FROM generate_series(1, 5000) AS n",
        );
        assert_eq!(batch.num_rows(), 5000);
        assert_eq!(
            batch.column(0).as_primitive::<Int32Type>().value(4999),
            5000
        );
        assert_eq!(batch.column(4).null_count(), 3334);
    }
}
