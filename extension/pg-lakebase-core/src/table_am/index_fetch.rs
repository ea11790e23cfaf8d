//! Fetching rows through an index.

use super::{ModifyMethods, Operation};
use crate::error::PgResult;
use crate::relation::Relation;
use crate::slot::{Slot, Tid};
use crate::snapshot::Snapshot;

/// What a fetch tells the index besides the row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexFetchOutcome {
    /// On entry: whether the fetch is repeated for the same identifier. On return: whether there
    /// may be another row for it.
    pub call_again: bool,
    /// On return: whether nobody needs to see the row any more.
    pub all_dead: bool,
}

/// The state of fetching rows of one table through one index. A memory context owns it.
pub trait IndexFetch {
    /// Releases what is held between fetches.
    fn reset(&mut self, rel: Relation<'_>) {
        let _ = rel;
    }

    /// Stores the row that `tid` names and `snapshot` shows in the slot; `false` when there is none.
    fn fetch_tuple(
        &mut self,
        rel: Relation<'_>,
        tid: Tid,
        snapshot: Snapshot<'_>,
        slot: &mut Slot<'_>,
        outcome: &mut IndexFetchOutcome,
    ) -> PgResult<bool>;
}

/// Index scans of a table.
pub trait IndexFetchMethods: ModifyMethods {
    /// Prepares to fetch rows of the table.
    fn index_fetch_begin(rel: Relation<'_>) -> PgResult<Box<dyn IndexFetch>> {
        Err(Self::unsupported(Operation::IndexFetch, rel))
    }
}
