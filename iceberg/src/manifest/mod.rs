//! Manifests and manifest lists: which files belong to a snapshot, and what is known of each.

mod data_file;

pub use data_file::{DataContentType, DataFile, DataFileFormat};
