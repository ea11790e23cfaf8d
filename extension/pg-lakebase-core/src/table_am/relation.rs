//! What a table is to the planner and to size functions, and the access method as a whole.

use pgrx::pg_sys;

use super::{DdlMethods, IndexFetchMethods, ModifyMethods, Operation, ScanMethods};
use crate::error::PgResult;
use crate::relation::{ForkNumber, Relation};
use crate::slot::SlotKind;

/// What the planner takes a table to be.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SizeEstimate {
    /// Size in blocks of 8 kB, which is what page costs are counted in.
    pub pages: u32,
    /// Number of live rows.
    pub tuples: f64,
    /// The part of the blocks that an index-only scan need not look at, from 0 to 1.
    pub all_visible_fraction: f64,
}

/// Sizes of a table.
pub trait RelationMethods: ModifyMethods {
    /// The size in bytes of one fork, or of all for [`ForkNumber::All`].
    fn relation_size(rel: Relation<'_>, fork: ForkNumber) -> PgResult<u64>;

    /// Whether the table wants a TOAST table.
    fn relation_needs_toast_table(rel: Relation<'_>) -> bool {
        let _ = rel;
        false
    }

    /// The access method of the table's TOAST table, if it wants one.
    fn relation_toast_am(rel: Relation<'_>) -> pg_sys::Oid {
        rel.am_oid()
    }

    /// Fetches a part of a value from a TOAST table of this access method into `result`.
    ///
    /// # Safety
    ///
    /// `result` has room for a header and `slice_length` bytes.
    unsafe fn relation_fetch_toast_slice(
        toast_rel: Relation<'_>,
        value_id: pg_sys::Oid,
        attr_size: i32,
        slice_offset: i32,
        slice_length: i32,
        result: *mut pg_sys::varlena,
    ) -> PgResult<()> {
        let _ = (value_id, attr_size, slice_offset, slice_length, result);
        Err(Self::unsupported(Operation::ToastFetch, toast_rel))
    }

    /// What the planner shall take the table to be. `attr_widths` has one element a column; the
    /// method may replace those that are zero.
    fn relation_estimate_size(
        rel: Relation<'_>,
        attr_widths: Option<&mut [i32]>,
    ) -> PgResult<SizeEstimate>;
}

/// A table access method.
pub trait TableAm:
    ScanMethods + IndexFetchMethods + ModifyMethods + DdlMethods + RelationMethods + 'static
{
    /// The name that users write after USING.
    const NAME: &'static str;

    /// The kind of slot that the table's tuples are stored in.
    fn slot_callbacks(rel: Relation<'_>) -> SlotKind {
        let _ = rel;
        SlotKind::Virtual
    }
}
