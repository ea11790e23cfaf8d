//! Compactions beside inserts and deletes of every kind: a table has the rows that a list of rows has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use iceberg_lite::commit::{SnapshotDelta, delete_rows};
use iceberg_lite::compaction::{
    Compaction, CompactionRules, Extent, Rewrite, RewriteInput, RewriteOptions, plan_compaction,
};
use iceberg_lite::io::FileIo as _;
use iceberg_lite::manifest::{DataContentType, DataFile};
use iceberg_lite::scan::{ReadOptions, RowRanges, plan_files};
use iceberg_lite::spec::{
    FormatVersion, LAST_UPDATED_SEQUENCE_NUMBER, ROW_ID as LINEAGE_ROW_ID, Schema, with_row_lineage,
};
use iceberg_lite::write::{WriteOptions, arrow_schema};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::rewrite::{ROW_ID, deletes, longs, rows, table_rows, write};
use crate::support::{Table, path_of, schema};

#[derive(Debug, Clone)]
enum Step {
    /// A file of so many rows. Some have been there before and were deleted.
    Insert(usize),
    /// A row, by its place in its file.
    DeleteAt(Index),
    /// Rows of a number, in whatever file.
    DeleteAll(Index),
    /// The files that there are, or some of them, merged; put in their place after so many more steps.
    Compact(usize, Extent),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..5_usize).prop_map(Step::Insert),
        3 => any::<Index>().prop_map(Step::DeleteAt),
        2 => any::<Index>().prop_map(Step::DeleteAll),
        3 => (0..5_usize, any::<bool>()).prop_map(|(later, all)| {
            Step::Compact(later, if all { Extent::Everything } else { Extent::FullTiers })
        }),
    ]
}

struct Model {
    table: Table,
    /// In a table of version 3, the row ids and sequence numbers of live rows, by their numbers.
    lineage: BTreeMap<i64, (i64, i64)>,
    /// Live rows, and the numbers of rows that were deleted.
    live: BTreeSet<i64>,
    deleted: Vec<i64>,
    next: i64,
    names: usize,
    lost: usize,
}

impl Model {
    fn name(&mut self) -> String {
        self.names += 1;
        path_of(&format!("f{}", self.names))
    }

    fn insert(&mut self, count: usize) {
        let mut numbers: Vec<i64> = self
            .deleted
            .drain(..self.deleted.len().min(count / 2))
            .collect();
        while numbers.len() < count {
            numbers.push(self.next);
            self.next += 1;
        }
        numbers.sort_unstable();
        let path = self.name();
        let file = write(&self.table.io, &path, rows(&numbers, true));
        self.live.extend(numbers);
        self.table.commit(&SnapshotDelta {
            added_data_files: vec![file.into()],
            ..SnapshotDelta::default()
        });
    }

    fn pick(&self, index: Index) -> Option<i64> {
        let live: Vec<i64> = self.live.iter().copied().collect();
        (!live.is_empty()).then(|| live[index.index(live.len())])
    }

    /// A position delete of one live row, found as a writer would.
    fn delete_at(&mut self, number: i64) {
        let snapshot = self.table.metadata.current_snapshot().unwrap();
        let files = plan_files(&self.table.metadata, snapshot, &self.table.io).unwrap();
        let place = files.iter().find_map(|file| {
            let options = iceberg_lite::scan::ReadOptions {
                projection: vec![1],
                ..Default::default()
            };
            let reader = file
                .open(&self.table.io, &self.table.metadata, &schema(), options)
                .unwrap();
            reader.map(Result::unwrap).find_map(|read| {
                let ids = read.batch.column(0).clone();
                let ids = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&ids)
                    .clone();
                let row = ids.values().iter().position(|id| *id == number * 10)?;
                Some((
                    file.data_file.file_path.clone(),
                    read.positions.get(row).unwrap(),
                ))
            })
        });
        let (about, position) = place.expect("a live row is in some file");
        let path = self.name();
        if self.is_v3() {
            let io = self.table.io.clone();
            let positions = [(about, RowRanges::from_positions([position]))].into();
            let options = WriteOptions::default();
            let mut create = || Ok((path.clone(), io.create(&path)?));
            let base = &self.table.metadata;
            let delta = delete_rows(base, Vec::new(), &positions, &io, &options, &mut create);
            self.table.commit(&delta.unwrap());
        } else {
            let file = deletes(&self.table.io, &path, &about, &[position as i64]);
            self.table.commit(&SnapshotDelta {
                added_delete_files: vec![file.into()],
                required_data_files: [about].into(),
                ..SnapshotDelta::default()
            });
        }
        self.forget(number);
    }

    fn is_v3(&self) -> bool {
        self.table.metadata.format_version == FormatVersion::V3
    }

    fn forget(&mut self, number: i64) {
        self.lineage.remove(&number);
        self.live.remove(&number);
        self.deleted.push(number);
    }

    /// An equality delete: it is about rows that are older than itself.
    fn delete_all(&mut self, number: i64) {
        let id_column = schema().columns()[..1].to_vec();
        let schema = Schema::new(0, id_column);
        let columns = vec![longs([number * 10])];
        let batch =
            arrow::array::RecordBatch::try_new(arrow_schema(&schema).unwrap(), columns).unwrap();
        let path = self.name();
        let file = DataFile {
            content: DataContentType::EqualityDeletes,
            equality_ids: Some(vec![1]),
            ..write(&self.table.io, &path, (schema, batch))
        };
        self.table.commit(&SnapshotDelta {
            added_delete_files: vec![file.into()],
            ..SnapshotDelta::default()
        });
        self.forget(number);
    }

    /// Rewrites the files that there are, two or three at a time.
    fn begin_compaction(&mut self, extent: Extent) -> Option<Compaction> {
        let metadata = self.table.metadata.clone();
        let files = plan_files(&metadata, metadata.current_snapshot()?, &self.table.io).unwrap();
        let rules = CompactionRules {
            extent,
            min_files: 3,
            max_group_files: 3,
            ..CompactionRules::new(1 << 20)
        };
        let mut compaction = Compaction::new(&metadata);
        for group in plan_compaction(&files, &rules) {
            let input = |&index: &usize| RewriteInput {
                file: &files[index],
                fills: &[],
                deleted_rows: None,
            };
            let inputs: Vec<_> = group.files.iter().map(input).collect();
            let io = self.table.io.clone();
            let options = RewriteOptions::default();
            let mut rewrite = Rewrite::new(&inputs, &metadata, &schema(), &io, options).unwrap();
            let mut create = || {
                let path = self.name();
                let output = io.create(&path)?;
                Ok((path, output))
            };
            while rewrite.step(&mut create).unwrap() {}
            assert!(rewrite.schema().fields.field(ROW_ID).is_some());
            let new = rewrite
                .finish()
                .unwrap()
                .into_iter()
                .map(Arc::new)
                .collect();
            compaction.push(&files, &group, new).unwrap();
        }
        compaction
            .remove_obsolete_deletes(&metadata, &files, &self.table.io)
            .unwrap();
        Some(compaction)
    }

    fn end_compaction(&mut self, mut compaction: Compaction) {
        if compaction.delta().is_empty() {
            return;
        }
        let staged = self.table.stage(&compaction.delta());
        if let Err(error) = self.table.try_complete(&staged) {
            assert!(error.is_conflict(), "{error:?}");
            let lost = compaction
                .take_lost(&self.table.metadata, &self.table.io)
                .unwrap();
            self.lost += lost.len();
            if !compaction.delta().is_empty() {
                self.table.commit(&compaction.delta());
            }
        }
    }

    /// Rows keep their row ids, and the sequence numbers that they came with.
    fn check_lineage(&mut self) {
        let schema = with_row_lineage(&schema());
        let snapshot = self.table.metadata.current_snapshot().unwrap();
        let mut found = BTreeMap::new();
        for file in plan_files(&self.table.metadata, snapshot, &self.table.io).unwrap() {
            let options = ReadOptions {
                projection: vec![1, LINEAGE_ROW_ID, LAST_UPDATED_SEQUENCE_NUMBER],
                ..ReadOptions::default()
            };
            let first_row_id = file.data_file.first_row_id.unwrap();
            let inherited = file.data_sequence_number;
            let reader = file.open(&self.table.io, &self.table.metadata, &schema, options);
            for read in reader.unwrap() {
                let read = read.unwrap();
                let column = |index: usize| read.batch.column(index).as_primitive::<Int64Type>();
                for (row, position) in read.positions.iter().enumerate() {
                    let or = |index: usize, inherited: i64| match column(index).is_valid(row) {
                        true => column(index).value(row),
                        false => inherited,
                    };
                    let row_id = or(1, first_row_id + position as i64);
                    let lineage = (row_id, or(2, inherited));
                    assert!(row_id < self.table.metadata.next_row_id);
                    found.insert(column(0).value(row) / 10, lineage);
                }
            }
        }
        let ids: BTreeSet<i64> = found.values().map(|lineage| lineage.0).collect();
        assert_eq!(ids.len(), found.len(), "no row id is given twice");
        for (number, lineage) in &self.lineage {
            assert_eq!(found.get(number), Some(lineage), "row {number}");
        }
        self.lineage = found;
    }

    fn check(&mut self) {
        if self.table.metadata.current_snapshot().is_none() {
            return;
        }
        let found: Vec<i64> = table_rows(&self.table)
            .into_iter()
            .map(|(id, _)| id / 10)
            .collect();
        let expected: Vec<i64> = self.live.iter().copied().collect();
        assert_eq!(found, expected);
        if self.is_v3() {
            self.check_lineage();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn compactions_beside_other_writers_change_no_row(
        steps in prop::collection::vec(step(), 1..40),
        min_count in 2..5_i32,
        is_v3 in any::<bool>(),
    ) {
        let min_count = min_count.to_string();
        let mut model = Model {
            table: Table::with_properties(&[("commit.manifest.min-count-to-merge", &min_count)]),
            live: BTreeSet::new(),
            deleted: Vec::new(),
            next: 0,
            names: 0,
            lost: 0,
            lineage: BTreeMap::new(),
        };
        if is_v3 {
            model.table.upgrade();
        }
        let mut open: Vec<(usize, Compaction)> = Vec::new();
        for step in steps {
            match step {
                Step::Insert(count) => model.insert(count),
                Step::DeleteAt(index) => {
                    if let Some(number) = model.pick(index) {
                        model.delete_at(number);
                    }
                }
                Step::DeleteAll(index) => {
                    if let Some(number) = model.pick(index) {
                        model.delete_all(number);
                    }
                }
                Step::Compact(later, extent) => {
                    let compaction = model.begin_compaction(extent);
                    open.extend(compaction.map(|compaction| (later, compaction)));
                }
            }
            let (due, rest) = open.into_iter().partition(|(later, _)| *later == 0);
            open = rest;
            for (_, compaction) in due {
                model.end_compaction(compaction);
                model.check();
            }
            open.iter_mut().for_each(|(later, _)| *later -= 1);
            model.check();
        }
        // Left to itself, a table has neither small files nor deletes.
        if model.table.metadata.current_snapshot().is_some() {
            let compaction = model.begin_compaction(Extent::Everything).unwrap();
            model.end_compaction(compaction);
            model.check();
            let deletes = model.table.total("total-delete-files");
            prop_assert_eq!(deletes, 0);
        }
    }
}
