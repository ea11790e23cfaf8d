//! Table metadata as JSON (specification, appendix C): read in versions 1 to 3, written in version
//! 2, or 3 where that was read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::json::{JsonObject, ObjectReader, ObjectWriter};
use super::json_text::{MAX_NESTING, is_deep, json_members, nesting};
use super::partition::{FIRST_PARTITION_FIELD_ID, PartitionSpec};
use super::schema::Schema;
use super::snapshot::{MAIN_BRANCH, SnapshotRef, SnapshotReference, StoredSnapshot};
use super::sort::SortOrder;
use super::table_metadata::{
    FormatVersion, MetadataLogEntry, SnapshotLogEntry, StatisticsFile, TableMetadata,
};
use crate::error::{Error, Result};

impl TableMetadata {
    /// Reads metadata from its JSON text; `file` is named in errors.
    pub fn from_json(file: &str, text: &[u8]) -> Result<Self> {
        Self::from_json_after(file, text, None)
    }

    /// As [`Self::from_json`]; snapshots that `known`, other metadata of the table, has with the same text
    /// are shared with it.
    pub(crate) fn from_json_after(file: &str, text: &[u8], known: Option<&Self>) -> Result<Self> {
        let document = Document::read(text)
            .map_err(|e| Error::invalid_metadata(file, "", format!("not a JSON object: {e}")))?;
        let metadata = read_metadata(file, document, known.map_or(&[], |known| &known.snapshots))?;
        // Written, version 1 is version 2, whose lists of schemas and specs are levels more.
        if metadata.format_version == FormatVersion::V1 && nesting(text) + 2 > MAX_NESTING {
            let reason = "is nested too deep to become version 2";
            return Err(Error::invalid_metadata(file, "", reason));
        }
        Ok(metadata)
    }

    /// The JSON text.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        self.to_json_in(Vec::new())
    }

    /// The JSON text, in an empty buffer.
    pub(crate) fn to_json_in(&self, mut text: Vec<u8>) -> Result<Vec<u8>> {
        let snapshots: usize = self
            .snapshots
            .iter()
            .map(|s| s.json().get().len() + 1)
            .sum();
        // What is allotted for the rest is a guess that spares most tables a second allocation.
        let rest = 4096 + 64 * self.snapshot_log.len() + 256 * self.metadata_log.len();
        text.reserve(snapshots + rest);
        serde_json::to_writer(&mut text, self)
            .map_err(|e| Error::invalid_argument("metadata", e.to_string()))?;
        Ok(text)
    }
}

/// The top-level members, the snapshots still as text.
struct Document<'a> {
    members: JsonObject,
    snapshots: Option<&'a RawValue>,
}

impl<'a> Document<'a> {
    /// Reads the text; the error is a sentence.
    fn read(text: &'a [u8]) -> Result<Self, String> {
        match serde_json::from_slice(text) {
            Ok(document) => Ok(document),
            Err(_) if is_deep(text) => {
                let (members, snapshots) = json_members(text, "snapshots")?;
                Ok(Self { members, snapshots })
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Document<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DocumentVisitor;

        impl<'de> Visitor<'de> for DocumentVisitor {
            type Value = Document<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut document = Document {
                    members: JsonObject::new(),
                    snapshots: None,
                };
                while let Some(name) = map.next_key::<String>()? {
                    if name == "snapshots" {
                        document.snapshots = Some(map.next_value()?);
                    } else {
                        document.members.insert(name, map.next_value()?);
                    }
                }
                Ok(document)
            }
        }

        deserializer.deserialize_map(DocumentVisitor)
    }
}

fn read_metadata(
    file: &str,
    document: Document<'_>,
    known: &[SnapshotRef],
) -> Result<TableMetadata> {
    let mut object = ObjectReader::new(file, "", Value::Object(document.members))?;
    let number: i64 = object.required("format-version")?;
    let Some(format_version) = FormatVersion::from_number(number) else {
        if number < 1 {
            return Err(object.error("format-version", format!("is {number}")));
        }
        let feature = format!("table format version {number} of metadata file \"{file}\"");
        return Err(Error::unsupported(feature));
    };
    let is_v1 = format_version == FormatVersion::V1;

    let schemas = read_schemas(&mut object, is_v1)?;
    let partition_specs = read_partition_specs(&mut object, is_v1)?;
    let highest_partition_id = partition_specs
        .iter()
        .map(|spec| spec.highest_field_id())
        .max();
    let mut sort_orders = object
        .list("sort-orders", SortOrder::from_json)?
        .unwrap_or_default();
    if sort_orders.is_empty() {
        sort_orders.push(SortOrder::unsorted());
    }
    let snapshots = match document.snapshots {
        None => Vec::new(),
        Some(text) => read_snapshots(file, text, known)?,
    };
    let current_snapshot_id = object
        .optional("current-snapshot-id")?
        .filter(|&id: &i64| id != -1);

    let metadata = TableMetadata {
        format_version,
        table_uuid: read_uuid(&mut object, is_v1)?,
        location: read_location(&mut object)?,
        last_sequence_number: if is_v1 {
            object.optional("last-sequence-number")?.unwrap_or(0)
        } else {
            object.required("last-sequence-number")?
        },
        last_updated_ms: object.required("last-updated-ms")?,
        last_column_id: object.required("last-column-id")?,
        next_row_id: match format_version {
            FormatVersion::V3 => object.required("next-row-id")?,
            _ => 0,
        },
        current_schema_id: match object.optional("current-schema-id")? {
            Some(id) => id,
            None if is_v1 => schemas.last().map_or(0, |schema| schema.schema_id),
            None => return Err(object.error("current-schema-id", "is missing")),
        },
        default_spec_id: match object.optional("default-spec-id")? {
            Some(id) => id,
            None if is_v1 => partition_specs
                .iter()
                .map(|spec| spec.spec_id)
                .max()
                .unwrap_or(0),
            None => return Err(object.error("default-spec-id", "is missing")),
        },
        last_partition_id: match object.optional("last-partition-id")? {
            Some(id) => id,
            None => highest_partition_id.unwrap_or(FIRST_PARTITION_FIELD_ID - 1),
        },
        default_sort_order_id: object.optional("default-sort-order-id")?.unwrap_or(0),
        schemas: schemas.into_iter().map(Arc::new).collect(),
        partition_specs: partition_specs.into_iter().map(Arc::new).collect(),
        sort_orders,
        properties: object.optional("properties")?.unwrap_or_default(),
        refs: read_refs(&mut object, current_snapshot_id)?,
        current_snapshot_id,
        snapshots,
        snapshot_log: object
            .list("snapshot-log", read_snapshot_log_entry)?
            .unwrap_or_default(),
        metadata_log: object
            .list("metadata-log", read_metadata_log_entry)?
            .unwrap_or_default(),
        statistics: object
            .list("statistics", read_statistics_file)?
            .unwrap_or_default(),
        partition_statistics: object
            .list("partition-statistics", read_statistics_file)?
            .unwrap_or_default(),
        extra: object.rest(),
    };
    check_references(file, &metadata)?;
    Ok(metadata)
}

fn read_uuid(object: &mut ObjectReader<'_>, is_v1: bool) -> Result<Uuid> {
    match object.optional::<String>("table-uuid")? {
        Some(text) => Uuid::parse_str(&text).map_err(|e| object.error("table-uuid", e.to_string())),
        None if is_v1 => Ok(Uuid::nil()),
        None => Err(object.error("table-uuid", "is missing")),
    }
}

fn read_location(object: &mut ObjectReader<'_>) -> Result<String> {
    let mut location: String = object.required("location")?;
    location.truncate(location.trim_end_matches('/').len());
    Ok(location)
}

fn read_schemas(object: &mut ObjectReader<'_>, is_v1: bool) -> Result<Vec<Schema>> {
    let read = |file: &str, place: String, value| Schema::from_json(file, &place, value);
    let schemas = object.list("schemas", read)?.unwrap_or_default();
    // The single schema of v1 metadata: of interest only where there is no list.
    let single = if is_v1 { object.take("schema") } else { None };
    match (schemas.is_empty(), single) {
        (false, _) => Ok(schemas),
        (true, Some(value)) => Ok(vec![Schema::from_json(object.file(), "schema", value)?]),
        (true, None) => Err(object.error("schemas", "is missing or empty")),
    }
}

fn read_partition_specs(object: &mut ObjectReader<'_>, is_v1: bool) -> Result<Vec<PartitionSpec>> {
    let specs = object
        .list("partition-specs", PartitionSpec::from_json)?
        .unwrap_or_default();
    let single = if is_v1 {
        object.take("partition-spec")
    } else {
        None
    };
    match (specs.is_empty(), single) {
        (false, _) => Ok(specs),
        (true, Some(value)) => {
            let fields = PartitionSpec::fields_from_json(object.file(), "partition-spec", value)?;
            Ok(vec![PartitionSpec::new(0, fields)])
        }
        (true, None) => Err(object.error("partition-specs", "is missing or empty")),
    }
}

/// Reads the snapshots. Those of `known`, in their order, are not parsed again: metadata files repeat
/// their predecessors but for the last snapshot.
fn read_snapshots(file: &str, text: &RawValue, known: &[SnapshotRef]) -> Result<Vec<SnapshotRef>> {
    let elements: Vec<&RawValue> = match text.get() {
        "null" => Vec::new(),
        text => serde_json::from_str(text)
            .map_err(|_| Error::invalid_metadata(file, "snapshots", "must be an array"))?,
    };
    let mut known = known.iter().peekable();
    if let Some(first) = elements.first() {
        // Snapshots may have expired since.
        while known
            .next_if(|snapshot| snapshot.json().get() != first.get())
            .is_some()
        {}
    }
    let read = |(index, element): (usize, &RawValue)| match known
        .next_if(|snapshot| snapshot.json().get() == element.get())
    {
        Some(snapshot) => Ok(Arc::clone(snapshot)),
        None => {
            StoredSnapshot::from_json(file, &format!("snapshots[{index}]"), element).map(Arc::new)
        }
    };
    elements.into_iter().enumerate().map(read).collect()
}

/// Before references were introduced, the current snapshot was the only branch.
fn read_refs(
    object: &mut ObjectReader<'_>,
    current_snapshot_id: Option<i64>,
) -> Result<BTreeMap<String, SnapshotReference>> {
    let mut refs = BTreeMap::new();
    if let Some(value) = object.take("refs") {
        let place = object.place_of("refs");
        let members = ObjectReader::new(object.file(), place.clone(), value)?.rest();
        for (name, value) in members {
            let place = format!("{place}.{name}");
            refs.insert(
                name,
                SnapshotReference::from_json(object.file(), place, value)?,
            );
        }
    }
    if let Some(id) = current_snapshot_id {
        refs.entry(MAIN_BRANCH.to_owned())
            .or_insert_with(|| SnapshotReference::branch(id));
    }
    Ok(refs)
}

fn read_snapshot_log_entry(file: &str, place: String, value: Value) -> Result<SnapshotLogEntry> {
    let mut object = ObjectReader::new(file, place, value)?;
    Ok(SnapshotLogEntry {
        timestamp_ms: object.required("timestamp-ms")?,
        snapshot_id: object.required("snapshot-id")?,
        extra: object.rest(),
    })
}

fn read_metadata_log_entry(file: &str, place: String, value: Value) -> Result<MetadataLogEntry> {
    let mut object = ObjectReader::new(file, place, value)?;
    Ok(MetadataLogEntry {
        timestamp_ms: object.required("timestamp-ms")?,
        metadata_file: object.required("metadata-file")?,
        extra: object.rest(),
    })
}

fn read_statistics_file(file: &str, place: String, value: Value) -> Result<StatisticsFile> {
    let mut object = ObjectReader::new(file, place, value)?;
    Ok(StatisticsFile {
        snapshot_id: object.required("snapshot-id")?,
        statistics_path: object.required("statistics-path")?,
        extra: object.rest(),
    })
}

/// Ids that name something must name something that is there.
fn check_references(file: &str, metadata: &TableMetadata) -> Result<()> {
    let missing = |field: &str, reason: String| Err(Error::invalid_metadata(file, field, reason));
    if metadata.current_schema().is_none() {
        let id = metadata.current_schema_id;
        return missing("current-schema-id", format!("no schema has id {id}"));
    }
    if metadata.default_partition_spec().is_none() {
        let id = metadata.default_spec_id;
        return missing("default-spec-id", format!("no partition spec has id {id}"));
    }
    let order_id = metadata.default_sort_order_id;
    if order_id != 0 && metadata.sort_order(order_id).is_none() {
        return missing(
            "default-sort-order-id",
            format!("no sort order has id {order_id}"),
        );
    }
    if let Some(id) = metadata.current_snapshot_id {
        if metadata.snapshot(id).is_none() {
            return missing("current-snapshot-id", format!("no snapshot has id {id}"));
        }
        if let Some(main) = metadata.main_snapshot_id().filter(|&main| main != id) {
            let reason = format!("is {main}, but current-snapshot-id is {id}");
            return missing("refs.main.snapshot-id", reason);
        }
    }
    for (name, reference) in &metadata.refs {
        let id = reference.snapshot_id;
        if metadata.snapshot(id).is_none() {
            let field = format!("refs.{name}.snapshot-id");
            return missing(&field, format!("no snapshot has id {id}"));
        }
    }
    Ok(())
}

impl Serialize for TableMetadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let version = self.format_version.max(FormatVersion::V2);
        let values = |values: Vec<Value>| Value::Array(values);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("format-version", &version.number())?;
        map.serialize_entry("table-uuid", &self.table_uuid.to_string())?;
        map.serialize_entry("location", &self.location)?;
        map.serialize_entry("last-sequence-number", &self.last_sequence_number)?;
        map.serialize_entry("last-updated-ms", &self.last_updated_ms)?;
        map.serialize_entry("last-column-id", &self.last_column_id)?;
        if version >= FormatVersion::V3 {
            map.serialize_entry("next-row-id", &self.next_row_id)?;
        }
        map.serialize_entry("current-schema-id", &self.current_schema_id)?;
        let schemas = self.schemas.iter().map(|schema| schema.to_json()).collect();
        map.serialize_entry("schemas", &values(schemas))?;
        map.serialize_entry("default-spec-id", &self.default_spec_id)?;
        let specs = self
            .partition_specs
            .iter()
            .map(|spec| spec.to_json())
            .collect();
        map.serialize_entry("partition-specs", &values(specs))?;
        map.serialize_entry("last-partition-id", &self.last_partition_id)?;
        map.serialize_entry("default-sort-order-id", &self.default_sort_order_id)?;
        let orders = self.sort_orders.iter().map(SortOrder::to_json).collect();
        map.serialize_entry("sort-orders", &values(orders))?;
        map.serialize_entry("properties", &self.properties)?;
        // Readers of version 2 know -1 for "none".
        let none = (version < FormatVersion::V3).then_some(-1);
        map.serialize_entry("current-snapshot-id", &self.current_snapshot_id.or(none))?;
        let refs: JsonObject = self
            .refs
            .iter()
            .map(|(name, value)| (name.clone(), value.to_json()))
            .collect();
        map.serialize_entry("refs", &refs)?;
        map.serialize_entry("snapshots", &SnapshotTexts(&self.snapshots))?;
        map.serialize_entry("statistics", &statistics_to_json(&self.statistics))?;
        map.serialize_entry(
            "partition-statistics",
            &statistics_to_json(&self.partition_statistics),
        )?;
        map.serialize_entry("snapshot-log", &self.snapshot_log)?;
        map.serialize_entry("metadata-log", &self.metadata_log)?;
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

struct SnapshotTexts<'a>(&'a [SnapshotRef]);

impl Serialize for SnapshotTexts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|snapshot| snapshot.json()))
    }
}

fn statistics_to_json(files: &[StatisticsFile]) -> Vec<Value> {
    let to_json = |file: &StatisticsFile| {
        ObjectWriter::new()
            .set("snapshot-id", file.snapshot_id)
            .set("statistics-path", file.statistics_path.as_str())
            .finish(&file.extra)
    };
    files.iter().map(to_json).collect()
}

impl Serialize for SnapshotLogEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp-ms", &self.timestamp_ms)?;
        map.serialize_entry("snapshot-id", &self.snapshot_id)?;
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for MetadataLogEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp-ms", &self.timestamp_ms)?;
        map.serialize_entry("metadata-file", &self.metadata_file)?;
        for (name, value) in &self.extra {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
