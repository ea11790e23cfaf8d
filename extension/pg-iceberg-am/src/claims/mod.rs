//! Rows that a statement changes many of, before they are noted in the catalog.
//!
//! A row of `lakebase.row_change` for each of a million rows would cost more than the rows. So a statement that changes more
//! than a few claims the others in shared memory: a page has a bit for each row of a [`Chunk`](crate::row_id::Chunk), and
//! others who want one of them see there whose it is, as exactly as they would in the catalog. What has been claimed is
//! written down ([`own`]) as sets of rows: when the pages are needed for other chunks, and before the transaction ends.
//! Until then this process alone knows what became of the rows; to others a transaction that goes on tells no more.
//!
//! Who claims a row does not look in the catalog for it. He has looked for all rows of the chunk at once, with the chunk's
//! lock, which keeps out all who are about to note something of any of its rows; and from then on, whoever is
//! about to do that says so in the page first ([`shared`]). What this process has claimed is told with what the catalog says
//! ([`seen`]).

mod bits;
mod own;
mod page;
mod seen;
mod shared;

pub use own::{
    Claim, claim, close, end, has_updated, is_own, leave, note, sub_abort, sub_commit, write_down,
};
pub use seen::{changed_rows, marks_of, predecessor_of, successor_seen_by};
pub use shared::{claims_of_others, register};
