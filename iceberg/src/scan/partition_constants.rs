//! Columns that a data file lacks and whose one value its partition tells (specification, section
//! "Column Projection", first rule).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, new_null_array};
use arrow::datatypes::DataType;

use super::literal_array::{Exactness, literal_array};
use crate::error::{Error, Result};
use crate::manifest::DataFile;
use crate::spec::{Datum, NestedField, TableMetadata, Transform, Type};

/// The values of a data file's columns that are partition fields by identity, by the columns' field
/// ids; `None` for null.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartitionConstants(BTreeMap<i32, Option<Datum>>);

impl PartitionConstants {
    /// Those of `file`, which belongs to the table of `metadata`.
    pub fn of(file: &DataFile, metadata: &TableMetadata) -> Result<Self> {
        if file.partition.is_empty() {
            return Ok(Self::default());
        }
        let invalid = |field: &str, reason: String| {
            Err(Error::invalid_metadata(&*file.file_path, field, reason))
        };
        let spec_id = file.partition_spec_id;
        let Some(spec) = metadata.partition_spec(spec_id) else {
            let reason = format!("the table has no partition spec {spec_id}");
            return invalid("partition_spec_id", reason);
        };
        let (values, fields) = (file.partition.len(), spec.fields.len());
        if values != fields {
            let reason =
                format!("has {values} values, partition spec {spec_id} has {fields} fields");
            return invalid("partition", reason);
        }
        let constants = spec
            .fields
            .iter()
            .zip(&file.partition)
            .filter(|(field, _)| field.transform == Transform::Identity)
            .map(|(field, value)| (field.source_id, value.clone()));
        Ok(Self(constants.collect()))
    }

    /// The one value of `field`, of Arrow type `target`, as an array; `None` if the partition does
    /// not tell it. `path` is the data file's.
    pub(super) fn array(
        &self,
        field: &NestedField,
        target: &DataType,
        path: &str,
    ) -> Result<Option<ArrayRef>> {
        let Some(value) = self.0.get(&field.id) else {
            return Ok(None);
        };
        let Some(value) = value else {
            return Ok(Some(new_null_array(target, 1)));
        };
        let array = match &field.field_type {
            // The column may have been promoted since the manifest was written.
            Type::Primitive(primitive) => value
                .promoted_to(primitive)
                .and_then(|value| datum_array(&value, target)),
            _ => None,
        };
        array.map(Some).ok_or_else(|| {
            let reason = format!(
                "the partition value of column \"{}\" is of type {}, which cannot be read as {target}",
                field.name,
                value.primitive_type()
            );
            Error::invalid_data(path, reason)
        })
    }
}

/// An array of the one value.
fn datum_array(value: &Datum, target: &DataType) -> Option<ArrayRef> {
    match (value, target) {
        (Datum::Float(value), DataType::Float32) => {
            Some(Arc::new(Float32Array::from(vec![*value])))
        }
        (Datum::Double(value), DataType::Float64) => {
            Some(Arc::new(Float64Array::from(vec![*value])))
        }
        _ => literal_array(value, target)
            .filter(|(_, exactness)| *exactness == Exactness::Equal)
            .map(|(array, _)| array),
    }
}
