//! SQL functions of schema `lakebase`.

mod metadata;
mod sizes;
