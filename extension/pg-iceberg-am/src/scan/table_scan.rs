//! The scans of the table access method.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::slot::Slot;
use pg_lakebase_core::snapshot::{RegisteredSnapshot, Snapshot, SnapshotKind};
use pg_lakebase_core::table_am::{BlockStream, SampleScan, ScanDirection};

use super::{RowReader, TableView, size};

/// Rows that TABLESAMPLE may take for one block: offsets are 16 bits, from 1.
const MAX_SAMPLE_OFFSET: u64 = u16::MAX as u64 - 1;

/// A scan over all columns: sequential, for TABLESAMPLE or for ANALYZE.
///
/// Sampling works on blocks. A table's virtual blocks divide its rows evenly: block `b` of `n` holds
/// rows `b * rows / n` up to `(b + 1) * rows / n`, where `n` is what `relation_size` implies.
pub struct TableScan {
    reader: RowReader,
    snapshot: Option<RegisteredSnapshot>,
    is_dirty: bool,
    /// Whether it is known of what shape rows are to be.
    has_shape: bool,
    blocks: u32,
    block: Option<Block>,
}

/// The virtual block being read.
struct Block {
    number: u32,
    first: u64,
    rows: u64,
    next: u64,
}

impl TableScan {
    /// Begins a scan of what `snapshot` sees.
    pub fn begin(rel: Relation<'_>, snapshot: Option<Snapshot<'_>>) -> PgResult<Self> {
        let view = TableView::resolve(rel, snapshot)?;
        if let Some(snapshot) = snapshot {
            // Who changes the row that is found is waited for when it is locked.
            snapshot.report_nobody();
        }
        Ok(Self {
            blocks: size::blocks(rel)?,
            has_shape: false,
            is_dirty: snapshot.is_some_and(|snapshot| snapshot.kind() == SnapshotKind::Dirty),
            snapshot: snapshot
                .filter(|snapshot| snapshot.kind() == SnapshotKind::Mvcc)
                .map(RegisteredSnapshot::of),
            reader: RowReader::of_whole_rows(view)?,
            block: None,
        })
    }

    /// The snapshot, if it is an MVCC one.
    pub fn snapshot(&self) -> Option<Snapshot<'_>> {
        self.snapshot.as_ref().map(RegisteredSnapshot::snapshot)
    }

    /// Begins again. A dirty snapshot sees what has been committed meanwhile (`RelationFindReplTupleSeq`).
    pub fn rescan(&mut self, rel: Relation<'_>) -> PgResult<()> {
        if self.is_dirty {
            self.reader = RowReader::of_whole_rows(TableView::resolve(rel, None)?)?;
        }
        self.reader.rewind();
        self.block = None;
        Ok(())
    }

    /// Stores the next row in `direction`.
    pub fn next(
        &mut self,
        rel: Relation<'_>,
        direction: ScanDirection,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        if !std::mem::replace(&mut self.has_shape, true)
            && !slot.tuple_desc().has_columns_of(rel.tuple_desc())
        {
            // ALTER TABLE reads rows as they were before (`ATRewriteTable`).
            let view = TableView::resolve_as(rel, slot.tuple_desc(), self.snapshot())?;
            self.reader = RowReader::of_whole_rows(view)?;
        }
        match direction {
            ScanDirection::Forward => self.reader.next(slot),
            ScanDirection::Backward => self.reader.previous(slot),
            ScanDirection::NoMovement => Ok(false),
        }
    }

    /// Turns to the next block that ANALYZE has chosen.
    pub fn next_analyze_block(&mut self, mut stream: BlockStream<'_>) -> PgResult<bool> {
        match stream.next_block() {
            Some(number) => {
                self.enter(number)?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Stores the next row of the block. Adds those that are passed on the way because they are deleted to `dead`.
    pub fn next_analyze_row(&mut self, slot: &mut Slot<'_>, dead: &mut f64) -> PgResult<bool> {
        let Some(block) = &mut self.block else {
            return Ok(false);
        };
        if block.next >= block.rows {
            return Ok(false);
        }
        let found = match self.reader.next(slot)? {
            true => self.reader.row_number(),
            false => None,
        };
        let row = found.map_or(block.rows, |number| number - block.first);
        *dead += (row.min(block.rows) - block.next) as f64;
        block.next = row + 1;
        if row >= block.rows {
            slot.clear();
            return Ok(false);
        }
        Ok(true)
    }

    /// Turns to the next block that the sampling method chooses.
    pub fn next_sample_block(&mut self, sampler: &mut SampleScan<'_>) -> PgResult<bool> {
        match sampler.next_block(self.blocks) {
            Some(number) => {
                self.enter(number)?;
                Ok(true)
            }
            None => {
                self.block = None;
                Ok(false)
            }
        }
    }

    /// Stores the next row of the block that the sampling method chooses.
    pub fn next_sample_row(
        &mut self,
        sampler: &mut SampleScan<'_>,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        let Some(block) = &mut self.block else {
            return Ok(false);
        };
        let rows = block.rows.min(MAX_SAMPLE_OFFSET) as u16;
        while let Some(offset) = sampler.next_tuple(block.number, rows) {
            let row = u64::from(offset) - 1;
            if row != block.next {
                self.reader.seek(block.first + row)?;
            }
            let is_there =
                self.reader.next(slot)? && self.reader.row_number() == Some(block.first + row);
            if is_there {
                block.next = row + 1;
                return Ok(true);
            }
            // It is deleted, and the reader stands behind it.
            block.next = u64::MAX;
        }
        slot.clear();
        Ok(false)
    }

    fn enter(&mut self, number: u32) -> PgResult<()> {
        let rows = u128::from(self.reader.view().rows());
        let blocks = u128::from(self.blocks.max(1));
        let bound = |number: u128| (number * rows / blocks) as u64;
        let (first, end) = (bound(u128::from(number)), bound(u128::from(number) + 1));
        if end > first {
            self.reader.seek(first)?;
        }
        self.block = Some(Block {
            number,
            first,
            rows: end - first,
            next: 0,
        });
        Ok(())
    }
}
