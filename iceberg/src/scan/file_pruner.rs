//! Which manifests and data files a predicate leaves, going by partitions and by column bounds.

use std::collections::HashMap;

use super::partition_projection::project;
use super::pruning::{ColumnBounds, file_bounds, is_float, may_match};
use crate::expr::Predicate;
use crate::manifest::{DataFile, FieldSummary, ManifestFile};
use crate::spec::{Datum, PartitionSpec, PartitionSpecRef, PrimitiveType, Schema, SchemaRef};

/// Tells the files that may hold rows of a scan from those that cannot.
///
/// It errs to the side of "may": what is absent or not understood excludes nothing.
#[derive(Debug, Clone)]
pub struct FilePruner {
    predicate: Predicate,
    schema: SchemaRef,
    partitions: HashMap<i32, PartitionPruner>,
}

/// The predicate as one on the partition values of one spec.
#[derive(Debug, Clone)]
struct PartitionPruner {
    predicate: Predicate,
    /// Field ids and types of the partition tuple, in order.
    fields: Vec<(i32, PrimitiveType)>,
}

impl FilePruner {
    /// Prunes by `predicate`, over columns of `schema`, in a table of these partition specs.
    pub fn new(predicate: &Predicate, schema: &SchemaRef, specs: &[PartitionSpecRef]) -> Self {
        let predicate = predicate.normalize();
        let partitions = specs
            .iter()
            .map(|spec| (spec.spec_id, PartitionPruner::new(&predicate, spec, schema)))
            .filter(|(_, pruner)| pruner.predicate != Predicate::AlwaysTrue)
            .collect();
        Self {
            predicate,
            schema: SchemaRef::clone(schema),
            partitions,
        }
    }

    /// Whether a manifest may list a file with a row that satisfies the predicate, or a delete file
    /// for such a file.
    pub fn manifest_may_match(&self, manifest: &ManifestFile) -> bool {
        let Some(partition) = self.partitions.get(&manifest.partition_spec_id) else {
            return self.predicate != Predicate::AlwaysFalse;
        };
        let Some(summaries) = &manifest.partitions else {
            return true;
        };
        partition.may_match(summaries, summary_bounds)
    }

    /// Whether a data file may hold a row that satisfies the predicate.
    pub fn file_may_match(&self, file: &DataFile) -> bool {
        let in_partition = self
            .partitions
            .get(&file.partition_spec_id)
            .is_none_or(|partition| partition.may_match(&file.partition, value_bounds));
        file.record_count > 0
            && in_partition
            && may_match(&self.predicate, &|field_id| {
                file_bounds(field_id, &self.schema, file)
            })
    }
}

impl PartitionPruner {
    fn new(predicate: &Predicate, spec: &PartitionSpec, schema: &Schema) -> Self {
        let fields = spec.fields.iter();
        Self {
            predicate: project(predicate, spec, schema),
            fields: fields
                .map(|field| (field.field_id, field.value_type(schema)))
                .collect(),
        }
    }

    /// Whether the predicate may hold for a tuple of which `known` tells something, field by field.
    fn may_match<T>(
        &self,
        known: &[T],
        bounds: impl Fn(&T, &PrimitiveType) -> Option<ColumnBounds>,
    ) -> bool {
        // A tuple that is not of this spec says nothing.
        known.len() != self.fields.len()
            || may_match(&self.predicate, &|field_id| {
                let position = self.fields.iter().position(|(id, _)| *id == field_id)?;
                let (_, primitive) = self.fields.get(position)?;
                bounds(known.get(position)?, primitive)
            })
    }
}

/// The partition value of a file.
fn value_bounds(value: &Option<Datum>, primitive: &PrimitiveType) -> Option<ColumnBounds> {
    Some(match value {
        None => ColumnBounds::all_null(),
        Some(value) => ColumnBounds::of_value(value.promoted_to(primitive)?),
    })
}

/// What a manifest list says of the partition values in a manifest.
fn summary_bounds(summary: &FieldSummary, primitive: &PrimitiveType) -> Option<ColumnBounds> {
    let bound = |bytes: &Option<Vec<u8>>| {
        let bytes = bytes.as_deref()?;
        Datum::from_bytes(primitive, bytes).ok().flatten()
    };
    // Which writers of before `contains_nan` did not tell.
    let may_have_nan = is_float(primitive) && summary.contains_nan != Some(false);
    let has_bounds = summary.lower_bound.is_some() || summary.upper_bound.is_some();
    if summary.contains_null && !has_bounds && !may_have_nan {
        return Some(ColumnBounds::all_null());
    }
    Some(ColumnBounds {
        lower: bound(&summary.lower_bound),
        upper: bound(&summary.upper_bound),
        nulls: (!summary.contains_null).then_some(0),
        may_have_nan,
        ..ColumnBounds::default()
    })
}
