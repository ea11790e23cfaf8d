//! The format as other engines write and read it, and commits end to end.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

/// Values as JSON.
#[path = "../../examples/dump/form.rs"]
mod form;

mod changed;
mod support;

mod broken_manifests;
mod broken_metadata;
mod changed_tables;
mod commit;
mod commit_conflicts;
mod commit_faults;
mod compaction;
mod compaction_races;
mod delete_rows;
mod expire;
mod foreign_tables;
mod fuzz;
mod manifest_merge;
mod manifest_round_trip;
mod manifests;
mod metadata;
mod metadata_round_trip;
mod rewrite;
mod upkeep;
