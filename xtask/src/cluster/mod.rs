//! `cargo xtask cluster`: private PostgreSQL clusters.
//!
//! A cluster is a directory: `data/` (PGDATA), `socket/`, `log/`, and `cluster.json`, which
//! remembers the build it runs on. Clients connect by the Unix socket, whose directory only the
//! server's account (and root) can enter, so `trust` is enough there; TCP is off unless a port is
//! asked for, and then wants a password.

mod command;
mod connection;
mod postmaster;
pub mod processes;
mod server;
mod socket;

pub use command::{Args, run};
pub use connection::{Connection, SUPERUSER};
pub use processes::end_processes;
pub use server::{Cluster, Settings};
