//! Predicates over columns, named by field id.
//!
//! A [`Predicate`] says which rows a reader wants. It follows SQL's three-valued logic with
//! PostgreSQL's order of values: NaN equals NaN and is greater than every other number, and -0.0
//! equals 0.0. What evaluates a predicate (file bounds, row-group statistics, the page index,
//! Arrow batches) lives in [`crate::scan`]; here is only what a predicate is.

mod compare;
mod display;
mod predicate;

/// A constant in a predicate. There is no NULL: comparing with NULL is never true, so whoever
/// builds a predicate folds that to [`Predicate::AlwaysFalse`].
pub use crate::spec::Datum as Literal;
pub use compare::compare;
pub use display::DisplayPredicate;
pub use predicate::{CompareOp, Predicate};
