//! Object storage for PostgreSQL backends: a cache service spoken to over a Unix domain socket.
//!
//! [`protocol`] and [`cache_file`] are what both ends share; [`client`] is the blocking end that a PostgreSQL backend
//! links. Everything else is the daemon and exists only with the feature `server`: sockets in
//! [`transport`], one conversation in [`connection`], the operations in [`service`], object stores
//! in [`backend`], who the daemon is to them in [`credentials`], the disk in [`cache`],
//! what it tells Prometheus in [`metrics`].
//!
//! Without `server` this crate must not depend on an asynchronous runtime, an object store or a
//! database: the client is loaded into every PostgreSQL backend.

pub mod cache_file;
pub mod client;
pub mod protocol;

mod descriptors;

#[cfg(feature = "server")]
pub mod backend;
#[cfg(feature = "server")]
pub mod cache;
#[cfg(feature = "server")]
pub mod connection;
#[cfg(feature = "server")]
pub mod credentials;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "server")]
pub mod service;
#[cfg(feature = "server")]
pub mod transport;
