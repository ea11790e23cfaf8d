//! What this transaction has done to Iceberg tables and not yet committed.
//!
//! Nothing here touches a table's metadata before commit. [`state`] holds, per storage, the rows
//! inserted ([`PendingRows`]), whether the storage was created or dropped here, and one level per
//! subtransaction to undo from. [`commit`] makes all of it part of the tables at pre-commit;
//! [`callbacks`] is where PostgreSQL calls.

mod budget;
mod callbacks;
mod change_row;
mod columns;
mod command_rows;
mod commit;
pub mod garbage;
mod insert;
mod level;
mod open_file;
mod pending;
mod pending_batch;
pub mod shared;
mod state;
pub mod two_phase;

pub use callbacks::register;
pub use change_row::{change_row, lock_row, may_have_inserted, note_changes};
pub use columns::{note_added_column, note_changed_columns, widen_column};
pub use commit::{Expiring, Replaced, WORTHWHILE, expire, fold, replace};
pub use insert::{insert, insert_into};
pub use pending::PendingView;
pub use pending_batch::PendingBatch;
pub use state::{
    create_storage, drop_storage, empty_storage, has_changes, note_changed_options, note_rewritten,
    pending_row_count, with_storage,
};
