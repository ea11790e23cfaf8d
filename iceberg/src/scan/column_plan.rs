//! How a column of the table is made from the columns of a file (specification, section "Column
//! Projection" and "Schema Evolution").

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::datatypes::{DataType, FieldRef};

use super::convert::{Child, Convert};
use super::data_file_reader::ReadOptions;
use super::default_value::default_array;
use super::file_schema::{FileField, FileSchema, IdSource};
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
    /// Plans reading `field` from a file at `path` with these columns; `options` have the values of those that it lacks.
    pub(super) fn new(
        field: &NestedField,
        file: &FileSchema,
        options: &ReadOptions,
        path: &str,
    ) -> Result<Self> {
        let target = arrow_field(field)?;
        let mut planner = Planner {
            path,
            options,
            constants_first: file.ids != IdSource::File,
            leaves: Vec::new(),
        };
        let source = match planner.find(field, &file.fields, target.data_type())? {
            Found::InFile(root) => {
                let convert =
                    planner.convert(&file.fields[root], &field.field_type, target.data_type())?;
                Source::File { root, convert }
            }
            Found::Constant(value) => Source::Constant(value),
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

    /// The one value of all rows, if the file does not have the column.
    pub(super) fn constant(&self) -> Option<&ArrayRef> {
        match &self.source {
            Source::File { .. } => None,
            Source::Constant(value) => Some(value),
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
    options: &'a ReadOptions,
    /// Whether partition values go before columns of the file: a file without field ids has, by the
    /// specification's order, no column that the name mapping is needed for to find.
    constants_first: bool,
    leaves: Vec<usize>,
}

/// Where a field's values are from.
enum Found {
    /// The field at this place among those of the file.
    InFile(usize),
    /// One value for all rows.
    Constant(ArrayRef),
}

impl Planner<'_> {
    /// Finds `field` among the fields of the file at its level.
    fn find(&self, field: &NestedField, file: &[FileField], target: &DataType) -> Result<Found> {
        let position = file
            .iter()
            .position(|candidate| candidate.id == Some(field.id));
        match position {
            Some(position) if !self.constants_first => Ok(Found::InFile(position)),
            Some(position) => Ok(match self.partition_value(field, target)? {
                Some(value) => Found::Constant(value),
                None => Found::InFile(position),
            }),
            None => self.missing(field, target).map(Found::Constant),
        }
    }

    /// The one value of a field that the file's partition tells.
    fn partition_value(&self, field: &NestedField, target: &DataType) -> Result<Option<ArrayRef>> {
        let constants = &self.options.partition_constants;
        constants.array(field, target, self.path)
    }

    /// The one value of a field that the file does not have.
    fn missing(&self, field: &NestedField, target: &DataType) -> Result<ArrayRef> {
        if let Some(value) = self.partition_value(field, target)? {
            return Ok(value);
        }
        if let Some(value) = self.options.missing_values.get(&field.id) {
            return Ok(Arc::clone(value));
        }
        match &field.initial_default {
            Some(default) if !default.is_null() => default_array(field, default, target),
            _ if field.required => Err(Error::invalid_data(
                self.path,
                format!(
                    "column \"{}\" (field id {}) is required, has no initial default, is no partition \
                     field by identity, and is not in the file",
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
                let targets: Vec<_> = targets.iter().map(|target| target.data_type()).collect();
                // Children are decoded in the file's order, so the place of each is known only
                // once it is clear which of them are wanted.
                let mut wanted = vec![None; file.children.len()];
                let mut children: Vec<Option<Child>> = Vec::with_capacity(to.fields.len());
                for (index, (field, target)) in to.fields.iter().zip(&targets).enumerate() {
                    children.push(match self.find(field, &file.children, target)? {
                        Found::Constant(value) => Some(Child::Constant(value)),
                        Found::InFile(position) => {
                            wanted[position] = Some(index);
                            None
                        }
                    });
                }
                let decoded = file.children.iter().zip(&wanted);
                let decoded = decoded.filter_map(|(child, index)| Some((child, (*index)?)));
                for (place, (child, index)) in decoded.enumerate() {
                    let field_type = &to.fields[index].field_type;
                    let convert = self.convert(child, field_type, targets[index])?;
                    children[index] = Some(Child::File { place, convert });
                }
                if self.leaves.len() == before {
                    // Nothing of the struct is wanted but whether it is null.
                    self.leaves.push(file.leaves.start);
                }
                let children = children.into_iter().flatten().collect();
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
