//! What bounds and counts say about a predicate: whether any row behind them can satisfy it.
//!
//! Everything here errs to the side of "yes". Bounds may be wider than the values (truncated), do
//! not cover NaN, and may be missing.

use std::cmp::Ordering;

use crate::expr::{CompareOp, Literal, Predicate, compare};
use crate::manifest::DataFile;
use crate::spec::{Datum, PrimitiveType, Schema, Type};

/// What is known of a column's values in a file, a row group or a page.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ColumnBounds {
    /// Not above any value that is neither NULL nor NaN.
    pub(super) lower: Option<Literal>,
    /// Not below any value that is neither NULL nor NaN.
    pub(super) upper: Option<Literal>,
    pub(super) nulls: Option<u64>,
    /// Values, NULLs included.
    pub(super) values: Option<u64>,
    pub(super) may_have_nan: bool,
    /// The bounds are values that are there, whole, and NaN counts among them.
    pub(super) exact: bool,
}

/// What a manifest entry says of a column, which the file may lack.
pub(super) fn file_bounds(field_id: i32, schema: &Schema, file: &DataFile) -> Option<ColumnBounds> {
    let Type::Primitive(primitive) = &schema.fields.field(field_id)?.field_type else {
        return None;
    };
    let bound = |bytes: Option<&Vec<u8>>| Datum::from_bytes(primitive, bytes?).ok().flatten();
    let count = |count: Option<&i64>| u64::try_from(*count?).ok();
    if file.value_counts.get(&field_id) == Some(&0) && file.record_count > 0 {
        // Every row has a value, so the file does not hold the column.
        return None;
    }
    Some(ColumnBounds {
        lower: bound(file.lower_bounds.get(&field_id)),
        upper: bound(file.upper_bounds.get(&field_id)),
        nulls: count(file.null_value_counts.get(&field_id)),
        values: count(file.value_counts.get(&field_id)),
        may_have_nan: is_float(primitive) && file.nan_value_counts.get(&field_id) != Some(&0),
        exact: false,
    })
}

pub(super) fn is_float(primitive: &PrimitiveType) -> bool {
    matches!(primitive, PrimitiveType::Float | PrimitiveType::Double)
}

/// Whether any row within the bounds of its columns may satisfy a
/// [normalized](Predicate::normalize) predicate; a column without bounds may hold anything.
pub(super) fn may_match(
    predicate: &Predicate,
    bounds: &dyn Fn(i32) -> Option<ColumnBounds>,
) -> bool {
    match predicate {
        Predicate::AlwaysTrue => true,
        Predicate::AlwaysFalse => false,
        Predicate::And(parts) => parts.iter().all(|part| may_match(part, bounds)),
        Predicate::Or(parts) => parts.iter().any(|part| may_match(part, bounds)),
        // A normalized predicate has none.
        Predicate::Not(_) => true,
        Predicate::IsNull { field_id } => {
            bounds(*field_id).is_none_or(|column| column.nulls != Some(0))
        }
        Predicate::NotNull { field_id } => {
            bounds(*field_id).is_none_or(|column| !column.is_all_null())
        }
        Predicate::Compare {
            field_id,
            op,
            value,
        } => bounds(*field_id).is_none_or(|column| column.may_compare(*op, value)),
        Predicate::In { field_id, values } => bounds(*field_id).is_none_or(|column| {
            values
                .iter()
                .any(|value| column.may_compare(CompareOp::Eq, value))
        }),
        Predicate::NotIn { field_id, values } => bounds(*field_id).is_none_or(|column| {
            values
                .iter()
                .all(|value| column.may_compare(CompareOp::NotEq, value))
        }),
    }
}

impl ColumnBounds {
    /// Bounds of a column of NULLs.
    pub(super) fn all_null() -> Self {
        Self {
            nulls: Some(1),
            values: Some(1),
            ..Self::default()
        }
    }

    /// Bounds of a column with one and the same value in every row.
    pub(super) fn of_value(value: Datum) -> Self {
        Self {
            lower: Some(value.clone()),
            upper: Some(value),
            nulls: Some(0),
            values: Some(1),
            may_have_nan: false,
            exact: true,
        }
    }

    fn is_all_null(&self) -> bool {
        self.values.is_some() && self.nulls == self.values
    }

    /// Whether any value may compare so with the literal.
    fn may_compare(&self, op: CompareOp, value: &Literal) -> bool {
        if self.is_all_null() {
            return false;
        }
        let has_nan = value.is_nan()
            || [&self.lower, &self.upper]
                .into_iter()
                .flatten()
                .any(Datum::is_nan);
        if has_nan && !self.exact {
            return true;
        }
        let lower = self.lower.as_ref().and_then(|lower| compare(lower, value));
        let upper = self.upper.as_ref().and_then(|upper| compare(upper, value));
        match op {
            CompareOp::Lt => lower.is_none_or(Ordering::is_lt),
            CompareOp::LtEq => lower.is_none_or(Ordering::is_le),
            // NaN is greater than any number.
            CompareOp::Gt => self.may_have_nan || upper.is_none_or(Ordering::is_gt),
            CompareOp::GtEq => self.may_have_nan || upper.is_none_or(Ordering::is_ge),
            CompareOp::Eq => lower.is_none_or(Ordering::is_le) && upper.is_none_or(Ordering::is_ge),
            CompareOp::NotEq => {
                // Bounds of these types may be truncated by writers that do not round up.
                let truncated =
                    !self.exact && matches!(value, Literal::String(_) | Literal::Binary(_));
                let all_equal = lower.is_some_and(Ordering::is_eq)
                    && upper.is_some_and(Ordering::is_eq)
                    && !self.may_have_nan;
                truncated || !all_equal
            }
        }
    }
}

#[cfg(test)]
#[path = "pruning_tests.rs"]
mod tests;
