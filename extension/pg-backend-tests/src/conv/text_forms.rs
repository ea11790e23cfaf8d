//! Types that Arrow has no counterpart of: kept in a form that no setting changes, and exactly.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use super::super::query::{Rows, resolve, run, text_of, with_rows};
    use super::super::round_trip::{assert_refused, assert_same_rows, to_batch};
    use arrow::array::{AsArray, RecordBatch};
    use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
    use pg_arrow_conv::{BatchDecoder, RowAppender, UnconstrainedNumeric};
    use pgrx::prelude::*;
    use pgrx::{PgSqlErrorCode, pg_sys};
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
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

    type Texts = BoxedStrategy<String>;

    fn texts(strategy: impl Strategy<Value = impl ToString + 'static> + 'static) -> Texts {
        strategy.prop_map(|value| value.to_string()).boxed()
    }

    fn float() -> Texts {
        any::<f64>()
            .prop_map(|value| match value {
                value if value.is_nan() => "NaN".to_owned(),
                value if value.is_infinite() && value > 0.0 => "Infinity".to_owned(),
                value if value.is_infinite() => "-Infinity".to_owned(),
                value => format!("{value:e}"),
            })
            .boxed()
    }

    /// Up to `whole` digits before the point and `fraction` after it.
    fn number(whole: usize, fraction: usize) -> Texts {
        (
            proptest::string::string_regex(&format!("[0-9]{{1,{whole}}}")).unwrap(),
            proptest::string::string_regex(&format!("[0-9]{{0,{fraction}}}")).unwrap(),
            any::<bool>(),
        )
            .prop_map(|(whole, fraction, negative)| {
                format!("{}{whole}.{fraction}", if negative { "-" } else { "" })
            })
            .boxed()
    }

    fn timestamp() -> Texts {
        let date = (1..9999, 1..=12, 1..=28);
        let time = (0..24, 0..60, 0..60, 0..1_000_000);
        (date, time)
            .prop_map(|((y, m, d), (h, min, s, us))| {
                format!("{y:04}-{m:02}-{d:02} {h:02}:{min:02}:{s:02}.{us:06}+00")
            })
            .boxed()
    }

    /// Ranges of values that the subtype orders as they come.
    fn range<T: ToString + Ord + std::fmt::Debug + 'static>(
        bounds: impl Strategy<Value = T> + 'static,
    ) -> Texts {
        let pair = proptest::collection::vec(bounds, 2);
        (pair, 0..6)
            .prop_map(|(mut bounds, kind)| {
                bounds.sort();
                let [low, high] = &bounds[..] else {
                    return "empty".to_owned();
                };
                let (low, high) = (low.to_string(), high.to_string());
                match kind {
                    0 => "empty".to_owned(),
                    1 => "(,)".to_owned(),
                    2 => format!("[\"{low}\",)"),
                    3 => format!("(,\"{high}\"]"),
                    4 => format!("(\"{low}\",\"{high}\")"),
                    _ => format!("[\"{low}\",\"{high}\"]"),
                }
            })
            .boxed()
    }

    /// Any characters but the zero byte, in double quotes with backslashes.
    fn quoted() -> Texts {
        proptest::string::string_regex("[^\0]{0,6}")
            .unwrap()
            .prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
            .boxed()
    }

    fn lexeme() -> Texts {
        proptest::string::string_regex("[a-zé'\\\\ :*&|!()<>-]{1,6}")
            .unwrap()
            .prop_map(|text| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''")))
            .boxed()
    }

    fn pattern(regex: &str) -> Texts {
        proptest::string::string_regex(regex).unwrap().boxed()
    }

    fn types() -> Vec<(&'static str, Texts)> {
        let mac = |bytes: usize| {
            proptest::collection::vec(any::<u8>(), bytes)
                .prop_map(|bytes| {
                    let bytes: Vec<_> = bytes.iter().map(|b| format!("{b:02x}")).collect();
                    bytes.join(":")
                })
                .boxed()
        };
        let address = prop_oneof![
            (any::<std::net::Ipv4Addr>(), 0..=32).prop_map(|(a, bits)| format!("{a}/{bits}")),
            (any::<std::net::Ipv6Addr>(), 0..=128).prop_map(|(a, bits)| format!("{a}/{bits}")),
        ];
        let interval = prop_oneof![
            9 => (any::<i32>(), any::<i32>(), any::<i64>()).prop_map(|(months, days, micros)| {
                format!("{months} months {days} days {micros} microseconds")
            }),
            9 => (-100..100, -100..100, -100_000_000..100_000_000_i64).prop_map(|(months, days, micros)| {
                format!("{months} months {days} days {micros} microseconds")
            }),
            1 => Just("infinity".to_owned()),
            1 => Just("-infinity".to_owned()),
        ];
        let timetz = (0..=23, 0..60, 0..60, 0..1_000_000, -15..=15, 0..60, 0..60)
            .prop_map(|(h, m, s, us, zh, zm, zs)| {
                format!("{h:02}:{m:02}:{s:02}.{us:06}{zh:+03}:{zm:02}:{zs:02}")
            })
            .boxed();
        let point = || (float(), float()).prop_map(|(x, y)| format!("({x},{y})"));
        let points = |first: &'static str, last: &'static str| {
            proptest::collection::vec(point(), 1..5)
                .prop_map(move |points| format!("{first}{}{last}", points.join(",")))
                .boxed()
        };
        let vector = proptest::collection::vec((lexeme(), 1..16_383, "[A-D]?"), 0..5)
            .prop_map(|words| {
                let words: Vec<_> = words
                    .iter()
                    .map(|(word, at, weight)| format!("{word}:{at}{weight}"))
                    .collect();
                words.join(" ")
            })
            .boxed();
        let query = (
            lexeme(),
            "( & | \\| | <-> | <3> | & !)",
            lexeme(),
            "( & | \\| )",
            lexeme(),
        )
            .prop_map(|(a, op, b, op2, c)| format!("({a}:*A{op}({b}{op2}{c})){op2}!({c}{op2}{a})"))
            .boxed();
        let store =
            proptest::collection::vec((quoted(), prop_oneof![quoted(), Just("NULL".into())]), 0..4)
                .prop_map(|pairs| {
                    let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}=>{v}")).collect();
                    pairs.join(", ")
                })
                .boxed();
        vec![
            ("numeric", number(20, 18)),
            ("numeric(60,30)", number(30, 30)),
            ("numeric(5,-3)", number(7, 0)),
            ("numeric(3,6)", pattern("0\\.000[0-9]{3}")),
            ("interval", interval.boxed()),
            ("mood", pattern("(sad|ok|very \"happy\"|it's)")),
            ("inet", address.boxed()),
            ("macaddr", mac(6)),
            ("macaddr8", mac(8)),
            ("bit(7)", pattern("[01]{7}")),
            ("varbit(40)", pattern("[01]{0,40}")),
            ("bit varying", pattern("[01]{0,40}")),
            ("int4range", range(-1_000_000..1_000_000)),
            (
                "int8multirange",
                range(-1_000_000..1_000_000)
                    .prop_map(|r| format!("{{{r}}}"))
                    .boxed(),
            ),
            (
                "numrange",
                range((0..10_000_i64).prop_map(|n| format!("{:09}.{:03}0", n / 7, n % 1000))),
            ),
            (
                "daterange",
                range(timestamp().prop_map(|t| t[..10].to_owned())),
            ),
            (
                "tsrange",
                range(timestamp().prop_map(|t| t[..26].to_owned())),
            ),
            ("tstzrange", range(timestamp())),
            (
                "tstzmultirange",
                range(timestamp()).prop_map(|r| format!("{{{r}}}")).boxed(),
            ),
            (
                "floats",
                range((0..10_000).prop_map(|n| format!("{:05}.{:03}", n, n % 997))),
            ),
            (
                "blobs",
                range(pattern("[a-f]{2}").prop_map(|hex| format!("\\\\x{hex}"))),
            ),
            ("point", point().boxed()),
            (
                "lseg",
                (point(), point())
                    .prop_map(|(a, b)| format!("[{a},{b}]"))
                    .boxed(),
            ),
            (
                "box",
                (point(), point())
                    .prop_map(|(a, b)| format!("{a},{b}"))
                    .boxed(),
            ),
            (
                "line",
                pattern("\\{-?[1-9]\\.[0-9]{1,15},[0-9],-?[0-9]e-?[1-9]{2}\\}"),
            ),
            (
                "path",
                prop_oneof![points("[", "]"), points("(", ")")].boxed(),
            ),
            ("polygon", points("(", ")")),
            (
                "circle",
                (point(), texts(0.0..1e300_f64))
                    .prop_map(|(p, r)| format!("<{p},{r}>"))
                    .boxed(),
            ),
            ("timetz", timetz),
            ("tsvector", vector),
            ("tsquery", query),
            ("\"char\"", pattern("([ -~]|\\\\[0-3][0-7][0-7]|)")),
            (
                "pg_lsn",
                (any::<u32>(), any::<u32>())
                    .prop_map(|(a, b)| format!("{a:X}/{b:X}"))
                    .boxed(),
            ),
            (
                "jsonpath",
                pattern("(strict )?\\$\\.\"[a-z é]{1,3}\"\\[\\*\\] \\? \\(@ > [1-9]\\.[0-9]\\)"),
            ),
            ("oid", texts(any::<u32>())),
            ("xid", texts(any::<u32>())),
            ("cid", texts(any::<u32>())),
            ("xid8", texts(any::<u64>())),
            ("regtype", texts(100_000..u32::MAX)),
            (
                "tid",
                (any::<u32>(), any::<u16>())
                    .prop_map(|(b, o)| format!("({b},{o})"))
                    .boxed(),
            ),
            ("int2vector", pattern("-?[1-9]{1,4}( [0-9]{1,4}){0,5}")),
            ("oidvector", pattern("[1-9]{1,9}( [0-9]{1,9}){0,5}")),
            ("txid_snapshot", pattern("1[0-9]:2[0-9]:")),
            ("hstore", store),
            ("citext", pattern("[^\0]{0,10}")),
            (
                "ltree",
                pattern("[A-Za-z0-9_]{1,5}(\\.[A-Za-z0-9_]{1,5}){0,4}"),
            ),
            ("cube", pattern("\\([1-9]\\.[0-9]{1,16},-[0-9]e[1-9]{2}\\)")),
        ]
    }

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
                 CREATE TABLE made{index} AS SELECT v, v::d{index} AS d, ARRAY[v, NULL, v]::{sql_type}[] AS a,
                        ROW(v, ARRAY[v, NULL]::d{index}[], 1)::pair{index} AS p,
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
            decoder
                .load(batch, &mapping, pg_sys::CurrentMemoryContext)
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
                        .load(&batch, &[Some(0)], pg_sys::CurrentMemoryContext)
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
                        .load(&batch, &[Some(0)], pg_sys::CurrentMemoryContext)
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
