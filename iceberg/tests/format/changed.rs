//! The tables of `testdata/changed`, with the rows that Spark read of them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::Read;
use std::rc::Rc;

use iceberg_lite::Result;
use iceberg_lite::expr::{CompareOp, Literal, Predicate};
use iceberg_lite::scan::{DeleteCache, ReadOptions, ScanFile, plan_files};
use iceberg_lite::spec::{
    PrimitiveType, SchemaRef, Snapshot, SnapshotRef, TableMetadata, with_row_lineage,
};
use serde_json::Value;

use crate::form;
use crate::support::{MemoryFileIo, files_to_read, testdata};

/// Where the tables have their locations.
const WAREHOUSE: &str = "/tmp/iceberg-fixtures/changed";

/// A row, each value in the form of `xtask/interop/README.md`.
pub type Row = Vec<Value>;

/// What a reader may ask for, with the rows that satisfy it.
type Condition = (Predicate, Box<dyn Fn(&Row) -> bool>);

/// The rows of a table at some time, in order.
pub struct Expected {
    pub snapshot: SnapshotRef,
    pub schema: SchemaRef,
    pub rows: Vec<Row>,
    /// The same with the values of `_row_id` and `_last_updated_sequence_number` at the end of each, where Spark gave them.
    pub rows_with_lineage: Option<Vec<Row>>,
}

/// A table of `testdata/changed`.
pub struct Changed {
    name: &'static str,
    io: MemoryFileIo,
    pub metadata: TableMetadata,
    /// What Spark read of each snapshot, and then of the table as it is now.
    pub expected: Vec<Expected>,
}

impl Changed {
    pub fn open(name: &'static str) -> Self {
        let directory = testdata().join("changed");
        let archive = std::fs::read(directory.join(format!("{name}.tar.gz"))).unwrap();
        let mut archived = Vec::new();
        flate2::read::GzDecoder::new(&archive[..])
            .read_to_end(&mut archived)
            .unwrap();
        let files = unpack(&archived, &format!("{WAREHOUSE}/{name}"));
        let is_metadata = |path: &&String| path.ends_with(".metadata.json");
        let location = files.keys().find(is_metadata).unwrap().clone();
        let io = MemoryFileIo::default();
        *io.files.borrow_mut() = files;
        let metadata = TableMetadata::read_from(&io, &location).unwrap();

        let told = std::fs::read_to_string(directory.join(format!("{name}.json"))).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        let snapshots = told["snapshots"].as_array().unwrap();
        let mut expected: Vec<Expected> = snapshots
            .iter()
            .map(|of| {
                let snapshot = metadata.snapshot(of["snapshot"].as_i64().unwrap());
                let schema = metadata.schema_of(snapshot.unwrap()).unwrap();
                Expected::read(snapshot.unwrap(), schema, of)
            })
            .collect();
        assert_eq!(expected.len(), metadata.snapshots.len(), "{name}");
        let (snapshot, schema) = (metadata.current_snapshot(), metadata.current_schema());
        expected.push(Expected::read(
            snapshot.unwrap(),
            schema.unwrap(),
            &told["current"],
        ));
        Self {
            name,
            io,
            metadata,
            expected,
        }
    }

    /// All rows of a snapshot, or those that a reader is left with who is told what others want not.
    pub fn rows(
        &self,
        snapshot: &Snapshot,
        schema: &SchemaRef,
        predicate: Option<&Predicate>,
    ) -> Result<Vec<Row>> {
        let files = files_to_read(&self.metadata, snapshot, schema, predicate, &self.io)?;
        let mut rows = Vec::new();
        for file in files {
            let options = ReadOptions {
                projection: schema.columns().iter().map(|field| field.id).collect(),
                predicate: predicate.cloned(),
                ..ReadOptions::default()
            };
            for read in file.open(&self.io, &self.metadata, schema, options)? {
                let batch = read?.batch;
                let columns = || batch.columns().iter();
                rows.extend((0..batch.num_rows()).map(|row| -> Row {
                    columns()
                        .map(|column| form::value(column, row).unwrap())
                        .collect()
                }));
            }
        }
        rows.sort_by(compare_rows);
        Ok(rows)
    }

    /// All rows of a snapshot with the values of `_row_id` and `_last_updated_sequence_number`, which rows without values
    /// of their own inherit from the entry of their file.
    fn rows_with_lineage(&self, snapshot: &Snapshot, schema: &SchemaRef) -> Vec<Row> {
        let schema = with_row_lineage(schema);
        let mut rows: Vec<Row> = Vec::new();
        for file in self.plan(snapshot) {
            let options = ReadOptions {
                projection: schema.columns().iter().map(|field| field.id).collect(),
                ..ReadOptions::default()
            };
            let inherited = |position: u64| {
                let first = file.data_file.first_row_id.unwrap();
                [
                    first + i64::try_from(position).unwrap(),
                    file.data_sequence_number,
                ]
            };
            let reader = file.open(&self.io, &self.metadata, &schema, options);
            for read in reader.unwrap() {
                let read = read.unwrap();
                for (row, position) in read.positions.iter().enumerate() {
                    let columns = read.batch.columns().iter();
                    let mut values: Row = columns
                        .map(|column| form::value(column, row).unwrap())
                        .collect();
                    let lineage = values.iter_mut().skip(schema.columns().len() - 2);
                    for (value, inherited) in lineage.zip(inherited(position)) {
                        if value.is_null() {
                            *value = inherited.into();
                        }
                    }
                    rows.push(values);
                }
            }
        }
        rows.sort_by(compare_rows);
        rows
    }

    /// Rows have the ids, and were last updated by the snapshots, that Spark says; where it does, of how many snapshots.
    pub fn check_lineage(&self) -> usize {
        let mut checked = 0;
        for expected in &self.expected {
            if let Some(rows) = &expected.rows_with_lineage {
                let found = self.rows_with_lineage(&expected.snapshot, &expected.schema);
                self.compare(expected, &found, rows, "row lineage");
                checked += 1;
            }
        }
        checked
    }

    /// The files of a snapshot, with their deletes.
    pub fn plan(&self, snapshot: &Snapshot) -> Vec<ScanFile> {
        plan_files(&self.metadata, snapshot, &self.io).unwrap()
    }

    /// Every snapshot has the rows that Spark read.
    pub fn check_rows(&self) {
        for expected in &self.expected {
            let Expected {
                snapshot, schema, ..
            } = expected;
            let found = self.rows(snapshot, schema, None).unwrap();
            self.compare(expected, &found, &expected.rows, "all rows");
        }
    }

    /// The same, and where deletes are kept in memory, a reader with a condition on a column gets those of the rows that
    /// satisfy it.
    pub fn check(&self) {
        self.check_rows();
        let mut caching = Self::open(self.name);
        caching.io.delete_cache = Some(Rc::new(DeleteCache::new(1 << 20)));
        for expected in &self.expected {
            let Expected {
                snapshot, schema, ..
            } = expected;
            for (predicate, is_wanted) in self.conditions(schema) {
                let found = caching.rows(snapshot, schema, Some(&predicate)).unwrap();
                let found: Vec<_> = found.into_iter().filter(|row| is_wanted(row)).collect();
                let rows = expected.rows.iter().filter(|row| is_wanted(row)).cloned();
                let rows: Vec<_> = rows.collect();
                self.compare(expected, &found, &rows, &format!("{predicate:?}"));
            }
        }
    }

    pub fn compare(&self, of: &Expected, found: &[Row], expected: &[Row], what: &str) {
        if found == expected {
            return;
        }
        let without = |rows: &[Row], others: &[Row]| -> Vec<String> {
            let mut others = others.to_vec();
            let is_more = |row: &&Row| match others.iter().position(|other| other == *row) {
                Some(at) => {
                    others.swap_remove(at);
                    false
                }
                None => true,
            };
            let more = rows.iter().filter(is_more);
            more.take(20).map(|row| format!("{row:?}")).collect()
        };
        panic!(
            "{}, snapshot {} ({}), {what}: missing {:#?}, should not be there {:#?}",
            self.name,
            of.snapshot.snapshot_id,
            of.snapshot.sequence_number,
            without(expected, found),
            without(found, expected)
        );
    }

    /// Conditions on each column, with values that are, or were, in it.
    fn conditions(&self, schema: &SchemaRef) -> Vec<Condition> {
        let mut conditions: Vec<Condition> = Vec::new();
        for (place, field) in schema.columns().iter().enumerate() {
            let Some(primitive) = field.field_type.as_primitive() else {
                continue;
            };
            let field_id = field.id;
            conditions.push((
                Predicate::IsNull { field_id },
                Box::new(move |row| row[place].is_null()),
            ));
            conditions.push((
                Predicate::NotNull { field_id },
                Box::new(move |row| !row[place].is_null()),
            ));
            for (index, value) in self.values(schema, place).into_iter().enumerate() {
                // Not all with all: that takes long.
                let ops = match index % 4 {
                    0 => &[CompareOp::Eq, CompareOp::Lt, CompareOp::GtEq][..],
                    2 => &[CompareOp::Eq, CompareOp::NotEq, CompareOp::Gt],
                    _ => &[CompareOp::Eq],
                };
                for op in ops.iter().copied() {
                    let predicate = Predicate::Compare {
                        field_id,
                        op,
                        value: literal(primitive, &value),
                    };
                    let value = value.clone();
                    let is_wanted = move |row: &Row| {
                        let order = compare_values(&row[place], &value);
                        !row[place].is_null() && holds(op, order)
                    };
                    conditions.push((predicate, Box::new(is_wanted)));
                }
            }
        }
        conditions
    }

    /// Some of the values that a column of this schema has in any snapshot.
    fn values(&self, schema: &SchemaRef, place: usize) -> Vec<Value> {
        let of_schema = |expected: &&Expected| expected.schema.schema_id == schema.schema_id;
        let rows = self.expected.iter().filter(of_schema).flat_map(|e| &e.rows);
        let values = rows.map(|row| &row[place]).filter(|value| !value.is_null());
        let mut values: Vec<_> = values.cloned().collect();
        values.sort_by(compare_values);
        values.dedup();
        let step = values.len().div_ceil(12).max(1);
        values.into_iter().step_by(step).collect()
    }
}

impl Expected {
    fn read(snapshot: &SnapshotRef, schema: &SchemaRef, told: &Value) -> Self {
        let columns: Vec<_> = schema.columns().iter().map(|field| &*field.name).collect();
        let told_columns = told["columns"].as_array().unwrap().iter();
        let told_columns: Vec<_> = told_columns.map(|name| name.as_str().unwrap()).collect();
        // Row ids and sequence numbers of rows may follow.
        assert_eq!(told_columns[..columns.len()], columns);
        let has_lineage = told_columns.len() > columns.len();
        let times = told.get("times").map(|times| times.as_array().unwrap());
        let mut told_rows: Vec<Row> = Vec::new();
        for (index, row) in told["rows"].as_array().unwrap().iter().enumerate() {
            let times = times.map_or(1, |times| times[index].as_u64().unwrap());
            told_rows.extend((0..times).map(|_| row.as_array().unwrap().clone()));
        }
        told_rows.sort_by(compare_rows);
        let rows = told_rows.iter().map(|row| row[..columns.len()].to_vec());
        Self {
            snapshot: SnapshotRef::clone(snapshot),
            schema: SchemaRef::clone(schema),
            rows: rows.collect(),
            rows_with_lineage: has_lineage.then_some(told_rows),
        }
    }
}

/// The files of a tar archive, by their paths below `directory`; none is longer than 100 bytes there.
fn unpack(mut archive: &[u8], directory: &str) -> BTreeMap<String, Vec<u8>> {
    let text = |bytes: &[u8]| {
        let text = bytes.split(|byte| *byte == 0).next().unwrap();
        String::from_utf8(text.to_vec()).unwrap()
    };
    let mut files = BTreeMap::new();
    while let Some((header, rest)) = archive.split_first_chunk::<512>() {
        let name = text(&header[..100]);
        if name.is_empty() {
            break;
        }
        let length = usize::from_str_radix(text(&header[124..136]).trim(), 8).unwrap();
        // Metadata name what was added to the table by URI.
        for scheme in ["", "file:"] {
            let path = format!("{scheme}{directory}/{name}");
            files.insert(path, rest[..length].to_vec());
        }
        archive = &rest[length.next_multiple_of(512)..];
    }
    files
}

/// The order of values of one type, decimals of one scale among them; NULL is the greatest.
fn compare_values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => a.is_null().cmp(&b.is_null()),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => a.as_i64().unwrap().cmp(&b.as_i64().unwrap()),
        (Value::String(a), Value::String(b)) => match (unscaled(a), unscaled(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.cmp(b),
        },
        _ => a.to_string().cmp(&b.to_string()),
    }
}

fn compare_rows(a: &Row, b: &Row) -> Ordering {
    let orders = a.iter().zip(b).map(|(a, b)| compare_values(a, b));
    orders.fold(Ordering::Equal, Ordering::then)
}

/// A decimal without its point; no other text has a point.
fn unscaled(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.')?;
    format!("{whole}{fraction}").parse().ok()
}

fn holds(op: CompareOp, order: Ordering) -> bool {
    match op {
        CompareOp::Lt => order.is_lt(),
        CompareOp::LtEq => order.is_le(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::GtEq => order.is_ge(),
        CompareOp::Eq => order.is_eq(),
        CompareOp::NotEq => order.is_ne(),
    }
}

fn literal(primitive: &PrimitiveType, value: &Value) -> Literal {
    let number = || value.as_i64().unwrap();
    let text = || value.as_str().unwrap();
    match primitive {
        PrimitiveType::Boolean => Literal::Boolean(value.as_bool().unwrap()),
        PrimitiveType::Int => Literal::Int(number().try_into().unwrap()),
        PrimitiveType::Long => Literal::Long(number()),
        PrimitiveType::Date => Literal::Date(number().try_into().unwrap()),
        PrimitiveType::Timestamp => Literal::Timestamp(number()),
        &PrimitiveType::Decimal { precision, scale } => Literal::Decimal {
            unscaled: unscaled(text()).unwrap(),
            precision,
            scale,
        },
        PrimitiveType::String => Literal::String(text().to_owned()),
        PrimitiveType::Binary => {
            let digits: Vec<_> = text().chars().map(|d| d.to_digit(16).unwrap()).collect();
            let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap();
            Literal::Binary(digits.chunks(2).map(byte).collect())
        }
        other => panic!("no column is of type {other}"),
    }
}
