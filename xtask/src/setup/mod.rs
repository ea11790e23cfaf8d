//! `cargo xtask setup`: PostgreSQL 17 and the tools that build the extension.
//!
//! An optimised PostgreSQL is looked for on the machine and built only where there is none; the
//! one with assertions is always built, since no distribution ships it. Every part is skipped
//! when it is there already, so that other commands call [`ensure`] first thing.

mod apt_source;
mod build_packages;
mod build_tools;
mod command;
mod find_postgres;
mod postgres_build;
mod server_headers;

pub use apt_source::mirror;
pub use build_packages::{ensure as ensure_packages, for_machines, for_nix, on_path};
pub use command::{Args, ensure, ensure_packaging, run};
pub use postgres_build::source;
