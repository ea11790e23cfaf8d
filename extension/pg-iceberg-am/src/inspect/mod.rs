//! SQL functions of schema `lakebase`.

mod metadata;
mod progress;
mod sizes;
