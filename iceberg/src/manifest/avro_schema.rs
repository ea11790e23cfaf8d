//! The Avro schemas of manifests and manifest lists: field ids and names of the specification.
//!
//! They are made as text and not by the Avro library, whose schemas forget attributes that other
//! engines ask for (`logicalType` of arrays, `adjust-to-utc`).

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::spec::{FormatVersion, PartitionSpec, PrimitiveType, Schema};

/// Field ids of struct `manifest_entry`.
pub mod entry_id {
    pub const STATUS: i32 = 0;
    pub const SNAPSHOT_ID: i32 = 1;
    pub const DATA_FILE: i32 = 2;
    pub const SEQUENCE_NUMBER: i32 = 3;
    pub const FILE_SEQUENCE_NUMBER: i32 = 4;
}

/// Field ids of struct `data_file`.
pub mod file_id {
    pub const CONTENT: i32 = 134;
    pub const FILE_PATH: i32 = 100;
    pub const FILE_FORMAT: i32 = 101;
    pub const PARTITION: i32 = 102;
    pub const RECORD_COUNT: i32 = 103;
    pub const FILE_SIZE_IN_BYTES: i32 = 104;
    pub const COLUMN_SIZES: i32 = 108;
    pub const VALUE_COUNTS: i32 = 109;
    pub const NULL_VALUE_COUNTS: i32 = 110;
    pub const NAN_VALUE_COUNTS: i32 = 137;
    pub const LOWER_BOUNDS: i32 = 125;
    pub const UPPER_BOUNDS: i32 = 128;
    pub const KEY_METADATA: i32 = 131;
    pub const SPLIT_OFFSETS: i32 = 132;
    pub const EQUALITY_IDS: i32 = 135;
    pub const SORT_ORDER_ID: i32 = 140;
    pub const FIRST_ROW_ID: i32 = 142;
    pub const REFERENCED_DATA_FILE: i32 = 143;
    pub const CONTENT_OFFSET: i32 = 144;
    pub const CONTENT_SIZE_IN_BYTES: i32 = 145;
}

/// Field ids of struct `manifest_file`.
pub mod list_id {
    pub const MANIFEST_PATH: i32 = 500;
    pub const MANIFEST_LENGTH: i32 = 501;
    pub const PARTITION_SPEC_ID: i32 = 502;
    pub const CONTENT: i32 = 517;
    pub const SEQUENCE_NUMBER: i32 = 515;
    pub const MIN_SEQUENCE_NUMBER: i32 = 516;
    pub const ADDED_SNAPSHOT_ID: i32 = 503;
    pub const ADDED_FILES_COUNT: i32 = 504;
    pub const EXISTING_FILES_COUNT: i32 = 505;
    pub const DELETED_FILES_COUNT: i32 = 506;
    pub const ADDED_ROWS_COUNT: i32 = 512;
    pub const EXISTING_ROWS_COUNT: i32 = 513;
    pub const DELETED_ROWS_COUNT: i32 = 514;
    pub const PARTITIONS: i32 = 507;
    pub const CONTAINS_NULL: i32 = 509;
    pub const CONTAINS_NAN: i32 = 518;
    pub const LOWER_BOUND: i32 = 510;
    pub const UPPER_BOUND: i32 = 511;
    pub const KEY_METADATA: i32 = 519;
    pub const FIRST_ROW_ID: i32 = 520;
}

/// Names of the fields above, for files whose writer left the ids out.
pub const NAMED_IDS: &[(&str, i32)] = &[
    ("status", entry_id::STATUS),
    ("snapshot_id", entry_id::SNAPSHOT_ID),
    ("data_file", entry_id::DATA_FILE),
    ("sequence_number", entry_id::SEQUENCE_NUMBER),
    ("file_sequence_number", entry_id::FILE_SEQUENCE_NUMBER),
    ("content", file_id::CONTENT),
    ("file_path", file_id::FILE_PATH),
    ("file_format", file_id::FILE_FORMAT),
    ("partition", file_id::PARTITION),
    ("record_count", file_id::RECORD_COUNT),
    ("file_size_in_bytes", file_id::FILE_SIZE_IN_BYTES),
];

/// The JSON text of the schema of manifests, in version 2 or 3, whose files are partitioned by `spec`.
pub fn manifest_entry_schema(
    version: FormatVersion,
    spec: &PartitionSpec,
    schema: &Schema,
) -> Arc<str> {
    static UNPARTITIONED: [OnceLock<Arc<str>>; 2] = [OnceLock::new(), OnceLock::new()];
    let has_row_ids = version >= FormatVersion::V3;
    let build = || manifest_entry(version, spec, schema).to_string().into();
    if spec.fields.is_empty() {
        Arc::clone(UNPARTITIONED[usize::from(has_row_ids)].get_or_init(build))
    } else {
        build()
    }
}

/// The JSON text of the schema of manifest lists in version 2 or 3.
pub fn manifest_file_schema(version: FormatVersion) -> &'static str {
    static LIST: [OnceLock<String>; 2] = [OnceLock::new(), OnceLock::new()];
    let has_row_ids = version >= FormatVersion::V3;
    LIST[usize::from(has_row_ids)].get_or_init(|| manifest_file(version).to_string())
}

fn required(name: &str, id: i32, schema: impl Into<Value>) -> Value {
    json!({ "name": name, "type": schema.into(), "field-id": id })
}

fn optional(name: &str, id: i32, schema: impl Into<Value>) -> Value {
    json!({ "name": name, "type": ["null", schema.into()], "default": null, "field-id": id })
}

fn add_fields<const N: usize>(record: &mut Value, fields: [Value; N]) {
    if let Some(Value::Array(known)) = record.get_mut("fields") {
        known.extend(fields);
    }
}

fn list(element_id: i32, element: impl Into<Value>) -> Value {
    json!({ "type": "array", "items": element.into(), "element-id": element_id })
}

/// A map whose keys are no strings: an array of pairs.
fn map(key_id: i32, value_id: i32, value: &str) -> Value {
    let pair = json!({
        "type": "record",
        "name": format!("k{key_id}_v{value_id}"),
        "fields": [required("key", key_id, "int"), required("value", value_id, value)],
    });
    json!({ "type": "array", "items": pair, "logicalType": "map" })
}

fn manifest_entry(version: FormatVersion, spec: &PartitionSpec, schema: &Schema) -> Value {
    let mut data_file = json!({
        "type": "record",
        "name": "r2",
        "fields": [
            required("content", file_id::CONTENT, "int"),
            required("file_path", file_id::FILE_PATH, "string"),
            required("file_format", file_id::FILE_FORMAT, "string"),
            required("partition", file_id::PARTITION, partition(spec, schema)),
            required("record_count", file_id::RECORD_COUNT, "long"),
            required("file_size_in_bytes", file_id::FILE_SIZE_IN_BYTES, "long"),
            optional("column_sizes", file_id::COLUMN_SIZES, map(117, 118, "long")),
            optional("value_counts", file_id::VALUE_COUNTS, map(119, 120, "long")),
            optional(
                "null_value_counts",
                file_id::NULL_VALUE_COUNTS,
                map(121, 122, "long"),
            ),
            optional(
                "nan_value_counts",
                file_id::NAN_VALUE_COUNTS,
                map(138, 139, "long"),
            ),
            optional("lower_bounds", file_id::LOWER_BOUNDS, map(126, 127, "bytes")),
            optional("upper_bounds", file_id::UPPER_BOUNDS, map(129, 130, "bytes")),
            optional("key_metadata", file_id::KEY_METADATA, "bytes"),
            optional("split_offsets", file_id::SPLIT_OFFSETS, list(133, "long")),
            optional("equality_ids", file_id::EQUALITY_IDS, list(136, "int")),
            optional("sort_order_id", file_id::SORT_ORDER_ID, "int"),
            optional("referenced_data_file", file_id::REFERENCED_DATA_FILE, "string"),
        ],
    });
    if version >= FormatVersion::V3 {
        add_fields(
            &mut data_file,
            [
                optional("first_row_id", file_id::FIRST_ROW_ID, "long"),
                optional("content_offset", file_id::CONTENT_OFFSET, "long"),
                optional(
                    "content_size_in_bytes",
                    file_id::CONTENT_SIZE_IN_BYTES,
                    "long",
                ),
            ],
        );
    }
    json!({
        "type": "record",
        "name": "manifest_entry",
        "fields": [
            required("status", entry_id::STATUS, "int"),
            optional("snapshot_id", entry_id::SNAPSHOT_ID, "long"),
            optional("sequence_number", entry_id::SEQUENCE_NUMBER, "long"),
            optional("file_sequence_number", entry_id::FILE_SEQUENCE_NUMBER, "long"),
            required("data_file", entry_id::DATA_FILE, data_file),
        ],
    })
}

fn partition(spec: &PartitionSpec, schema: &Schema) -> Value {
    let mut named = HashSet::new();
    let fields: Vec<Value> = spec
        .fields
        .iter()
        .zip(spec.partition_types(schema))
        .map(|(field, primitive)| {
            let avro = partition_type(&primitive, &mut named);
            let name = sanitize(&field.name);
            let mut json = optional(&name, field.field_id, avro);
            if name != field.name {
                json["iceberg-field-name"] = field.name.as_str().into();
            }
            json
        })
        .collect();
    json!({ "type": "record", "name": "r102", "fields": fields })
}

/// The Avro type of partition values (specification, appendix A).
fn partition_type(primitive: &PrimitiveType, named: &mut HashSet<String>) -> Value {
    let logical = |avro: &str, logical: &str| json!({ "type": avro, "logicalType": logical });
    let timestamp = |logical: &str, utc: bool| json!({ "type": "long", "logicalType": logical, "adjust-to-utc": utc });
    let mut fixed = |name: String, size: u64, extra: Value| {
        if !named.insert(name.clone()) {
            return name.into();
        }
        let mut json = json!({ "type": "fixed", "name": name, "size": size });
        if let Value::Object(extra) = extra {
            for (key, value) in extra {
                json[key] = value;
            }
        }
        json
    };
    match primitive {
        PrimitiveType::Boolean => "boolean".into(),
        PrimitiveType::Int => "int".into(),
        PrimitiveType::Long => "long".into(),
        PrimitiveType::Float => "float".into(),
        PrimitiveType::Double => "double".into(),
        PrimitiveType::Date => logical("int", "date"),
        PrimitiveType::Time => logical("long", "time-micros"),
        PrimitiveType::Timestamp => timestamp("timestamp-micros", false),
        PrimitiveType::Timestamptz => timestamp("timestamp-micros", true),
        PrimitiveType::TimestampNs => timestamp("timestamp-nanos", false),
        PrimitiveType::TimestamptzNs => timestamp("timestamp-nanos", true),
        PrimitiveType::Uuid => fixed("uuid_fixed".into(), 16, json!({ "logicalType": "uuid" })),
        PrimitiveType::Fixed(size) => fixed(format!("fixed_{size}"), *size, Value::Null),
        PrimitiveType::Binary => "bytes".into(),
        PrimitiveType::Decimal { precision, scale } => fixed(
            format!("decimal_{precision}_{scale}"),
            decimal_bytes(*precision) as u64,
            json!({ "logicalType": "decimal", "precision": precision, "scale": scale }),
        ),
        PrimitiveType::String
        | PrimitiveType::Unknown
        | PrimitiveType::Variant
        | PrimitiveType::Geometry(_)
        | PrimitiveType::Geography(_)
        | PrimitiveType::Other(_) => "string".into(),
    }
}

/// The bytes that any decimal of this precision fits in.
pub fn decimal_bytes(precision: u32) -> usize {
    let largest = 10_i128.pow(precision.min(38)) - 1;
    // One bit more for the sign.
    (128 - largest.leading_zeros() as usize) / 8 + 1
}

/// A name as Avro allows it, by the reference implementation's rule.
pub fn sanitize(name: &str) -> String {
    let mut clean = String::with_capacity(name.len());
    for (index, character) in name.chars().enumerate() {
        if character == '_' || character.is_ascii_alphabetic() {
            clean.push(character);
        } else if character.is_ascii_digit() {
            if index == 0 {
                clean.push('_');
            }
            clean.push(character);
        } else {
            clean.push_str(&format!("_x{:X}", u32::from(character)));
        }
    }
    if clean.is_empty() {
        "_".to_owned()
    } else {
        clean
    }
}

fn manifest_file(version: FormatVersion) -> Value {
    let summary = json!({
        "type": "record",
        "name": "r508",
        "fields": [
            required("contains_null", list_id::CONTAINS_NULL, "boolean"),
            optional("contains_nan", list_id::CONTAINS_NAN, "boolean"),
            optional("lower_bound", list_id::LOWER_BOUND, "bytes"),
            optional("upper_bound", list_id::UPPER_BOUND, "bytes"),
        ],
    });
    let mut record = json!({
        "type": "record",
        "name": "manifest_file",
        "fields": [
            required("manifest_path", list_id::MANIFEST_PATH, "string"),
            required("manifest_length", list_id::MANIFEST_LENGTH, "long"),
            required("partition_spec_id", list_id::PARTITION_SPEC_ID, "int"),
            required("content", list_id::CONTENT, "int"),
            required("sequence_number", list_id::SEQUENCE_NUMBER, "long"),
            required("min_sequence_number", list_id::MIN_SEQUENCE_NUMBER, "long"),
            required("added_snapshot_id", list_id::ADDED_SNAPSHOT_ID, "long"),
            required("added_files_count", list_id::ADDED_FILES_COUNT, "int"),
            required("existing_files_count", list_id::EXISTING_FILES_COUNT, "int"),
            required("deleted_files_count", list_id::DELETED_FILES_COUNT, "int"),
            required("added_rows_count", list_id::ADDED_ROWS_COUNT, "long"),
            required("existing_rows_count", list_id::EXISTING_ROWS_COUNT, "long"),
            required("deleted_rows_count", list_id::DELETED_ROWS_COUNT, "long"),
            optional("partitions", list_id::PARTITIONS, list(508, summary)),
            optional("key_metadata", list_id::KEY_METADATA, "bytes"),
        ],
    });
    if version >= FormatVersion::V3 {
        add_fields(
            &mut record,
            [optional("first_row_id", list_id::FIRST_ROW_ID, "long")],
        );
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_take_as_many_bytes_as_the_specification_says() {
        for (precision, bytes) in [
            (1, 1),
            (2, 1),
            (3, 2),
            (4, 2),
            (9, 4),
            (10, 5),
            (18, 8),
            (38, 16),
        ] {
            assert_eq!(decimal_bytes(precision), bytes, "precision {precision}");
        }
    }

    #[test]
    fn names_that_avro_forbids_are_rewritten() {
        assert_eq!(sanitize("ts_day"), "ts_day");
        assert_eq!(sanitize("1st"), "_1st");
        assert_eq!(sanitize("a.b"), "a_x2Eb");
        assert_eq!(sanitize("größe"), "gr_xF6_xDFe");
    }
}
