//! The safe framework on which table access methods and custom scans are written.
//!
//! This crate is the only general wrapper of `pgrx::pg_sys` in the workspace: it turns PostgreSQL's
//! C interfaces into typed handles, traits and guards, and knows nothing of any particular table
//! format. What must hold everywhere:
//!
//! - Every function that PostgreSQL calls is guarded: a Rust panic or a [`error::PgError`] leaves it
//!   as an `ereport(ERROR)` only after all Rust destructors of the frame have run.
//! - Every PostgreSQL function that may raise is called through pgrx's wrappers, which turn the
//!   `longjmp` into an unwinding panic at the call. No Rust destructor is ever jumped over.
//! - A Rust value that PostgreSQL keeps a pointer to belongs to a memory context, whose reset
//!   callback drops it, because end callbacks do not run on abort.
//! - Handles borrow from pointers that PostgreSQL guarantees for the duration of a callback; they
//!   are neither `Send` nor `Sync`. The backend thread alone touches them.
#![expect(
    unsafe_code,
    reason = "this crate is the boundary to PostgreSQL's C interfaces"
)]

pub mod background;
pub mod custom_scan;
pub mod error;
pub mod file;
pub mod guc;
pub mod hooks;
pub mod injection;
pub mod interrupt;
pub mod memory;
pub mod pgstat;
pub mod relation;
pub mod resource_owner;
pub mod row_lock;
pub mod serializable;
pub mod shmem;
pub mod slot;
pub mod smgr;
pub mod snapshot;
pub mod spi;
pub mod system_catalog;
pub mod table_am;
pub mod thread;
pub mod wait_event;
pub mod wal;
pub mod xact;

mod guard;

pub use pg_lakebase_macros::pg_table_am;
