//! Table scans.

use pgrx::pg_sys;

use super::{BlockStream, ParallelScan, SampleScan};
use crate::error::{PgError, PgResult};
use crate::relation::Relation;
use crate::slot::{Slot, Tid};
use crate::snapshot::Snapshot;

/// The direction in which a scan is asked to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanDirection {
    Backward,
    NoMovement,
    Forward,
}

impl ScanDirection {
    /// From the C number.
    #[inline]
    pub const fn from_raw(raw: pg_sys::ScanDirection::Type) -> Self {
        match raw {
            pg_sys::ScanDirection::BackwardScanDirection => Self::Backward,
            pg_sys::ScanDirection::ForwardScanDirection => Self::Forward,
            _ => Self::NoMovement,
        }
    }
}

/// PostgreSQL's `ScanOptions`: what kind of scan begins, and what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanFlags(u32);

impl ScanFlags {
    pub const SEQ_SCAN: Self = Self(pg_sys::ScanOptions::SO_TYPE_SEQSCAN);
    pub const BITMAP_SCAN: Self = Self(pg_sys::ScanOptions::SO_TYPE_BITMAPSCAN);
    pub const SAMPLE_SCAN: Self = Self(pg_sys::ScanOptions::SO_TYPE_SAMPLESCAN);
    pub const TID_SCAN: Self = Self(pg_sys::ScanOptions::SO_TYPE_TIDSCAN);
    pub const TID_RANGE_SCAN: Self = Self(pg_sys::ScanOptions::SO_TYPE_TIDRANGESCAN);
    pub const ANALYZE: Self = Self(pg_sys::ScanOptions::SO_TYPE_ANALYZE);
    pub const ALLOW_STRAT: Self = Self(pg_sys::ScanOptions::SO_ALLOW_STRAT);
    pub const ALLOW_SYNC: Self = Self(pg_sys::ScanOptions::SO_ALLOW_SYNC);
    pub const ALLOW_PAGEMODE: Self = Self(pg_sys::ScanOptions::SO_ALLOW_PAGEMODE);
    pub const TEMP_SNAPSHOT: Self = Self(pg_sys::ScanOptions::SO_TEMP_SNAPSHOT);
    pub const NEED_TUPLES: Self = Self(pg_sys::ScanOptions::SO_NEED_TUPLES);

    /// From the C bits.
    #[inline]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The C bits.
    #[inline]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all bits of `other` are set.
    #[inline]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[inline]
    pub const fn is_seq_scan(self) -> bool {
        self.contains(Self::SEQ_SCAN)
    }

    #[inline]
    pub const fn is_analyze(self) -> bool {
        self.contains(Self::ANALYZE)
    }
}

impl std::ops::BitOr for ScanFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a rescan changes about a scan's permissions (`table_rescan_set_params`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RescanParams {
    pub allow_strat: bool,
    pub allow_sync: bool,
    pub allow_pagemode: bool,
}

/// Scans of a table.
pub trait ScanMethods {
    /// The state of one scan. A memory context owns it: it is dropped by `scan_end`, or when the
    /// context is deleted because of an error. In the latter case the transaction is aborting and
    /// its resources are gone, so that the destructor must only give back what is its own.
    type Scan: 'static;

    /// Whether the access method can scan ranges of tuple identifiers.
    const TID_RANGE_SCAN: bool = false;

    /// Whether the access method can scan bitmaps. PostgreSQL 17 allows it only to methods that
    /// keep their blocks in the relation's main fork, and have a visibility map.
    const BITMAP_SCAN: bool = false;

    /// Begins a scan. The relation stays open as long as the scan.
    fn scan_begin(
        rel: Relation<'_>,
        snapshot: Option<Snapshot<'_>>,
        parallel: Option<ParallelScan>,
        flags: ScanFlags,
    ) -> PgResult<Self::Scan>;

    /// Ends a scan in good order. After errors the state is only dropped.
    fn scan_end(scan: Self::Scan, rel: Relation<'_>) -> PgResult<()> {
        let _ = rel;
        drop(scan);
        Ok(())
    }

    /// Starts over.
    fn scan_rescan(
        scan: &mut Self::Scan,
        rel: Relation<'_>,
        set_params: Option<RescanParams>,
    ) -> PgResult<()>;

    /// Stores the next tuple in the (cleared) slot. `false` is the end; the slot is cleared then.
    fn scan_getnextslot(
        scan: &mut Self::Scan,
        rel: Relation<'_>,
        direction: ScanDirection,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool>;

    /// Sets the range of a scan by tuple identifiers, both ends included.
    fn scan_set_tidrange(
        scan: &mut Self::Scan,
        rel: Relation<'_>,
        min: Tid,
        max: Tid,
    ) -> PgResult<()> {
        let _ = (scan, rel, min, max);
        Err(missing("scan_set_tidrange"))
    }

    /// Stores the next tuple of the range in the slot.
    fn scan_getnextslot_tidrange(
        scan: &mut Self::Scan,
        rel: Relation<'_>,
        direction: ScanDirection,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        let _ = (scan, rel, direction, slot);
        Err(missing("scan_getnextslot_tidrange"))
    }

    /// Prepares to return the tuples of one page of a bitmap.
    fn scan_bitmap_next_block(
        scan: &mut Self::Scan,
        rel: Relation<'_>,
        page: &pg_sys::TBMIterateResult,
    ) -> PgResult<bool> {
        let _ = (scan, rel, page);
        Err(missing("scan_bitmap_next_block"))
    }

    /// Stores the next tuple of the page in the slot.
    fn scan_bitmap_next_tuple(
        scan: &mut Self::Scan,
        rel: Relation<'_>,
        page: &pg_sys::TBMIterateResult,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        let _ = (scan, rel, page, slot);
        Err(missing("scan_bitmap_next_tuple"))
    }

    /// The bytes of shared memory that a parallel scan of the table takes; the snapshot is not
    /// counted. The default shares a counter, see [`ParallelScan::claim_next`].
    fn parallelscan_estimate(rel: Relation<'_>) -> usize {
        let _ = rel;
        ParallelScan::SIZE
    }

    /// Fills the shared state of a parallel scan in, and returns its size.
    fn parallelscan_initialize(rel: Relation<'_>, parallel: ParallelScan) -> PgResult<usize> {
        parallel.initialize(rel);
        Ok(ParallelScan::SIZE)
    }

    /// Resets the shared state for another scan.
    fn parallelscan_reinitialize(rel: Relation<'_>, parallel: ParallelScan) {
        let _ = rel;
        parallel.reinitialize();
    }

    /// Takes the next block that ANALYZE has chosen from `stream`. `false` when there is none left.
    fn scan_analyze_next_block(
        scan: &mut Self::Scan,
        rel: Relation<'_>,
        stream: BlockStream<'_>,
    ) -> PgResult<bool>;

    /// Stores the block's next live tuple in the slot, and counts it in `live`; tuples that are
    /// dead are counted in `dead` only.
    fn scan_analyze_next_tuple(
        scan: &mut Self::Scan,
        rel: Relation<'_>,
        live: &mut f64,
        dead: &mut f64,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool>;

    /// Asks the sampling method for the next block. `false` when there is none left.
    fn scan_sample_next_block(
        scan: &mut Self::Scan,
        rel: Relation<'_>,
        sampler: &mut SampleScan<'_>,
    ) -> PgResult<bool>;

    /// Asks the sampling method for tuples of the block, and stores the next visible one in the
    /// slot. `false` when the block has none left.
    fn scan_sample_next_tuple(
        scan: &mut Self::Scan,
        rel: Relation<'_>,
        sampler: &mut SampleScan<'_>,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool>;
}

/// An access method declares an optional kind of scan and does not implement it.
fn missing(method: &str) -> PgError {
    PgError::internal(format!(
        "table access method declares a kind of scan without implementing {method}"
    ))
}
