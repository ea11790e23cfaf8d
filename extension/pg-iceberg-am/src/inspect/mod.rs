//! SQL functions of schema `lakebase`.

mod metadata;
mod privilege;
mod progress;
mod sizes;
mod storage_service;
mod upkeep;

pub use metadata::timestamp;
