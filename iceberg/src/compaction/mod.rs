//! Compaction: small data files are merged into large ones, and deleted rows are left out.
//!
//! [`plan_compaction`] chooses groups of files: a pure function. A [`Rewrite`] writes the rows of a group into new
//! files, holding nothing of the table but files; [`WithoutRows`] has files written again at once. What became of groups is collected as a [`Compaction`], whose
//! [delta](Compaction::delta) is committed like any other change.

mod neighbours;
mod plan;

mod carried_columns;
mod ordered_rows;
mod rewrite;
mod source;
mod without_rows;

mod commit;

pub use commit::{Compaction, LostRace, RewrittenGroup};
pub use plan::{CompactionGroup, CompactionRules, Extent, RowOrder, plan_compaction};
pub use rewrite::{Rewrite, RewriteOptions};
pub use source::{Fill, RewriteInput};
pub use without_rows::{LostRows, WithoutRows};
