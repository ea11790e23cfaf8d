//! Rows of tables that Spark wrote, as Spark reads them.

use std::path::PathBuf;

use arrow::util::display::array_value_to_string;
use iceberg_lite::expr::{CompareOp, Literal, Predicate};
use iceberg_lite::scan::{NameMapping, ReadOptions};
use iceberg_lite::spec::{PrimitiveType, TableMetadata};

use crate::support::{FixtureIo, files_to_read, fixture_metadata, testdata};

/// The rows that Spark read when it had written the table.
fn expected(name: &str) -> Vec<String> {
    let path: PathBuf = testdata().join(name).join("rows.txt");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// All rows, or those that a predicate leaves, in Spark's form.
fn rows(metadata: &TableMetadata, predicate: Option<Predicate>) -> Vec<String> {
    let schema = metadata.current_schema().unwrap();
    let snapshot = metadata.current_snapshot().unwrap();
    let predicate = predicate.as_ref();
    let files = files_to_read(metadata, snapshot, schema, predicate, &FixtureIo).unwrap();
    let mut rows = Vec::new();
    for file in files {
        let options = ReadOptions {
            projection: schema.columns().iter().map(|field| field.id).collect(),
            predicate: predicate.cloned(),
            ..ReadOptions::default()
        };
        for read in file.open(&FixtureIo, metadata, schema, options).unwrap() {
            let batch = read.unwrap().batch;
            for row in 0..batch.num_rows() {
                let value = |column: &arrow::array::ArrayRef| match column.is_null(row) {
                    true => "NULL".to_owned(),
                    false => array_value_to_string(column, row).unwrap().to_lowercase(),
                };
                let values: Vec<String> = batch.columns().iter().map(value).collect();
                rows.push(values.join("|"));
            }
        }
    }
    rows.sort();
    rows
}

/// A condition on a column by its name.
fn compare(metadata: &TableMetadata, column: &str, op: CompareOp, value: Literal) -> Predicate {
    let schema = metadata.current_schema().unwrap();
    let field = schema.fields.field_by_name(column).unwrap();
    Predicate::Compare {
        field_id: field.id,
        op,
        value,
    }
}

fn files(metadata: &TableMetadata, predicate: &Predicate) -> usize {
    let schema = metadata.current_schema().unwrap();
    let snapshot = metadata.current_snapshot().unwrap();
    files_to_read(metadata, snapshot, schema, Some(predicate), &FixtureIo)
        .unwrap()
        .len()
}

/// Data files of a Hive table lack the columns that it was partitioned by.
#[test]
fn rows_of_added_files_have_the_values_of_their_partitions() {
    for (name, mapped) in [
        ("spark-v2-added-files", true),
        ("spark-v2-added-files-by-position", false),
    ] {
        let metadata = fixture_metadata(&format!("{name}/current.metadata.json"));
        assert_eq!(
            metadata.properties.contains_key(NameMapping::PROPERTY),
            mapped
        );
        let schema = metadata.current_schema().unwrap();
        let n = schema.fields.field_by_name("n").unwrap();
        assert_eq!(n.field_type.as_primitive(), Some(&PrimitiveType::Long));
        let all = expected(name);
        assert_eq!(rows(&metadata, None), all);

        let text = |text: &str| Literal::String(text.to_owned());
        for (predicate, kept, planned) in [
            (
                compare(&metadata, "kind", CompareOp::Eq, text("new")),
                &all[..2],
                1,
            ),
            (
                compare(&metadata, "kind", CompareOp::Eq, text("newer")),
                &all[..0],
                0,
            ),
            (
                compare(&metadata, "n", CompareOp::Lt, Literal::Long(8)),
                &all[..3],
                2,
            ),
            (
                compare(&metadata, "n", CompareOp::GtEq, Literal::Long(8)),
                &all[3..],
                1,
            ),
            (
                compare(&metadata, "id", CompareOp::Gt, Literal::Int(3)),
                &all[3..],
                3,
            ),
            (Predicate::NotNull { field_id: n.id }, &all[..], 3),
            (Predicate::IsNull { field_id: n.id }, &all[..0], 0),
        ] {
            assert_eq!(files(&metadata, &predicate), planned, "{predicate:?}");
            let found = rows(&metadata, Some(predicate.clone()));
            let lost: Vec<_> = kept.iter().filter(|row| !found.contains(row)).collect();
            assert!(lost.is_empty(), "{predicate:?} lost {lost:?}");
            if kept.is_empty() {
                assert!(found.is_empty(), "{predicate:?} left {found:?}");
            }
        }
    }
}

/// Delete files have the partition column's type after a promotion, the older data files the type
/// before it.
#[test]
fn rows_deleted_after_a_promotion_of_the_partition_column_stay_deleted() {
    for kind in ["int", "float", "decimal"] {
        let name = format!("spark-v2-deletes-{kind}-promoted");
        let metadata = fixture_metadata(&format!("{name}/current.metadata.json"));
        assert_eq!(rows(&metadata, None), expected(&name), "{name}");
    }
}

#[test]
fn rows_deleted_in_a_partition_of_nan_stay_deleted() {
    let name = "spark-v2-deletes-nan";
    let metadata = fixture_metadata(&format!("{name}/current.metadata.json"));
    assert_eq!(rows(&metadata, None), expected(name));
    // PostgreSQL's order: NaN is greater than any number.
    let above = compare(&metadata, "p", CompareOp::Gt, Literal::Double(1.0));
    let nan: Vec<_> = expected(name)
        .into_iter()
        .filter(|row| row.ends_with("nan"))
        .collect();
    assert_eq!(rows(&metadata, Some(above)), nan);
}
