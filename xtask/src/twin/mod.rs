//! `cargo xtask twin`: random concurrent transactions, run over Iceberg tables and, by the same schedule,
//! over heap tables, which are the oracle: rows, command tags, SQLSTATEs and who waits have to be equal.
//!
//! There are two databases whose tables have the same names, and for each session a connection to either.
//! A step is one statement of one session ([`statement`]), given to both connections ([`side`]). It ends when
//! it is done or waits for another session, on both alike ([`history`]). What is drawn next depends on the
//! seed and on how the steps before ended, so a seed repeats a history as long as both sides agree.
//!
//! Where PostgreSQL leaves the answer open it is not asked: statements come to rows in the order of their `id`
//! ([`change`]), or are cancelled where they would wait; results are sorted, deadlocks are not detected but cancelled on
//! both sides, and of two sessions one is cancelled that would wait at the same time. Serializable transactions may fail on Iceberg tables where they
//! would not on heap tables, or later than there: then the other side is rolled back as well.

mod change;
mod command;
mod history;
mod side;
mod statement;

pub use command::{Args, run};
