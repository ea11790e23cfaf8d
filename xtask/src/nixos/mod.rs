//! `cargo xtask nixos`: the scenarios of `vm-tests`, without NixOS.
//!
//! The NixOS module is evaluated to units, as by `nix-check`, and they run unchanged on machines of Debian 13, which have
//! PostgreSQL from Debian and the extension and the service from our packages. The steps are the same Python as in the NixOS test
//! driver; `xtask/nixos/driver.py` gives them the machines.

mod command;
mod host;
mod programs;

pub use command::{Args, missing, run, run_all};
