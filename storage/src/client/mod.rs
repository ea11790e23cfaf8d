//! The blocking client that a PostgreSQL backend links.
//!
//! One thread, one connection, no runtime. Every wait is cut into slices between which the caller's
//! [`Interrupts`] are asked, and has a limit. A request given up leaves the connection in an unknown
//! state, so it is closed, which cancels the request in the daemon; the next one connects anew.

mod blocking_client;
mod cached_file;
mod config;
mod conversation;
mod error;
mod interrupt;
mod put;
mod socket;

pub use blocking_client::Client;
pub use cached_file::{CachedFile, Missing};
pub use config::ClientConfig;
pub use error::{ClientError, Result};
pub use interrupt::{Interrupted, Interrupts, Uninterrupted};
pub use put::Put;
