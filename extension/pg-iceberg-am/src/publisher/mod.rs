//! The publisher: folds inline commits into the metadata of their tables.
//!
//! A background worker for each database, started by the first transaction that leaves inline commits (see
//! `transaction/commit/`) and after recovery, and gone when there have been none for a while. What it
//! does is a transaction like others: it locks the pointer row, writes one manifest for all inline commits to a
//! table, replaces the row and deletes the inline commits. Should it fail or be killed, the inline commits are still
//! there, and count.
//!
//! [`slots`] knows who publishes for which database and starts publishers; `workers/publisher.rs` is what they do.

mod slots;

pub use slots::{
    Held, Requests, WorkerName, dismiss, ensure_running, free_slot, hurry, register,
    start_in_all_databases,
};
