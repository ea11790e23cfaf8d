//! `cargo xtask stores`: object stores on this machine, for tests and for trying things out.
//!
//! MinIO speaks S3's protocol, Azurite that of Azure Blob Storage. fake-gcs-server speaks Google Cloud Storage's JSON API;
//! the XML API, by which `object_store` writes, is before it in `xtask/stores/gcs`.
//!
//! A store is a directory: `data/`, `port`, `log`. Its server works in `data/`, which is how it is found again. It listens on
//! the loopback interface only. A proxy may be before each store, which fails on command: [`proxy`].

mod azurite;
mod command;
mod gcs;
mod lake;
mod minio;
mod place;
mod proxy;
mod running;
mod server;

pub use azurite::install as azurite_program;
pub use command::{Args, run};
pub use gcs::build as gcs_program;
pub use lake::{Lake, TABLESPACE};
pub use minio::install as minio_program;
pub use place::{STORES, Store};
pub use running::Running;
