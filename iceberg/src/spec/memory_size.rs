//! What parsed metadata take in memory, for caches that are bounded by bytes.

use serde_json::Value;

use super::json::JsonObject;
use super::snapshot::StoredSnapshot;
use super::table_metadata::TableMetadata;
use super::types::{NestedField, StructType, Type};

/// What a heap allocation, or an entry of a map, costs besides its content.
const OVERHEAD: usize = 32;

impl TableMetadata {
    /// Bytes that the metadata take in memory, about. What they share with other metadata of the
    /// table, such as snapshots, counts in full.
    pub fn memory_size(&self) -> usize {
        let strings = |texts: &mut dyn Iterator<Item = usize>| -> usize {
            texts.map(|length| length + 2 * OVERHEAD).sum()
        };
        let specs = self.partition_specs.iter().flat_map(|spec| &spec.fields);
        let statistics = self.statistics.iter().chain(&self.partition_statistics);
        size_of::<Self>()
            + self.location.len()
            + self
                .schemas
                .iter()
                .map(|s| struct_size(&s.fields))
                .sum::<usize>()
            + specs.map(|f| size_of_val(f) + f.name.len()).sum::<usize>()
            + self
                .sort_orders
                .iter()
                .map(|o| 2 * OVERHEAD * (1 + o.fields.len()))
                .sum::<usize>()
            + strings(
                &mut self
                    .properties
                    .iter()
                    .map(|(name, value)| name.len() + value.len()),
            )
            + self
                .snapshots
                .iter()
                .map(|s| snapshot_size(s))
                .sum::<usize>()
            + size_of_val(&self.snapshot_log[..])
            + size_of_val(&self.metadata_log[..])
            + strings(
                &mut self
                    .metadata_log
                    .iter()
                    .map(|entry| entry.metadata_file.len()),
            )
            + self
                .refs
                .iter()
                .map(|(name, r)| name.len() + size_of_val(r))
                .sum::<usize>()
            + statistics
                .map(|s| size_of_val(s) + s.statistics_path.len() + object_size(&s.extra))
                .sum::<usize>()
            + object_size(&self.extra)
    }
}

/// The summary repeats the JSON text in parts.
fn snapshot_size(snapshot: &StoredSnapshot) -> usize {
    let properties = snapshot.summary.properties.len();
    size_of_val(snapshot) + 2 * snapshot.json().get().len() + OVERHEAD * (1 + 2 * properties)
}

fn struct_size(fields: &StructType) -> usize {
    let size = |field: &NestedField| {
        let defaults = [&field.initial_default, &field.write_default];
        size_of::<NestedField>()
            + field.name.len()
            + field.doc.as_ref().map_or(0, String::len)
            + defaults
                .into_iter()
                .flatten()
                .map(value_size)
                .sum::<usize>()
            + object_size(&field.extra)
            + type_size(&field.field_type)
    };
    OVERHEAD + object_size(&fields.extra) + fields.fields.iter().map(size).sum::<usize>()
}

fn type_size(of: &Type) -> usize {
    let boxed = |inner: &Type| size_of::<Type>() + OVERHEAD + type_size(inner);
    match of {
        Type::Primitive(_) => 0,
        Type::Struct(fields) => struct_size(fields),
        Type::List(list) => boxed(&list.element) + object_size(&list.extra),
        Type::Map(map) => boxed(&map.key) + boxed(&map.value) + object_size(&map.extra),
    }
}

fn object_size(object: &JsonObject) -> usize {
    let member = |(name, value): (&String, &Value)| name.len() + 2 * OVERHEAD + value_size(value);
    object.iter().map(member).sum()
}

fn value_size(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(elements) => elements.iter().map(value_size).sum(),
            Value::Object(members) => object_size(members),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_makes_metadata_large_is_counted() {
        let text = |properties: usize, snapshots: usize| {
            let properties: JsonObject = (0..properties)
                .map(|n| (format!("property {n}"), Value::String("x".repeat(100))))
                .collect();
            let snapshots: Vec<Value> = (1..=snapshots)
                .map(|n| {
                    serde_json::json!({
                        "snapshot-id": n, "timestamp-ms": n, "manifest-list": "y".repeat(200),
                        "summary": {"operation": "append"},
                    })
                })
                .collect();
            let metadata = serde_json::json!({
                "format-version": 1, "location": "l", "last-updated-ms": 1, "last-column-id": 1,
                "schema": {"type": "struct", "fields": []}, "partition-spec": [],
                "properties": properties, "snapshots": snapshots,
            });
            TableMetadata::from_json("f", metadata.to_string().as_bytes()).unwrap()
        };
        let small = text(0, 0).memory_size();
        assert!(small < 4096, "{small}");
        let properties = text(1000, 0).memory_size() - small;
        assert!((100_000..400_000).contains(&properties), "{properties}");
        let snapshots = text(0, 1000).memory_size() - small;
        assert!((400_000..1_500_000).contains(&snapshots), "{snapshots}");
    }
}
