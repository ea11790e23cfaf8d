//! Batches that others have written: other layouts of the same values, values out of range.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use super::super::query::{resolve, run, text_of, with_rows};
    use arrow::array::{
        Array, ArrayRef, BinaryArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
        Float32Array, Int32Array, Int64Array, LargeStringArray, ListArray, RecordBatch,
        StringArray, StringViewArray, StructArray, Time64MicrosecondArray,
        TimestampMicrosecondArray,
    };
    use arrow::buffer::{NullBuffer, OffsetBuffer};
    use arrow::datatypes::{DataType, Field, Fields, Int32Type};
    use pg_arrow_conv::{BatchDecoder, ColumnType, ConvError};
    use pgrx::PgSqlErrorCode;
    use pgrx::prelude::*;
    use std::sync::Arc;

    fn decode(sql_type: &str, array: ArrayRef) -> Result<Vec<Option<String>>, ConvError> {
        let column = resolve(sql_type).unwrap();
        let type_oid = with_rows(&format!("SELECT NULL::{sql_type}"), |rows| {
            rows.attributes()[0].0
        });
        let mut decoder = BatchDecoder::new(&[Some(column)]);
        let batch = RecordBatch::try_from_iter_with_nullable([("c", array, true)]).unwrap();
        // SAFETY: the current context outlives this function.
        unsafe {
            decoder.take(&batch, &[Some(0)])?;
            decoder.load(0..batch.num_rows(), pg_sys::CurrentMemoryContext)?;
        }
        let (values, isnull) = decoder.column(0).unwrap();
        Ok(values
            .iter()
            .zip(isnull)
            .map(|(value, isnull)| (!isnull).then(|| text_of(type_oid, *value)))
            .collect())
    }

    fn assert_decoded(sql_type: &str, array: impl Array + 'static, expected: &[Option<&str>]) {
        let decoded = decode(sql_type, Arc::new(array)).unwrap();
        let decoded: Vec<_> = decoded.iter().map(Option::as_deref).collect();
        assert_eq!(decoded, expected, "{sql_type}");
    }

    fn assert_refused(
        sql_type: &str,
        array: impl Array + 'static,
        sqlstate: PgSqlErrorCode,
        message: &str,
    ) {
        let error = decode(sql_type, Arc::new(array)).expect_err(sql_type);
        assert_eq!(error.to_string(), message);
        assert_eq!(error.sqlstate(), sqlstate, "{sql_type}");
    }

    #[pg_test]
    fn narrower_numbers_are_widened() {
        assert_decoded(
            "bigint",
            Int32Array::from(vec![Some(1), None]),
            &[Some("1"), None],
        );
        assert_decoded("integer", Int64Array::from(vec![7]), &[Some("7")]);
        assert_decoded("smallint", Int64Array::from(vec![-7]), &[Some("-7")]);
        assert_decoded("float8", Float32Array::from(vec![0.5]), &[Some("0.5")]);
    }

    #[pg_test]
    fn integers_out_of_range_are_refused() {
        let sqlstate = PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
        assert_refused(
            "smallint",
            Int32Array::from(vec![1, 32_768]),
            sqlstate,
            "column \"c\": value 32768 is out of range for type smallint",
        );
        assert_refused(
            "integer",
            Int64Array::from(vec![-2_147_483_649]),
            sqlstate,
            "column \"c\": value -2147483649 is out of range for type integer",
        );
    }

    #[pg_test]
    fn values_under_null_are_not_looked_at() {
        let nulls = NullBuffer::from(vec![true, false]);
        let array = Int32Array::new(vec![1, 99_999].into(), Some(nulls));
        assert_decoded("smallint", array, &[Some("1"), None]);
    }

    #[pg_test]
    fn other_string_layouts_are_read() {
        let expected = [Some("größer"), None, Some("")];
        let values = vec![Some("größer"), None, Some("")];
        assert_decoded("text", LargeStringArray::from(values.clone()), &expected);
        assert_decoded("text", StringViewArray::from(values.clone()), &expected);
        assert_decoded("varchar", StringArray::from(values), &expected);
        let sliced = StringArray::from(vec!["a", "b", "c"]).slice(1, 1);
        assert_decoded("text", sliced, &[Some("b")]);
        let fixed = FixedSizeBinaryArray::try_from_iter([[1_u8, 2], [3, 4]].into_iter()).unwrap();
        assert_decoded("bytea", fixed, &[Some("\\x0102"), Some("\\x0304")]);
    }

    #[pg_test]
    fn declared_lengths_are_kept() {
        assert_decoded(
            "char(3)",
            StringArray::from(vec!["ä", "abc"]),
            &[Some("ä  "), Some("abc")],
        );
        assert_decoded("varchar(3)", StringArray::from(vec!["äöü"]), &[Some("äöü")]);
        let sqlstate = PgSqlErrorCode::ERRCODE_STRING_DATA_RIGHT_TRUNCATION;
        assert_refused(
            "varchar(3)",
            StringArray::from(vec!["abcd"]),
            sqlstate,
            "column \"c\": value too long for type character varying(3)",
        );
        assert_refused(
            "char(3)",
            StringArray::from(vec!["äöüx"]),
            sqlstate,
            "column \"c\": value too long for type character(3)",
        );
        assert_refused(
            "name",
            StringArray::from(vec!["n".repeat(64)]),
            sqlstate,
            "column \"c\": value too long for type name(63)",
        );
    }

    #[pg_test]
    fn zero_bytes_in_strings_are_refused() {
        for sql_type in ["text", "json", "jsonb", "varchar(9)", "char(9)", "name"] {
            assert_refused(
                sql_type,
                StringArray::from(vec!["1", "a\0b"]),
                PgSqlErrorCode::ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
                "column \"c\": string contains a zero byte",
            );
        }
        assert_decoded(
            "bytea",
            BinaryArray::from(vec![&b"a\0b"[..]]),
            &[Some("\\x610062")],
        );
    }

    #[pg_test]
    fn decimals_are_read_at_their_scale_only() {
        let decimal = |value, precision, scale| {
            Decimal128Array::from(vec![value])
                .with_precision_and_scale(precision, scale)
                .unwrap()
        };
        assert_decoded("numeric(10,2)", decimal(12_345, 6, 2), &[Some("123.45")]);
        assert_decoded("numeric(10,2)", decimal(-5, 38, 2), &[Some("-0.05")]);
        assert_refused(
            "numeric(4,2)",
            decimal(10_000, 38, 2),
            PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            "column \"c\": numeric value does not fit numeric(4,2)",
        );
        assert_refused(
            "numeric(10,2)",
            decimal(1, 10, 3),
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            "column \"c\" expects Arrow type Decimal128(10, 2), found Decimal128(10, 3)",
        );
    }

    #[pg_test]
    fn dates_and_times_out_of_range_are_refused() {
        let sqlstate = PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW;
        for days in [i32::MIN, i32::MAX, -2_451_545 + 10_956] {
            assert_refused(
                "date",
                Date32Array::from(vec![days]),
                sqlstate,
                "column \"c\": date value is out of range",
            );
        }
        for micros in [-1, 86_400_000_000] {
            assert_refused(
                "time",
                Time64MicrosecondArray::from(vec![micros]),
                sqlstate,
                "column \"c\": time value is out of range",
            );
        }
        assert_refused(
            "timestamp",
            TimestampMicrosecondArray::from(vec![i64::MIN]),
            sqlstate,
            "column \"c\": timestamp value is out of range",
        );
        assert_decoded(
            "timestamp",
            TimestampMicrosecondArray::from(vec![i64::MAX]),
            &[Some("294247-01-10 04:00:54.775807")],
        );
    }

    #[pg_test]
    fn zones_of_timestamps_must_match() {
        run("SET timezone = 'UTC'");
        let array = TimestampMicrosecondArray::from(vec![0]).with_timezone("+00:00");
        assert_decoded(
            "timestamptz",
            array.clone(),
            &[Some("1970-01-01 00:00:00+00")],
        );
        let error = decode("timestamp", Arc::new(array)).expect_err("timestamp");
        assert_eq!(error.sqlstate(), PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH);
    }

    #[pg_test]
    fn other_types_are_refused() {
        assert_refused(
            "boolean",
            Int32Array::from(vec![1]),
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            "column \"c\" expects Arrow type Boolean, found Int32",
        );
        assert!(decode("text", Arc::new(BinaryArray::from(vec![&b"x"[..]]))).is_err());
        assert!(decode("uuid", Arc::new(BinaryArray::from(vec![&[0_u8; 16][..]]))).is_err());
    }

    #[pg_test(error = "invalid input syntax for type json")]
    fn text_that_is_no_json_raises_for_jsonb() {
        let _ = decode(
            "jsonb",
            Arc::new(StringArray::from(vec!["{\"a\": 1}", "{broken"])),
        );
    }

    #[pg_test]
    fn sliced_lists_are_read() {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(99_999)]),
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
            Some(vec![Some(2)]),
        ]);
        // The first list would not fit smallint.
        assert_decoded(
            "smallint[]",
            lists.slice(1, 4),
            &[Some("{1,NULL}"), None, Some("{}"), Some("{2}")],
        );
    }

    #[pg_test]
    fn structs_are_read_by_name_and_masked_by_their_nulls() {
        run("CREATE TYPE pair AS (a smallint, b text)");
        let fields = Fields::from(vec![
            Field::new("extra", DataType::Int32, true),
            Field::new("b", DataType::Utf8, true),
            Field::new("a", DataType::Int32, true),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![0, 0])),
            Arc::new(StringArray::from(vec!["x", "a\0b"])),
            Arc::new(Int32Array::from(vec![1, 99_999])),
        ];
        let nulls = NullBuffer::from(vec![true, false]);
        let structs = StructArray::new(fields, columns, Some(nulls));
        assert_decoded("pair", structs, &[Some("(1,x)"), None]);

        let fields = Fields::from(vec![Field::new("a", DataType::Int32, true)]);
        let columns: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![1]))];
        assert_refused(
            "pair",
            StructArray::new(fields, columns, None),
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            "column \"c\": field \"b\" is missing",
        );
    }

    #[pg_test]
    fn large_lists_of_views_are_read() {
        let values = Arc::new(StringViewArray::from(vec!["a", "b", "c"]));
        let field = Arc::new(Field::new("item", DataType::Utf8View, true));
        let lists = arrow::array::LargeListArray::new(
            field,
            OffsetBuffer::from_lengths([2, 1]),
            values,
            None,
        );
        assert_decoded("text[]", lists, &[Some("{a,b}"), Some("{c}")]);
    }

    #[pg_test]
    fn attributes_not_read_or_not_in_the_batch_are_null() {
        let integer = || resolve("integer").unwrap();
        let columns: [Option<ColumnType>; 3] = [None, Some(integer()), Some(integer())];
        let mut decoder = BatchDecoder::new(&columns);
        let array: ArrayRef = Arc::new(Int32Array::from(vec![5, 6]));
        let batch = RecordBatch::try_from_iter([("c", array)]).unwrap();
        // SAFETY: the current context outlives the decoder.
        unsafe {
            decoder.take(&batch, &[Some(0), None, Some(0)]).unwrap();
            decoder
                .load(0..batch.num_rows(), pg_sys::CurrentMemoryContext)
                .unwrap();
        }
        let mut values = [pg_sys::Datum::from(1); 3];
        let mut isnull = [false; 3];
        decoder.fill(1, &mut values, &mut isnull);
        assert_eq!(isnull, [true, true, false]);
        assert_eq!(values[2].value(), 6);
        assert!(decoder.column(0).is_none() && decoder.column(1).is_none());

        let error = decoder.take(&batch, &[Some(9), None, Some(9)]);
        assert!(matches!(error, Err(ConvError::Mapping(_))));
        assert!(decoder.is_empty());
    }
}
