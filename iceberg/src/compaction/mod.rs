//! Compaction: small data files are merged into large ones, and deleted rows are left out.
//!
//! [`plan_compaction`] chooses groups of files: a pure function. What becomes of them is collected as a
//! [`Compaction`], whose [delta](Compaction::delta) is committed like any other change.

mod commit;
mod plan;

pub use commit::{Compaction, LostRace, RewrittenGroup};
pub use plan::{CompactionGroup, CompactionRules, Extent, plan_compaction};
