//! Machines: containers of systemd's, booted as a whole over a tree of Debian 13.

mod container;
mod tree;

pub use container::Machine;
pub use tree::{clear, container_base, debian, lay_over};

use crate::setup;

/// Why this machine cannot start any, if that is so.
pub fn missing() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root can start a machine");
    }
    if !setup::on_path("apt-get") {
        return Some("there is no apt-get");
    }
    None
}
