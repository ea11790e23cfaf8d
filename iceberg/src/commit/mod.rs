//! Commits: a change of the file list becomes manifests, a manifest list and the next metadata
//! file.
//!
//! A commit has two phases. [`fn@stage`] writes manifests for the files that the change adds; nobody
//! waits for it. [`fn@complete`], which callers run one at a time for a table, puts the change on top of
//! whatever metadata is current by then: it gives the sequence number, takes removed files out of
//! older manifests, merges small manifests, and writes manifest list and metadata file. What it
//! returns is not part of the table until the caller points the table to it; a call that fails
//! leaves no files behind as far as deleting works.
//!
//! [`delete_rows`] makes a change of deleted rows: it writes position delete files or deletion vectors, which take the
//! place of earlier ones about the same data files.
//!
//! History is thinned with a commit or by itself: [`plan_expiry`] says which snapshots go, [`unreachable_files`]
//! which files nothing needs without them, and [`complete_and_update`] or [`expire()`] writes the metadata. The files
//! are the caller's to delete: nobody may read earlier metadata by then.
//!
//! Metadata themselves change by [`TableUpdate`]s, guarded by [`TableRequirement`]s, in the pure
//! function [`apply`].

mod delete_rows;
mod delta;
mod file_totals;

mod requirement;
mod update;

mod apply;

mod created_files;
mod stage;

mod filter;
mod merge;
mod rolling_writer;
mod summary;
mod validate;

mod complete;

mod expire;
mod reachable;
mod retention;
mod unreachable;

pub use apply::{apply, upgrade};
pub use complete::{NewMetadata, complete, complete_and_update, complete_with_updates};
pub use delete_rows::delete_rows;
pub(crate) use delete_rows::files_losing_rows;
pub use delta::SnapshotDelta;
pub use expire::{Expired, expire, snapshots_of_metadata_files};
pub use reachable::{reachable_files, reachable_metadata_files};
pub use requirement::TableRequirement;
pub use retention::{Expiry, HeldSnapshots, Retention, Spacing, plan_expiry};
pub use stage::{StagedSnapshot, stage};
pub use unreachable::{History, unreachable_files};
pub use update::TableUpdate;
pub(crate) use validate::{RemovedFiles, check_no_new_deletes};
