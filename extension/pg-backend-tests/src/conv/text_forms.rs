//! Types that Arrow has no counterpart of: kept in a form that no setting changes, and exactly.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use super::super::query::{Rows, resolve, run, text_of, with_rows};
    use super::super::round_trip::{assert_refused, assert_same_rows, to_batch};
    use super::super::text_values::types;
    use arrow::array::{AsArray, RecordBatch};
    use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
    use pg_arrow_conv::{BatchDecoder, RowAppender, UnconstrainedNumeric};
    use pgrx::prelude::*;
    use pgrx::{PgSqlErrorCode, pg_sys};
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;

    /// Rows of values of each type.
    const VALUES: usize = 150;
    /// Settings that change what PostgreSQL prints, other than as text forms have it.
    const STRANGE: &str =
        "SET LOCAL datestyle = 'SQL, DMY'; SET LOCAL intervalstyle = 'sql_standard';
        SET LOCAL timezone = 'Asia/Kathmandu'; SET LOCAL extra_float_digits = -15;
        SET LOCAL bytea_output = 'escape'; SET LOCAL quote_all_identifiers = on;
        SET LOCAL search_path = nowhere";
    const OTHER: &str =
        "SET LOCAL datestyle = 'Postgres, MDY'; SET LOCAL intervalstyle = 'postgres_verbose';
        SET LOCAL timezone = 'America/St_Johns'; SET LOCAL extra_float_digits = 3;
        SET LOCAL bytea_output = 'hex'; SET LOCAL quote_all_identifiers = off;
        SET LOCAL search_path = pg_catalog";
    const SETTINGS: &str = "datestyle intervalstyle timezone extra_float_digits bytea_output \
        quote_all_identifiers search_path array_nulls";

    fn create_types() {
        run("CREATE TYPE mood AS ENUM ('sad', 'ok', 'very \"happy\"', 'it''s');
             CREATE TYPE floats AS RANGE (subtype = float8, subtype_diff = float8mi);
             CREATE TYPE blobs AS RANGE (subtype = bytea);
             CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION cube");
    }

    fn literal(text: &str) -> String {
        format!("'{}'", text.replace('\'', "''"))
    }

    fn setting(name: &str) -> String {
        Spi::get_one::<String>(&format!("SELECT current_setting('{name}')"))
            .unwrap()
            .unwrap()
    }

    /// Every type as a scalar, in a domain, in arrays and composites, with NULLs at every level.
    #[pg_test]
    fn text_forms_round_trip_whatever_the_settings() {
        create_types();
        let schema = setting("search_path");
        let mut runner = TestRunner::deterministic();
        for (index, (sql_type, strategy)) in types().into_iter().enumerate() {
            let mut values = vec!["NULL".to_owned()];
            for _ in 0..VALUES {
                values.push(literal(&strategy.new_tree(&mut runner).unwrap().current()));
            }
            run(&format!(
                "SET LOCAL search_path = {schema};
                 CREATE DOMAIN d{index} AS {sql_type};
                 CREATE TYPE pair{index} AS (v {sql_type}, vs d{index}[], n int);
                 CREATE DOMAIN pairs{index} AS pair{index}[];
                 CREATE DOMAIN one_pair{index} AS pair{index};
                 CREATE TABLE made{index} AS SELECT v, v::d{index} AS d, ARRAY[v, NULL, v]::{sql_type}[] AS a,
                        ROW(v, ARRAY[v, NULL]::d{index}[], 1)::pair{index} AS p,
                        ROW(v, NULL, 3)::pair{index}::one_pair{index} AS o,
                        ARRAY[ROW(v, ARRAY[v], 4)::pair{index}, NULL]::one_pair{index}[] AS os,
                        ARRAY[ROW(NULL, NULL, 2)::pair{index}, ROW(v, '{{}}', NULL)::pair{index}, NULL]::pairs{index} AS ps
                 FROM (SELECT text::{sql_type} AS v FROM unnest(ARRAY[{}]::text[]) AS text) AS s",
                values.join(", ")
            ));
            let query = format!("TABLE {}.made{index}", table_schema(index));
            with_rows(&query, |rows| {
                run(STRANGE);
                let before = SETTINGS.split_whitespace().map(setting).collect::<Vec<_>>();
                let batch = to_batch(rows).unwrap_or_else(|error| panic!("{sql_type}: {error}"));
                run(OTHER);
                let again = to_batch(rows).unwrap_or_else(|error| panic!("{sql_type}: {error}"));
                assert_eq!(batch, again, "{sql_type}: settings show");
                // A query's lexemes may lie in another order.
                if ["numeric", "tsquery"].contains(&sql_type) {
                    assert_equal_by_operator(rows, &batch, sql_type);
                } else {
                    assert_same_rows(rows, &batch, sql_type);
                }
                run(STRANGE);
                let after = SETTINGS.split_whitespace().map(setting).collect::<Vec<_>>();
                assert_eq!(before, after);
            });
        }
    }

    fn table_schema(index: usize) -> String {
        Spi::get_one::<String>(&format!(
            "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'made{index}'"
        ))
        .unwrap()
        .unwrap()
    }

    /// Compares as `record_eq` does, for which 1.50 is 1.5.
    fn assert_equal_by_operator(rows: &Rows, batch: &RecordBatch, sql_type: &str) {
        let columns: Vec<_> = rows.columns().unwrap().into_iter().map(Some).collect();
        let mapping: Vec<_> = (0..columns.len()).map(Some).collect();
        let mut decoder = BatchDecoder::new(&columns);
        // SAFETY: the current context outlives this function; the tuples are formed for the
        // descriptor, which is blessed.
        unsafe {
            decoder.take(batch, &mapping).unwrap();
            decoder
                .load(0..batch.num_rows(), pg_sys::CurrentMemoryContext)
                .unwrap();
            let tupdesc = pg_sys::BlessTupleDesc(rows.tupdesc);
            let mut values = vec![pg_sys::Datum::null(); columns.len()];
            let mut isnull = vec![true; columns.len()];
            for row in 0..rows.values.len() {
                decoder.fill(row, &mut values, &mut isnull);
                let form = |values: &[pg_sys::Datum], isnull: &[bool]| {
                    let tuple = pg_sys::heap_form_tuple(tupdesc, values.as_ptr(), isnull.as_ptr());
                    pg_sys::Datum::from((*tuple).t_data)
                };
                let equal = pg_sys::OidFunctionCall2Coll(
                    pg_sys::Oid::from_u32(pg_sys::F_RECORD_EQ),
                    pg_sys::Oid::INVALID,
                    form(&rows.values[row], &rows.isnull[row]),
                    form(&values, &isnull),
                );
                assert!(equal.value() != 0, "{sql_type}: row {row} differs");
            }
        }
    }

    fn form_of(expression: &str) -> String {
        with_rows(&format!("SELECT {expression} AS c"), |rows| {
            to_batch(rows)
                .unwrap()
                .column(0)
                .as_string::<i32>()
                .value(0)
                .to_owned()
        })
    }

    #[pg_test]
    fn text_forms_are_canonical() {
        create_types();
        run(
            "SET LOCAL datestyle = 'SQL, DMY'; SET LOCAL intervalstyle = 'sql_standard';
             SET LOCAL timezone = 'Asia/Kathmandu'; SET LOCAL extra_float_digits = -15;
             SET LOCAL bytea_output = 'escape'",
        );
        for (expression, form) in [
            ("make_interval(1, 2, 0, -3, 4, 5, 6.5)", "P1Y2M-3DT4H5M6.5S"),
            ("'very \"happy\"'::mood", "very \"happy\""),
            ("inet '10.1.2.3/8'", "10.1.2.3/8"),
            ("B'0101'", "0101"),
            (
                "tstzrange '[2024-01-01 00:00+00,infinity)'",
                "[\"2024-01-01 00:00:00+00\",infinity)",
            ),
            (
                "daterange '[2024-02-28,2024-02-29]'",
                "[2024-02-28,2024-03-01)",
            ),
            ("floats '[0.1,1e300)'", "[0.1,1e+300)"),
            ("blobs '[a,b)'", "[\"\\\\x61\",\"\\\\x62\")"),
            (
                "point(0.1, 0.30000000000000004)",
                "(0.1,0.30000000000000004)",
            ),
            ("timetz '12:34:56.5+05:45'", "12:34:56.5+05:45"),
            ("tsvector 'fat cat:3A'", "'cat':3A 'fat'"),
            ("1.50::numeric(50,2)", "1.50"),
            ("123456::numeric(5,-2)", "123500"),
            ("tid '(4,2)'", "(4,2)"),
            (
                "tsquery 'a & (b & c) & !(d | e:*AB)'",
                "'a' & ( 'b' & 'c' ) & !( 'd' | 'e':*AB )",
            ),
            (
                "tsquery 'a <-> (b <2> c) | (d | e)'",
                "'a' <-> ( 'b' <2> 'c' ) | ( 'd' | 'e' )",
            ),
            ("citext 'MiXed'", "MiXed"),
        ] {
            assert_eq!(form_of(expression), form, "{expression}");
        }
    }

    #[pg_test]
    fn integers_without_counterpart_are_numbers() {
        let forms = [
            ("oid", DataType::Int64),
            ("regclass", DataType::Int64),
            ("xid", DataType::Int64),
            ("xid8", DataType::Decimal128(20, 0)),
            ("numeric", DataType::Decimal128(38, 18)),
            ("numeric(39,2)", DataType::Utf8),
            ("int2vector", DataType::Utf8),
        ];
        for (sql_type, arrow_type) in forms {
            assert_eq!(
                resolve(sql_type).unwrap().arrow_type(),
                arrow_type,
                "{sql_type}"
            );
        }
        with_rows(
            "SELECT '4294967295'::oid AS o, '18446744073709551615'::xid8 AS x, 1.50::numeric AS n",
            |rows| {
                let batch = to_batch(rows).unwrap();
                assert_eq!(
                    batch.column(0).as_primitive::<Int64Type>().value(0),
                    4_294_967_295
                );
                assert_eq!(
                    batch.column(1).as_primitive::<Decimal128Type>().value(0),
                    i128::from(u64::MAX)
                );
                assert_eq!(
                    batch.column(2).as_primitive::<Decimal128Type>().value(0),
                    1_500_000_000_000_000_000
                );
            },
        );
    }

    #[pg_test]
    fn numerics_without_precision_lose_padding_and_nothing_else() {
        with_rows(
            "SELECT x::numeric AS n FROM unnest(ARRAY['1.50', '100', '0', '-0.000000000000000001', '10.10',
                '99999999999999999999.999999999999999999']) AS x",
            |rows| {
                let batch = to_batch(rows).unwrap();
                let mut decoder = BatchDecoder::new(&[Some(resolve("numeric").unwrap())]);
                // SAFETY: the current context outlives this function.
                unsafe {
                    decoder
                        .take(&batch, &[Some(0)])
                        .and_then(|()| decoder.load(0..batch.num_rows(), pg_sys::CurrentMemoryContext))
                        .unwrap();
                }
                let (values, _) = decoder.column(0).unwrap();
                let texts: Vec<_> = values
                    .iter()
                    .map(|value| text_of(pg_sys::NUMERICOID, *value))
                    .collect();
                let expected = [
                    "1.5",
                    "100",
                    "0",
                    "-0.000000000000000001",
                    "10.1",
                    "99999999999999999999.999999999999999999",
                ];
                assert_eq!(texts, expected);
            },
        );
        for value in ["100000000000000000000", "0.0000000000000000001"] {
            assert_refused(
                &format!("SELECT {value}::numeric AS n"),
                PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
                "column \"n\": numeric value does not fit decimal(38,18)",
            );
        }
    }

    #[pg_test]
    fn numerics_without_precision_can_be_text() {
        let query = "SELECT x::numeric AS n, ARRAY[x::numeric] AS ns FROM unnest(ARRAY['1.50', 'NaN', '-Infinity',
            '1e-1000', '1e1000', NULL]) AS x";
        with_rows(query, |rows| {
            let columns = rows.columns_with(UnconstrainedNumeric::Text).unwrap();
            let mut appender = RowAppender::new(&columns);
            for (values, isnull) in rows.values.iter().zip(&rows.isnull) {
                // SAFETY: the datums are of the columns' types.
                unsafe { appender.append(values, isnull) }.unwrap();
            }
            let batch = appender.finish().unwrap();
            assert_eq!(batch.column(0).as_string::<i32>().value(0), "1.50");
            assert_eq!(batch.column(0).as_string::<i32>().value(1), "NaN");
            // What a column is kept as shows in the batch, whatever a new column would be.
            assert_same_rows(rows, &batch, query);
        });
    }

    /// A value that another writer has spoilt raises the type's own error, and the settings are the
    /// session's afterwards.
    #[pg_test]
    fn text_that_is_no_value_raises_and_leaves_the_settings_alone() {
        create_types();
        run("SET LOCAL timezone = 'Asia/Kathmandu'; SET LOCAL intervalstyle = 'postgres_verbose'");
        let before = SETTINGS.split_whitespace().map(setting).collect::<Vec<_>>();
        let text = arrow::array::StringArray::from(vec!["no value"]);
        let batch = RecordBatch::try_from_iter([("c", std::sync::Arc::new(text) as _)]).unwrap();
        for sql_type in ["interval", "mood", "tstzrange", "hstore", "ltree", "floats"] {
            let column = resolve(sql_type).unwrap();
            let error = PgTryBuilder::new(std::panic::AssertUnwindSafe(|| {
                let mut decoder = BatchDecoder::new(&[Some(column.clone())]);
                // SAFETY: the current context outlives this function.
                unsafe {
                    decoder
                        .take(&batch, &[Some(0)])
                        .and_then(|()| {
                            decoder.load(0..batch.num_rows(), pg_sys::CurrentMemoryContext)
                        })
                        .unwrap();
                }
                None
            }))
            .catch_others(|error| match error {
                pg_sys::panic::CaughtError::PostgresError(report)
                | pg_sys::panic::CaughtError::ErrorReport(report) => {
                    Some(report.message().to_owned())
                }
                other => other.rethrow(),
            })
            .execute();
            assert!(error.is_some(), "{sql_type}");
            let after = SETTINGS.split_whitespace().map(setting).collect::<Vec<_>>();
            assert_eq!(before, after, "{sql_type}");
            // The text of an interval shows that the variables are the session's as well.
            let shown = Spi::get_one::<String>("SELECT '1 day'::interval::text")
                .unwrap()
                .unwrap();
            assert_eq!(shown, "@ 1 day", "{sql_type}");
        }
    }

    #[pg_test]
    fn empty_queries_are_read_without_notices() {
        with_rows("SELECT ''::tsquery AS q", |rows| {
            let batch = to_batch(rows).unwrap();
            run("SET LOCAL client_min_messages = error");
            assert_same_rows(rows, &batch, "an empty tsquery");
        });
    }
}
