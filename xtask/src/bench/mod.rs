//! `cargo xtask bench`: Iceberg tables against heap tables, interleaved in one run on an optimised
//! build, with the targets this project holds itself to.

mod command;
mod dml;
mod figures;
mod machine;
mod measure;
mod object_store;
mod picture;
mod report;
mod statistics;

pub use command::{Args, run};
pub use statistics::median;
