//! The operations: what a request means, over stores and cache. Knows no sockets.

mod counters;
mod flights;
mod status;
mod storage_service;
mod stores;
mod want;

pub use storage_service::StorageService;
