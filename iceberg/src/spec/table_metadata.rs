//! Table metadata: everything about a table but its files.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::json::JsonObject;
use super::partition::{PartitionSpec, PartitionSpecRef};
use super::schema::{Schema, SchemaRef};
use super::snapshot::{MAIN_BRANCH, Snapshot, SnapshotRef, SnapshotReference};
use super::sort::SortOrder;

/// The version of the table format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FormatVersion {
    /// Version 1, read and upgraded on write
    V1,
    /// Version 2
    V2,
    /// Version 3
    V3,
}

impl FormatVersion {
    /// The version's number.
    pub fn number(self) -> i32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }

    /// The version of this number.
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            3 => Some(Self::V3),
            _ => None,
        }
    }
}

/// A table's metadata, as one metadata file holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct TableMetadata {
    /// The version of the format; version 1 becomes 2 when written.
    pub format_version: FormatVersion,
    /// The table's identity; nil where a v1 table has none.
    pub table_uuid: Uuid,
    /// The directory under which the table's files are, without a trailing slash.
    pub location: String,
    /// The largest sequence number given to a snapshot.
    pub last_sequence_number: i64,
    /// When the metadata was written, in milliseconds from 1970-01-01 UTC.
    pub last_updated_ms: i64,
    /// The largest field id ever given.
    pub last_column_id: i32,
    /// The row id that the next row without one gets: above all that were given (v3); 0 in earlier versions.
    pub next_row_id: i64,
    /// All schemas that snapshots may name.
    pub schemas: Vec<SchemaRef>,
    /// The id of the current schema.
    pub current_schema_id: i32,
    /// All partition specs that manifests may name.
    pub partition_specs: Vec<PartitionSpecRef>,
    /// The id of the spec for new files.
    pub default_spec_id: i32,
    /// The largest partition field id ever given.
    pub last_partition_id: i32,
    /// All sort orders that files may name.
    pub sort_orders: Vec<SortOrder>,
    /// The id of the sort order for new files.
    pub default_sort_order_id: i32,
    /// The table's properties.
    pub properties: BTreeMap<String, String>,
    /// The id of the current snapshot; `None` for a table that never had rows.
    pub current_snapshot_id: Option<i64>,
    /// The snapshots that have not expired, in the order of the file.
    pub snapshots: Vec<SnapshotRef>,
    /// When which snapshot became current.
    pub snapshot_log: Vec<SnapshotLogEntry>,
    /// Earlier metadata files.
    pub metadata_log: Vec<MetadataLogEntry>,
    /// Branches and tags.
    pub refs: BTreeMap<String, SnapshotReference>,
    /// Statistics files, each of a snapshot.
    pub statistics: Vec<StatisticsFile>,
    /// Partition statistics files, each of a snapshot.
    pub partition_statistics: Vec<StatisticsFile>,
    /// JSON members that this library does not know.
    pub extra: JsonObject,
}

/// When which snapshot became current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotLogEntry {
    /// Milliseconds from 1970-01-01 UTC.
    pub timestamp_ms: i64,
    /// The snapshot.
    pub snapshot_id: i64,
    /// JSON members that this library does not know.
    pub extra: JsonObject,
}

/// An earlier metadata file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataLogEntry {
    /// When that file was written, in milliseconds from 1970-01-01 UTC.
    pub timestamp_ms: i64,
    /// Where it is.
    pub metadata_file: String,
    /// JSON members that this library does not know.
    pub extra: JsonObject,
}

/// A statistics file or partition statistics file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatisticsFile {
    /// The snapshot that it is about.
    pub snapshot_id: i64,
    /// Where it is.
    pub statistics_path: String,
    /// All other members.
    pub extra: JsonObject,
}

impl TableMetadata {
    /// The metadata of a new table without snapshots, in version 2 of the format.
    ///
    /// Field ids are taken from `schema` as they are. `location` is kept without a trailing slash.
    pub fn new_table(
        schema: Schema,
        spec: PartitionSpec,
        location: impl Into<String>,
        properties: BTreeMap<String, String>,
        table_uuid: Uuid,
        now_ms: i64,
    ) -> Self {
        let mut location = location.into();
        location.truncate(location.trim_end_matches('/').len());
        Self {
            format_version: FormatVersion::V2,
            table_uuid,
            location,
            last_sequence_number: 0,
            last_updated_ms: now_ms,
            last_column_id: schema.highest_field_id(),
            next_row_id: 0,
            current_schema_id: schema.schema_id,
            schemas: vec![Arc::new(schema)],
            default_spec_id: spec.spec_id,
            last_partition_id: spec.highest_field_id(),
            partition_specs: vec![Arc::new(spec)],
            sort_orders: vec![SortOrder::unsorted()],
            default_sort_order_id: 0,
            properties,
            current_snapshot_id: None,
            snapshots: Vec::new(),
            snapshot_log: Vec::new(),
            metadata_log: Vec::new(),
            refs: BTreeMap::new(),
            statistics: Vec::new(),
            partition_statistics: Vec::new(),
            extra: JsonObject::new(),
        }
    }

    /// The schema of this id.
    pub fn schema(&self, schema_id: i32) -> Option<&SchemaRef> {
        self.schemas
            .iter()
            .rev()
            .find(|schema| schema.schema_id == schema_id)
    }

    /// The current schema. Metadata that was read always has one.
    pub fn current_schema(&self) -> Option<&SchemaRef> {
        self.schema(self.current_schema_id)
    }

    /// The partition spec of this id.
    pub fn partition_spec(&self, spec_id: i32) -> Option<&PartitionSpecRef> {
        self.partition_specs
            .iter()
            .find(|spec| spec.spec_id == spec_id)
    }

    /// The partition spec for new files. Metadata that was read always has one.
    pub fn default_partition_spec(&self) -> Option<&PartitionSpecRef> {
        self.partition_spec(self.default_spec_id)
    }

    /// The sort order of this id.
    pub fn sort_order(&self, order_id: i32) -> Option<&SortOrder> {
        self.sort_orders
            .iter()
            .find(|order| order.order_id == order_id)
    }

    /// The snapshot of this id.
    pub fn snapshot(&self, snapshot_id: i64) -> Option<&SnapshotRef> {
        self.snapshots
            .iter()
            .rev()
            .find(|snapshot| snapshot.snapshot_id == snapshot_id)
    }

    /// The current snapshot: the head of branch `main`.
    pub fn current_snapshot(&self) -> Option<&SnapshotRef> {
        self.snapshot(self.current_snapshot_id?)
    }

    /// The schema that a snapshot was written with: the current one where it names none.
    pub fn schema_of(&self, snapshot: &Snapshot) -> Option<&SchemaRef> {
        snapshot
            .schema_id
            .and_then(|id| self.schema(id))
            .or_else(|| self.current_schema())
    }

    /// The snapshot that a branch or tag names.
    pub fn reference(&self, name: &str) -> Option<&SnapshotReference> {
        self.refs.get(name)
    }

    /// The id of the head of branch `main`.
    pub(crate) fn main_snapshot_id(&self) -> Option<i64> {
        self.refs.get(MAIN_BRANCH).map(|main| main.snapshot_id)
    }

    /// A property as a number; `default` if it is absent or no number.
    pub fn property_number(&self, name: &str, default: i64) -> i64 {
        self.properties
            .get(name)
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(default)
    }
}
