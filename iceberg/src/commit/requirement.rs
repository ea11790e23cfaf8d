//! Requirements: what must hold for metadata before updates are applied to them.

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::spec::TableMetadata;

/// A condition on metadata, by the names of the REST catalog specification.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableRequirement {
    /// `assert-table-uuid`
    TableUuid(Uuid),
    /// `assert-ref-snapshot-id`: a branch or tag names this snapshot, or is not there.
    RefSnapshotId {
        /// The branch or tag.
        name: String,
        /// The snapshot.
        snapshot_id: Option<i64>,
    },
    /// `assert-current-schema-id`
    CurrentSchemaId(i32),
    /// `assert-last-assigned-field-id`
    LastAssignedFieldId(i32),
    /// `assert-default-spec-id`
    DefaultSpecId(i32),
    /// `assert-last-assigned-partition-id`
    LastAssignedPartitionId(i32),
    /// `assert-default-sort-order-id`
    DefaultSortOrderId(i32),
}

impl TableRequirement {
    /// The name in the REST catalog specification.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TableUuid(_) => "assert-table-uuid",
            Self::RefSnapshotId { .. } => "assert-ref-snapshot-id",
            Self::CurrentSchemaId(_) => "assert-current-schema-id",
            Self::LastAssignedFieldId(_) => "assert-last-assigned-field-id",
            Self::DefaultSpecId(_) => "assert-default-spec-id",
            Self::LastAssignedPartitionId(_) => "assert-last-assigned-partition-id",
            Self::DefaultSortOrderId(_) => "assert-default-sort-order-id",
        }
    }

    /// Fails with [`Error::RequirementFailed`] if the condition does not hold.
    pub fn check(&self, metadata: &TableMetadata) -> Result<()> {
        match self {
            Self::TableUuid(expected) => self.compare(expected, &metadata.table_uuid),
            Self::RefSnapshotId { name, snapshot_id } => {
                let found = metadata
                    .reference(name)
                    .map(|reference| reference.snapshot_id);
                if found == *snapshot_id {
                    return Ok(());
                }
                let tell = |id: Option<i64>| id.map_or("none".to_owned(), |id| id.to_string());
                self.fail(format!(
                    "snapshot of \"{name}\": expected {}, found {}",
                    tell(*snapshot_id),
                    tell(found)
                ))
            }
            Self::CurrentSchemaId(expected) => self.compare(expected, &metadata.current_schema_id),
            Self::LastAssignedFieldId(expected) => self.compare(expected, &metadata.last_column_id),
            Self::DefaultSpecId(expected) => self.compare(expected, &metadata.default_spec_id),
            Self::LastAssignedPartitionId(expected) => {
                self.compare(expected, &metadata.last_partition_id)
            }
            Self::DefaultSortOrderId(expected) => {
                self.compare(expected, &metadata.default_sort_order_id)
            }
        }
    }

    fn compare<T: PartialEq + std::fmt::Display>(&self, expected: &T, found: &T) -> Result<()> {
        if expected == found {
            return Ok(());
        }
        self.fail(format!("expected {expected}, found {found}"))
    }

    fn fail(&self, reason: String) -> Result<()> {
        Err(Error::RequirementFailed {
            requirement: self.name(),
            reason,
        })
    }
}
