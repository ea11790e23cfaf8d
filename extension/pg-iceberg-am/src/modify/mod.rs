//! Changing and locking rows, with heap's concurrency.
//!
//! Who wants a row looks at what is said of it in [`crate::catalog::RowChangeCatalog`]: whether somebody else has changed or
//! locked it. If so, those in progress are waited for, as heap waits for the transactions in a tuple's header; otherwise
//! what is done is noted there at once, before anybody else can look. What callbacks answer is what `heapam.c` does.

mod acquire;
mod change;
mod lock;

pub use change::{delete, is_live, latest_version, update};
pub use lock::lock;
