//! `cargo xtask soak`: tables are written to for a long time, and nothing may grow but with their data.
//!
//! Sixteen writers commit small transactions, another one loads in bulk, readers hold snapshots for a while, a
//! standby follows and is read, and DuckDB and PyIceberg read what is published. Every row has a counterpart of the
//! same transaction with the negative id: so whoever reads, wherever and whenever, finds ids that add up to zero.
//! Every so often the work is held, what has come of it is measured, and in the end every measure is compared
//! with what it may be at any length of time ([`bounds`]).

mod gate;
mod tables;
mod writers;

mod other_engines;
mod processes;
mod readers;

mod bounds;
mod sample;

mod command;
mod picture;
mod report;
mod run;

pub use command::{Args, run};
