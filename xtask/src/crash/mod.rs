//! `cargo xtask crash`: the server is killed again and again under load, and what is left is checked.
//!
//! Every change, be it INSERT, COPY, UPDATE, DELETE or MERGE, is made to an Iceberg table and, in the same
//! transaction, to a heap table beside it:
//! the heap is what crash recovery is known to bring back, so the two have to be equal after every
//! restart, on a standby that follows all along, and after recovery to a point in time. What was
//! acknowledged to a client has to be there, and what it rolled back must not be.
//!
//! Some tables are unlogged, and their mirrors too. Recovery empties them wherever it happens, a clean shutdown does
//! not, and what was prepared before does not come back; nobody reads them on a standby.
//!
//! What is planned comes from the seed alone ([`crate::random`], [`plan`], [`transaction`]); when exactly the
//! server dies is up to the machine, so a replay makes the same plan, not the same interleaving.

mod change;
mod plan;
mod points;
mod transaction;

mod client;
mod ledger;
mod load;

mod fault;
mod leftover;
mod primary;
mod server_log;
mod small_disk;

mod engines;
mod orphans;
mod restore;
mod rewind;
mod standby;
mod tables;
mod torn;

mod cases;
mod command;
mod harness;
mod prepared;
mod summary;

use crate::random;

pub use client::EXPECTED;
pub use command::{Args, run};
pub use ledger::{Ending, Ledger};
pub use load::Signals;
pub use primary::{Primary, clear, unmount_small_disk};
pub use server_log::ServerLog;
pub use standby::{Standby, Upstream, flushed, wait_replayed};
