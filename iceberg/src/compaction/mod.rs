//! Compaction: small data files are merged into large ones, and deleted rows are left out.
//!
//! [`plan_compaction`] chooses groups of files: a pure function.

mod plan;

pub use plan::{CompactionGroup, CompactionRules, Extent, plan_compaction};
