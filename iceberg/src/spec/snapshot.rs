//! Snapshots, their summaries, and the references that name them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::json::JsonObject;
use crate::error::{Error, Result};

/// The branch that every table has.
pub const MAIN_BRANCH: &str = "main";

/// The state of a table at some time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// The id, unique in the table.
    pub snapshot_id: i64,
    /// The snapshot that this one was made from.
    pub parent_snapshot_id: Option<i64>,
    /// The order of the snapshot among all of the table; 0 in v1 tables.
    pub sequence_number: i64,
    /// When it was made, in milliseconds from 1970-01-01 UTC.
    pub timestamp_ms: i64,
    /// The manifest list; only v1 snapshots may lack it.
    pub manifest_list: Option<String>,
    /// The manifests themselves, in v1 snapshots without a manifest list.
    pub manifests: Vec<String>,
    /// What the snapshot changed.
    pub summary: Summary,
    /// The schema at the time.
    pub schema_id: Option<i32>,
    /// The row id of the first row added (v3).
    pub first_row_id: Option<i64>,
    /// An upper bound of the rows with assigned row ids (v3).
    pub added_rows: Option<i64>,
    /// The key that encrypts the manifest list's key metadata (v3).
    pub key_id: Option<String>,
}

/// What a snapshot changed: the operation, and properties in the order written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// The kind of change.
    pub operation: Operation,
    /// Counters and whatever else the writer noted.
    pub properties: Vec<(Box<str>, Box<str>)>,
}

impl Summary {
    /// A property's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.properties
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, value)| &**value)
    }

    /// A counter's value; `None` if it is absent or no number.
    pub fn count(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// Adds a property.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.properties
            .push((name.into(), value.into().into_boxed_str()));
    }
}

/// The kind of change that made a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Operation {
    /// Only data files were added.
    Append,
    /// Files were replaced without changing the rows.
    Replace,
    /// Rows were added and removed; also taken for a summary that does not say.
    #[default]
    Overwrite,
    /// Rows were removed.
    Delete,
    /// An operation that this library does not know
    Other(String),
}

impl Operation {
    /// The operation of this name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "append" => Self::Append,
            "replace" => Self::Replace,
            "overwrite" => Self::Overwrite,
            "delete" => Self::Delete,
            _ => Self::Other(name.to_owned()),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Append => "append",
            Self::Replace => "replace",
            Self::Overwrite => "overwrite",
            Self::Delete => "delete",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A snapshot with its JSON text, which is written back as it is: members that this library does
/// not know survive, and metadata with many snapshots is written at the speed of copying.
#[derive(Debug)]
pub struct StoredSnapshot {
    snapshot: Snapshot,
    json: Box<RawValue>,
}

/// A stored snapshot, shared between the metadata that hold it.
pub type SnapshotRef = Arc<StoredSnapshot>;

impl StoredSnapshot {
    /// Gives a snapshot its JSON form.
    pub fn new(snapshot: Snapshot) -> Result<Self> {
        match serde_json::value::to_raw_value(&snapshot) {
            Ok(json) => Ok(Self { snapshot, json }),
            Err(e) => Err(Error::invalid_argument("snapshot", e.to_string())),
        }
    }

    /// A snapshot with the text that it was read from.
    pub(crate) fn with_json(snapshot: Snapshot, json: Box<RawValue>) -> Self {
        Self { snapshot, json }
    }

    /// The JSON form.
    pub fn json(&self) -> &RawValue {
        &self.json
    }
}

impl Deref for StoredSnapshot {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl PartialEq for StoredSnapshot {
    fn eq(&self, other: &Self) -> bool {
        self.snapshot == other.snapshot && self.json.get() == other.json.get()
    }
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("sequence-number", &self.sequence_number)?;
        map.serialize_entry("snapshot-id", &self.snapshot_id)?;
        if let Some(parent) = self.parent_snapshot_id {
            map.serialize_entry("parent-snapshot-id", &parent)?;
        }
        map.serialize_entry("timestamp-ms", &self.timestamp_ms)?;
        map.serialize_entry("summary", &self.summary)?;
        match &self.manifest_list {
            Some(list) => map.serialize_entry("manifest-list", list)?,
            None => map.serialize_entry("manifests", &self.manifests)?,
        }
        if let Some(schema_id) = self.schema_id {
            map.serialize_entry("schema-id", &schema_id)?;
        }
        if let Some(first_row_id) = self.first_row_id {
            map.serialize_entry("first-row-id", &first_row_id)?;
        }
        if let Some(added_rows) = self.added_rows {
            map.serialize_entry("added-rows", &added_rows)?;
        }
        if let Some(key_id) = &self.key_id {
            map.serialize_entry("key-id", key_id)?;
        }
        map.end()
    }
}

impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.properties.len()))?;
        map.serialize_entry("operation", self.operation.name())?;
        for (name, value) in &self.properties {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A branch or tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotReference {
    /// The snapshot that it names: the head of a branch.
    pub snapshot_id: i64,
    /// Branch or tag, and how long it and its snapshots are kept.
    pub retention: SnapshotRetention,
    /// JSON members that this library does not know.
    pub extra: JsonObject,
}

/// Branch or tag, and how long it and its snapshots are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotRetention {
    /// A branch; what is `None` follows the table's properties.
    Branch {
        /// Snapshots kept whatever their age.
        min_snapshots_to_keep: Option<i32>,
        /// Age at which its snapshots expire.
        max_snapshot_age_ms: Option<i64>,
        /// Age at which the branch itself expires; `main` never does.
        max_ref_age_ms: Option<i64>,
    },
    /// A tag.
    Tag {
        /// Age at which the tag expires.
        max_ref_age_ms: Option<i64>,
    },
}

impl SnapshotReference {
    /// A branch that follows the table's properties.
    pub fn branch(snapshot_id: i64) -> Self {
        let retention = SnapshotRetention::Branch {
            min_snapshots_to_keep: None,
            max_snapshot_age_ms: None,
            max_ref_age_ms: None,
        };
        Self {
            snapshot_id,
            retention,
            extra: JsonObject::new(),
        }
    }

    /// A tag that never expires.
    pub fn tag(snapshot_id: i64) -> Self {
        let retention = SnapshotRetention::Tag {
            max_ref_age_ms: None,
        };
        Self {
            snapshot_id,
            retention,
            extra: JsonObject::new(),
        }
    }
}
