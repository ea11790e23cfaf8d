//! The summary of a manifest's partition values.

use std::cmp::Ordering;

use super::manifest_file::FieldSummary;
use crate::spec::{Datum, PrimitiveType};

/// What is known so far of one partition field's values.
pub struct PartitionFieldSummary {
    contains_null: bool,
    contains_nan: Option<bool>,
    lower: Option<Datum>,
    upper: Option<Datum>,
}

impl PartitionFieldSummary {
    pub fn new(primitive: &PrimitiveType) -> Self {
        let is_floating = matches!(primitive, PrimitiveType::Float | PrimitiveType::Double);
        Self {
            contains_null: false,
            contains_nan: is_floating.then_some(false),
            lower: None,
            upper: None,
        }
    }

    pub fn add(&mut self, value: Option<&Datum>) {
        match value {
            None => self.contains_null = true,
            Some(value) if value.is_nan() => self.contains_nan = Some(true),
            Some(value) => {
                keep(&mut self.lower, value, Ordering::Less);
                keep(&mut self.upper, value, Ordering::Greater);
            }
        }
    }

    pub fn finish(&self) -> FieldSummary {
        FieldSummary {
            contains_null: self.contains_null,
            contains_nan: self.contains_nan,
            lower_bound: self.lower.as_ref().map(Datum::to_bytes),
            upper_bound: self.upper.as_ref().map(Datum::to_bytes),
        }
    }
}

/// Replaces the bound if the value lies on the wanted side of it.
fn keep(bound: &mut Option<Datum>, value: &Datum, wanted: Ordering) {
    let beyond = match bound {
        None => true,
        Some(bound) => value.compare(bound) == Some(wanted),
    };
    if beyond {
        *bound = Some(value.clone());
    }
}
