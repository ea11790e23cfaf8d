//! The operations: what a request means, over stores and cache. Knows no sockets.

mod fetch;
mod flights;
mod read;
mod storage_service;
mod stores;

pub use storage_service::StorageService;
