//! Files are written by [`crate::write`] and read back.

mod memory_io;
mod values;

mod deletes;
mod evolution;
mod filtering;
mod footers;
mod foreign_files;
mod partition_pruning;
mod partition_values;
mod round_trip;
mod statistics;
mod threads;
