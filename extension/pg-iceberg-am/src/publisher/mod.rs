//! The publisher: folds inline commits into the metadata of their tables.
//!
//! At most `pg_iceberg_am.max_workers` background workers serve all databases. A database gets one from the first
//! transaction that leaves inline commits in it (see `transaction/commit/`), and after recovery; where all are
//! busy it waits its turn. A worker keeps to its database until there has been nothing to do for a while, or,
//! where other databases wait, for one round. What it does is a transaction like others: it locks the pointer
//! row, writes one manifest for all inline commits to a table, replaces the row and deletes the inline commits.
//! Should it fail or be killed, the inline commits are still there, and count.
//!
//! Sessions ask the publisher to keep a table in order, and wait ([`orders`]); merges of files that are going on are told
//! in [`merges`]. [`slots`] knows which databases have a worker or wait for one, and starts workers; `workers/launcher.rs` has
//! it do so when time comes; `workers/publisher.rs` is what workers do.

mod carried;
mod held;
mod launcher;
pub mod merges;
pub mod orders;
mod rest;
mod slot;
mod slots;
pub mod upkept;
mod worker_name;

pub use carried::Carried;
pub use held::{Held, Requests, free_slot, takes_search_for_dropped};
pub use launcher::{Launcher, next_look};
pub use rest::Rest;
pub use slot::{Storage, Thorough};
pub use slots::{call, dismiss, ensure_running, hurry};
pub use worker_name::WorkerName;

/// Asks for shared memory and the launcher; called once, from `_PG_init`.
pub fn register() {
    slots::register();
    orders::register();
    merges::register();
    upkept::register();
}
