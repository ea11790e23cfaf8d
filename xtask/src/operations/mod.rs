//! `cargo xtask operations`: what operators do with whole clusters, other than losing them (`crash` does
//! that), on servers made for it: upgrades, incremental backups, checksums, logical
//! replication, many databases, dumps of tablespaces, the storage service.

mod backup;
mod checksums;
mod command;
mod copies;
mod databases;
mod leftovers;
mod objects;
mod outage;
mod probe;
mod replication;
mod server;
mod service;
mod standby;
mod tablespaces;
mod upgrade;

pub use command::{Args, run, run_all};
