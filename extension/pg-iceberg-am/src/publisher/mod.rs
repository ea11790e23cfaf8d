//! The publisher: puts appends into the metadata of their tables.
//!
//! A background worker for each database, started by the first transaction that leaves appends (see
//! `transaction/publish.rs`) and after recovery, and gone when there have been none for a while. What it
//! does is a transaction like others: it locks the pointer row, writes one manifest for all appends to a
//! table, replaces the row and deletes the appends. Should it fail or be killed, the appends are still
//! there, and count.
//!
//! [`slots`] knows who publishes for which database and starts publishers; [`worker`] is what they do.

mod slots;
mod worker;

pub use slots::{dismiss, ensure_running, hurry, register, start_in_all_databases};
