//! `cargo xtask stores`: object stores on this machine, for tests and for trying things out.
//!
//! MinIO speaks S3's protocol, Azurite that of Azure Blob Storage. No registry of packages has an emulator of Google Cloud
//! Storage that knows writes by its XML API, which is the one that is used here: fake-gcs-server answers them with 400.
//!
//! A store is a directory: `data/`, `port`, `log`. Its server works in it, which is how it is found again. It listens on the
//! loopback interface only. A proxy may be before each store, which fails on command: [`proxy`].

mod azurite;
mod command;
mod lake;
mod minio;
mod proxy;
mod server;

pub use command::{Args, run};
pub use lake::Lake;
