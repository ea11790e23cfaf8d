//! `cargo xtask list-append`: sessions append to lists and read them while the server is killed again and again; then
//! the history is checked for what their isolation levels forbid, in the manner of Elle (Kingsbury and Alvaro,
//! "Elle: inferring isolation anomalies from experimental observations").
//!
//! A row is a key with a list. Every element is appended once, so a list tells who wrote the row and in which order,
//! and from what transactions read follows which had to come before which ([`check`]). Nothing else is known of the
//! server: what is demanded is what PostgreSQL promises, and heap tables, with `--heap`, pass the same.
//!
//! What sessions do is drawn from the seed ([`plan`]); what meets what, and where the server dies, is up to the machine.

mod history;
mod keys;
mod level;
mod plan;

mod check;

mod client;
mod command;
mod rounds;

pub use command::{Args, run};
