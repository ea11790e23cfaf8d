//! SQL functions of schema `lakebase`.

mod metadata;
mod sizes;

pub use metadata::open;
