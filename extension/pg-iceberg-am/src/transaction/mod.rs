//! What this transaction has done to Iceberg tables and not yet committed.
//!
//! Nothing here touches a table's metadata before commit. [`state`] holds, per storage, the rows
//! appended ([`PendingRows`]), whether the storage was created or dropped here, and one level per
//! subtransaction to undo from. [`publish`] turns all of it into commits at pre-commit;
//! [`callbacks`] is where PostgreSQL calls.

mod budget;
mod callbacks;
mod command_rows;
pub mod garbage;
mod level;
mod pending;
mod publish;
pub mod shared;
mod state;
pub mod two_phase;

pub use callbacks::register;
pub use pending::{PendingBatch, PendingView};
pub use publish::adopt_appends;
pub use state::{
    create_storage, drop_storage, empty_storage, has_changes, note_changed_columns,
    pending_row_count, with_storage, with_writable_storage,
};
