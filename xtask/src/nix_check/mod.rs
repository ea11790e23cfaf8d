//! `cargo xtask nix-check`: the flake and the NixOS module, evaluated without nixpkgs and without building anything.
//!
//! `xtask/nix-check` has the stand-in for nixpkgs and all expectations; this runs the commands that its README lists.

mod command;
mod configuration;
mod flake;
mod machines;
mod nix;
mod tools;

pub use command::{Args, missing, run, run_check};
pub use configuration::{Configuration, UNITS, write};
pub use nix::Nix;
