//! Rows are appended as a whole or not at all.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use super::super::query::{resolve, run, with_rows};
    use super::super::round_trip::assert_same_rows;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{DataType, Field, Fields, Int32Type, Schema};
    use pg_arrow_conv::{ConvError, RowAppender};
    use pgrx::prelude::*;
    use std::collections::HashMap;
    use std::sync::Arc;

    #[pg_test]
    fn refused_rows_leave_no_trace() {
        run("CREATE TYPE pair AS (a text, b text)");
        let query =
            |values: &str| format!("SELECT * FROM (VALUES {values}) AS v(n, t, b, u, l, p, d, x)");
        let row = |n: i32, d: &str| {
            format!("({n}, 'text {n}', {b}, md5('{n}')::uuid, ARRAY['l{n}', NULL], ROW('p{n}', NULL)::pair,
                     '{d}'::date, {n}.5::numeric(5,2))", b = n % 2 == 0)
        };
        let all = query(
            &[
                row(1, "2020-01-01"),
                row(2, "infinity"),
                row(3, "2020-01-03"),
                row(4, "-infinity"),
            ]
            .join(", "),
        );
        let good = query(&[row(1, "2020-01-01"), row(3, "2020-01-03")].join(", "));
        let batch = with_rows(&all, |rows| {
            let mut appender = RowAppender::new(&rows.columns().unwrap());
            let mut bytes = vec![];
            for (values, isnull) in rows.values.iter().zip(&rows.isnull) {
                // SAFETY: the datums are of the columns' types.
                let appended = unsafe { appender.append(values, isnull) };
                assert_eq!(appended.is_err(), bytes.len() % 2 == 1);
                bytes.push(appender.memory_size());
            }
            assert_eq!(appender.len(), 2);
            assert_eq!(bytes[0], bytes[1]);
            assert_eq!(bytes[2], bytes[3]);
            assert_eq!(bytes[2], 2 * bytes[0]);
            appender.finish().unwrap()
        });
        with_rows(&good, |rows| assert_same_rows(rows, &batch, &good));
    }

    #[pg_test]
    fn truncated_rows_are_forgotten() {
        let query =
            "SELECT n, repeat('x', n) AS t, ARRAY[n, n] AS l FROM generate_series(1, 10) AS n";
        with_rows(query, |rows| {
            let mut appender = RowAppender::new(&rows.columns().unwrap());
            let mut bytes = vec![appender.memory_size()];
            for (values, isnull) in rows.values.iter().zip(&rows.isnull) {
                // SAFETY: the datums are of the columns' types.
                unsafe { appender.append(values, isnull) }.unwrap();
                bytes.push(appender.memory_size());
            }
            appender.truncate(20);
            assert_eq!(appender.len(), 10);
            appender.truncate(4);
            assert_eq!(appender.len(), 4);
            assert_eq!(appender.memory_size(), bytes[4]);
            let batch = appender.finish().unwrap();
            assert_eq!(batch.num_rows(), 4);
            assert_eq!(batch.column(1).as_string::<i32>().value(3), "xxxx");
            assert!(appender.is_empty());
            assert_eq!(appender.memory_size(), 0);
            assert_eq!(appender.finish().unwrap().num_rows(), 0);
        });
    }

    #[pg_test]
    fn appenders_are_reused_from_batch_to_batch() {
        let query =
            "SELECT n, CASE WHEN n % 2 = 0 THEN n::text END AS t FROM generate_series(1, 6) AS n";
        with_rows(query, |rows| {
            let mut appender = RowAppender::new(&rows.columns().unwrap());
            for _ in 0..3 {
                for (values, isnull) in rows.values.iter().zip(&rows.isnull) {
                    // SAFETY: the datums are of the columns' types.
                    unsafe { appender.append(values, isnull) }.unwrap();
                }
                assert_same_rows(rows, &appender.finish().unwrap(), query);
            }
        });
    }

    #[pg_test]
    fn callers_schemas_give_names_and_metadata() {
        let id = |id: i32| HashMap::from([("id".to_owned(), id.to_string())]);
        let element = Field::new("item", DataType::Int32, true).with_metadata(id(3));
        let schema = Arc::new(Schema::new(Fields::from(vec![
            Field::new("list", DataType::List(Arc::new(element)), true).with_metadata(id(2)),
            Field::new("number", DataType::Int32, false).with_metadata(id(1)),
        ])));
        with_rows(
            "SELECT 1::int2 AS a, 'not read' AS b, ARRAY[1, 2] AS c",
            |rows| {
                let columns = rows.columns().unwrap();
                let chosen = [(2, columns[2].clone()), (0, columns[0].clone())];
                let mut appender = RowAppender::with_schema(&chosen, Arc::clone(&schema)).unwrap();
                // SAFETY: the datums are of the columns' types.
                unsafe { appender.append(&rows.values[0], &rows.isnull[0]) }.unwrap();
                let batch = appender.finish().unwrap();
                assert_eq!(batch.schema(), schema);
                assert_eq!(batch.column(0).data_type(), schema.field(0).data_type());
                assert_eq!(batch.column(1).as_primitive::<Int32Type>().value(0), 1);
            },
        );
    }

    #[pg_test]
    fn schemas_of_other_types_are_refused() {
        let schema = |data_type| Arc::new(Schema::new(vec![Field::new("c", data_type, true)]));
        let column = resolve("integer").unwrap();
        assert!(matches!(
            RowAppender::with_schema(&[(0, column.clone())], schema(DataType::Int64)),
            Err(ConvError::ArrowType { .. })
        ));
        assert!(matches!(
            RowAppender::with_schema(&[], schema(DataType::Int32)),
            Err(ConvError::Mapping(_))
        ));
        assert!(RowAppender::with_schema(&[(0, column)], schema(DataType::Int32)).is_ok());
    }

    #[pg_test]
    fn nulls_in_a_required_field_are_refused_by_the_batch() {
        let schema = Arc::new(Schema::new(vec![Field::new("c", DataType::Int32, false)]));
        let mut appender =
            RowAppender::with_schema(&[(0, resolve("integer").unwrap())], schema).unwrap();
        // SAFETY: the value is NULL.
        unsafe { appender.append(&[pg_sys::Datum::null()], &[true]) }.unwrap();
        assert!(matches!(appender.finish(), Err(ConvError::Arrow(_))));
        assert!(appender.is_empty());
    }

    #[pg_test]
    fn short_rows_are_refused() {
        let mut appender = RowAppender::new(&[resolve("integer").unwrap()]);
        assert!(matches!(
            // SAFETY: no datum is passed, so none is read.
            unsafe { appender.append(&[], &[]) },
            Err(ConvError::Mapping(_))
        ));
    }
}
