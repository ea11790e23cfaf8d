//! Snapshots and references from JSON.
//!
//! Metadata may hold thousands of snapshots, so these are read straight from their text. A text
//! that the fast way refuses is read field by field, which accepts more or tells which field is
//! wrong.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{ObjectReader, ObjectWriter};
use super::snapshot::{
    Operation, Snapshot, SnapshotReference, SnapshotRetention, StoredSnapshot, Summary,
};
use crate::error::{Error, Result};

impl StoredSnapshot {
    /// Reads the snapshot that stands at `place` of `file`.
    pub(crate) fn from_json(file: &str, place: &str, json: &RawValue) -> Result<Self> {
        let snapshot = match serde_json::from_str::<SnapshotText<'_>>(json.get()) {
            Ok(text) if text.is_complete() => text.into(),
            _ => {
                let value: Value = serde_json::from_str(json.get())
                    .map_err(|e| Error::invalid_metadata(file, place, e.to_string()))?;
                read_snapshot(file, place, value)?
            }
        };
        Ok(Self::with_json(snapshot, json.to_owned()))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SnapshotText<'a> {
    snapshot_id: i64,
    parent_snapshot_id: Option<i64>,
    #[serde(default)]
    sequence_number: Option<i64>,
    timestamp_ms: i64,
    #[serde(borrow)]
    manifest_list: Option<Cow<'a, str>>,
    manifests: Option<Vec<String>>,
    summary: Option<Summary>,
    schema_id: Option<i32>,
    first_row_id: Option<i64>,
    added_rows: Option<i64>,
    key_id: Option<String>,
}

impl SnapshotText<'_> {
    fn is_complete(&self) -> bool {
        self.manifest_list.is_some() || self.manifests.is_some()
    }
}

impl From<SnapshotText<'_>> for Snapshot {
    fn from(text: SnapshotText<'_>) -> Self {
        Self {
            snapshot_id: text.snapshot_id,
            parent_snapshot_id: text.parent_snapshot_id,
            sequence_number: text.sequence_number.unwrap_or(0),
            timestamp_ms: text.timestamp_ms,
            manifest_list: text.manifest_list.map(Cow::into_owned),
            manifests: text.manifests.unwrap_or_default(),
            summary: text.summary.unwrap_or_default(),
            schema_id: text.schema_id,
            first_row_id: text.first_row_id,
            added_rows: text.added_rows,
            key_id: text.key_id,
        }
    }
}

impl<'de> Deserialize<'de> for Summary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SummaryVisitor;

        impl<'de> Visitor<'de> for SummaryVisitor {
            type Value = Summary;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Summary, A::Error> {
                let mut summary = Summary::default();
                summary.properties.reserve(16);
                while let Some((name, value)) = map.next_entry::<Box<str>, Box<str>>()? {
                    if &*name == "operation" {
                        summary.operation = Operation::from_name(&value);
                    } else {
                        summary.properties.push((name, value));
                    }
                }
                Ok(summary)
            }
        }

        deserializer.deserialize_map(SummaryVisitor)
    }
}

/// Reads a snapshot field by field.
fn read_snapshot(file: &str, place: &str, value: Value) -> Result<Snapshot> {
    let mut object = ObjectReader::new(file, place, value)?;
    let manifest_list: Option<String> = object.optional("manifest-list")?;
    let manifests: Option<Vec<String>> = object.optional("manifests")?;
    if manifest_list.is_none() && manifests.is_none() {
        return Err(object.error("manifest-list", "is missing"));
    }
    Ok(Snapshot {
        snapshot_id: object.required("snapshot-id")?,
        parent_snapshot_id: object.optional("parent-snapshot-id")?,
        sequence_number: object.optional("sequence-number")?.unwrap_or(0),
        timestamp_ms: object.required("timestamp-ms")?,
        manifest_list,
        manifests: manifests.unwrap_or_default(),
        summary: read_summary(&mut object)?,
        schema_id: object.optional("schema-id")?,
        first_row_id: object.optional("first-row-id")?,
        added_rows: object.optional("added-rows")?,
        key_id: object.optional("key-id")?,
    })
}

fn read_summary(snapshot: &mut ObjectReader<'_>) -> Result<Summary> {
    let Some(value) = snapshot.take("summary") else {
        return Ok(Summary::default());
    };
    let mut object = ObjectReader::new(snapshot.file(), snapshot.place_of("summary"), value)?;
    let mut summary = Summary::default();
    if let Some(operation) = object.optional::<String>("operation")? {
        summary.operation = Operation::from_name(&operation);
    }
    let place = object.place_of("");
    for (name, value) in object.rest() {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => {
                let field = format!("{place}{name}");
                return Err(Error::invalid_metadata(
                    snapshot.file(),
                    field,
                    "must be a string",
                ));
            }
        };
        summary.push(&name, text);
    }
    Ok(summary)
}

impl SnapshotReference {
    /// Reads the reference that stands at `place` of `file`.
    pub(crate) fn from_json(file: &str, place: String, value: Value) -> Result<Self> {
        let mut object = ObjectReader::new(file, place, value)?;
        let snapshot_id = object.required("snapshot-id")?;
        let kind: String = object.required("type")?;
        let max_ref_age_ms = object.optional("max-ref-age-ms")?;
        let retention = match kind.to_ascii_lowercase().as_str() {
            "branch" => SnapshotRetention::Branch {
                min_snapshots_to_keep: object.optional("min-snapshots-to-keep")?,
                max_snapshot_age_ms: object.optional("max-snapshot-age-ms")?,
                max_ref_age_ms,
            },
            "tag" => SnapshotRetention::Tag { max_ref_age_ms },
            _ => return Err(object.error("type", "must be \"branch\" or \"tag\"")),
        };
        Ok(Self {
            snapshot_id,
            retention,
            extra: object.rest(),
        })
    }

    /// The JSON form.
    pub fn to_json(&self) -> Value {
        let object = ObjectWriter::new().set("snapshot-id", self.snapshot_id);
        let object = match &self.retention {
            SnapshotRetention::Branch {
                min_snapshots_to_keep,
                max_snapshot_age_ms,
                max_ref_age_ms,
            } => object
                .set("type", "branch")
                .set_some("min-snapshots-to-keep", *min_snapshots_to_keep)
                .set_some("max-snapshot-age-ms", *max_snapshot_age_ms)
                .set_some("max-ref-age-ms", *max_ref_age_ms),
            SnapshotRetention::Tag { max_ref_age_ms } => object
                .set("type", "tag")
                .set_some("max-ref-age-ms", *max_ref_age_ms),
        };
        object.finish(&self.extra)
    }
}
