//! `cargo xtask package`: Debian packages, and trying them.
//!
//! `debian/` at the root says what is in the packages; the files are built here against the headers of Debian's own
//! PostgreSQL 17, and packed by debhelper. A machine of Debian 13, in a container of systemd's, has them installed,
//! used, upgraded and removed. An image for containers has them too.

mod build;
mod command;
mod container;
mod installed;

pub use build::{Built, Use};
pub use command::{Args, run, run_check};
