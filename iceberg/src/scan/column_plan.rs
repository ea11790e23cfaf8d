//! How a column of the table is made from the columns of a file (specification, section "Column
//! Projection" and "Schema Evolution").

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::datatypes::{DataType, FieldRef};

use super::convert::{Child, Convert};
use super::default_value::default_array;
use super::file_schema::FileField;
use crate::error::{Error, Result};
use crate::spec::{NestedField, PrimitiveType, Type};
use crate::write::arrow_schema::arrow_field;

/// How one top-level column is read from one file.
#[derive(Debug)]
pub(super) struct ColumnPlan {
    /// What is read, with the exact Arrow type of the result.
    pub(super) field: FieldRef,
    /// The Parquet leaves to decode.
    pub(super) leaves: Vec<usize>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// A top-level column of the file.
    File { root: usize, convert: Convert },
    /// The file has no such column: every row has this one value.
    Constant(ArrayRef),
}

impl ColumnPlan {
    /// Plans reading `field` from a file at `path` with these columns.
    pub(super) fn new(field: &NestedField, file: &[FileField], path: &str) -> Result<Self> {
        let target = arrow_field(field)?;
        let mut planner = Planner {
            path,
            leaves: Vec::new(),
        };
        let source = match file
            .iter()
            .position(|candidate| candidate.id == Some(field.id))
        {
            Some(root) => {
                let convert =
                    planner.convert(&file[root], &field.field_type, target.data_type())?;
                Source::File { root, convert }
            }
            None => Source::Constant(planner.missing(field, target.data_type())?),
        };
        Ok(Self {
            field: target,
            leaves: planner.leaves,
            source,
        })
    }

    /// The top-level column of the file, if it has one.
    pub(super) fn root(&self) -> Option<usize> {
        match self.source {
            Source::File { root, .. } => Some(root),
            Source::Constant(_) => None,
        }
    }

    /// The column from a batch of the file; `roots` are the file's top-level columns in it.
    pub(super) fn column(
        &self,
        batch: &RecordBatch,
        roots: &[usize],
        path: &str,
    ) -> Result<ArrayRef> {
        let invalid = |reason: String| {
            Error::invalid_data(path, format!("column \"{}\": {reason}", self.field.name()))
        };
        let array = match &self.source {
            Source::File { root, convert } => {
                let column = roots
                    .binary_search(root)
                    .ok()
                    .and_then(|index| batch.columns().get(index))
                    .ok_or_else(|| invalid("was not decoded".to_owned()))?;
                convert
                    .apply(column, self.field.data_type())
                    .map_err(|e| invalid(e.to_string()))?
            }
            Source::Constant(value) => repeat(value, batch.num_rows())
                .map_err(|e| Error::arrow("fill in a default value", e))?,
        };
        if !self.field.is_nullable() && array.null_count() > 0 {
            return Err(invalid("is required and has nulls".to_owned()));
        }
        Ok(array)
    }
}

/// `count` times the one value of `value`.
pub(super) fn repeat(value: &ArrayRef, count: usize) -> Result<ArrayRef, arrow::error::ArrowError> {
    if value.is_null(0) {
        return Ok(new_null_array(value.data_type(), count));
    }
    arrow::compute::take(value, &UInt32Array::from(vec![0; count]), None)
}

struct Planner<'a> {
    path: &'a str,
    leaves: Vec<usize>,
}

impl Planner<'_> {
    /// The one value of a field that the file does not have.
    fn missing(&self, field: &NestedField, target: &DataType) -> Result<ArrayRef> {
        match &field.initial_default {
            Some(default) if !default.is_null() => default_array(field, default, target),
            _ if field.required => Err(Error::invalid_data(
                self.path,
                format!(
                    "column \"{}\" (field id {}) is required, has no initial default and is not \
                     in the file",
                    field.name, field.id
                ),
            )),
            _ => Ok(new_null_array(target, 1)),
        }
    }

    fn convert(&mut self, file: &FileField, to: &Type, target: &DataType) -> Result<Convert> {
        match (to, &file.data_type, target) {
            (
                Type::Primitive(_),
                DataType::Struct(_) | DataType::List(_) | DataType::Map(..),
                _,
            ) => Err(self.mismatch(file, target)),
            (Type::Primitive(primitive), from, _) => {
                self.leaves.push(file.leaves.start);
                primitive_conversion(from, primitive, target)
                    .ok_or_else(|| self.mismatch(file, target))
            }
            (Type::Struct(to), DataType::Struct(_), DataType::Struct(targets)) => {
                let before = self.leaves.len();
                // Children are decoded in the file's order, so the place of each is known only
                // once it is clear which of them are wanted.
                let mut wanted = vec![None; file.children.len()];
                for (index, field) in to.fields.iter().enumerate() {
                    let found = file.children.iter().position(|c| c.id == Some(field.id));
                    if let Some(found) = found {
                        wanted[found] = Some(index);
                    }
                }
                let mut children: Vec<Option<Child>> = to.fields.iter().map(|_| None).collect();
                let decoded = file.children.iter().zip(&wanted);
                let decoded = decoded.filter_map(|(child, index)| Some((child, (*index)?)));
                for (place, (child, index)) in decoded.enumerate() {
                    let field = &to.fields[index];
                    let target = targets[index].data_type();
                    let convert = self.convert(child, &field.field_type, target)?;
                    children[index] = Some(Child::File { place, convert });
                }
                if self.leaves.len() == before {
                    // Nothing of the struct is wanted but whether it is null.
                    self.leaves.push(file.leaves.start);
                }
                let children = children
                    .into_iter()
                    .zip(to.fields.iter().zip(targets))
                    .map(|(child, (field, target))| match child {
                        Some(child) => Ok(child),
                        None => Ok(Child::Constant(self.missing(field, target.data_type())?)),
                    })
                    .collect::<Result<_>>()?;
                Ok(Convert::Struct(children))
            }
            (Type::List(to), DataType::List(_), DataType::List(target)) => {
                let [element] = &file.children[..] else {
                    return Err(self.mismatch(file, target.data_type()));
                };
                let element = self.convert(element, &to.element, target.data_type())?;
                Ok(Convert::List(Box::new(element)))
            }
            (Type::Map(to), DataType::Map(..), DataType::Map(entries, _)) => {
                let (DataType::Struct(targets), [key, value]) =
                    (entries.data_type(), &file.children[..])
                else {
                    return Err(self.mismatch(file, target));
                };
                let key = self.convert(key, &to.key, targets[0].data_type())?;
                let value = self.convert(value, &to.value, targets[1].data_type())?;
                Ok(Convert::Map(Box::new(key), Box::new(value)))
            }
            _ => Err(self.mismatch(file, target)),
        }
    }

    fn mismatch(&self, file: &FileField, target: &DataType) -> Error {
        Error::invalid_data(
            self.path,
            format!(
                "column \"{}\" is of type {}, which cannot be read as {target}",
                file.name, file.data_type
            ),
        )
    }
}

/// How values of a file's type become values of a table's type: the same type in another guise, or
/// one that the specification allows to be promoted to it.
fn primitive_conversion(from: &DataType, to: &PrimitiveType, target: &DataType) -> Option<Convert> {
    use DataType as D;
    use PrimitiveType as P;
    if from == target {
        return Some(Convert::Keep);
    }
    if let (D::Timestamp(..), D::Timestamp(..)) = (from, target) {
        return Some(Convert::Timestamp);
    }
    let cast = match (to, from) {
        (_, D::Null) => true,
        (P::Int, D::Int8 | D::Int16 | D::UInt8 | D::UInt16) => true,
        (P::Long, _) => from.is_integer(),
        (P::Double, D::Float32 | D::Float16) | (P::Float, D::Float16) => true,
        (&P::Decimal { precision, scale }, &D::Decimal128(from, from_scale)) => {
            u32::from(from) <= precision && u32::try_from(from_scale) == Ok(scale)
        }
        (P::Time, D::Time32(_) | D::Time64(_)) => true,
        (P::Timestamp | P::TimestampNs, D::Date32) => true,
        (P::String, D::Binary) | (P::Binary, D::Utf8 | D::FixedSizeBinary(_)) => true,
        _ => false,
    };
    cast.then_some(Convert::Cast)
}

/// The top-level columns of the file that `plans` decode, ascending.
pub(super) fn roots<'a>(plans: impl IntoIterator<Item = &'a Arc<ColumnPlan>>) -> Vec<usize> {
    let mut roots: Vec<_> = plans.into_iter().filter_map(|plan| plan.root()).collect();
    roots.sort_unstable();
    roots.dedup();
    roots
}
