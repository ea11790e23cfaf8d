//! What the fuzz targets run, and, on stable Rust, the property tests of `tests/format/fuzz.rs`.
//!
//! Any bytes must give a value or an error: no panic, no endless loop, no allocation out of
//! proportion. What was read must be written and read again as the same.

use iceberg_lite::manifest::{
    ManifestFile, decode_data_file, encode_data_file, parse_manifest, parse_manifest_list,
};
use iceberg_lite::spec::{FormatVersion, TableMetadata};
use serde_json::Value;

/// Reads bytes as a metadata file.
pub fn metadata_json(bytes: &[u8]) {
    let Ok(metadata) = TableMetadata::from_file_bytes("fuzz", bytes) else {
        return;
    };
    let Ok(text) = metadata.to_json() else {
        unreachable!("metadata that were read are written")
    };
    let Ok(again) = TableMetadata::from_json("fuzz", &text) else {
        unreachable!("metadata that were written are read")
    };
    if serde_json::from_slice(&text).is_ok_and(|value| has_float(&value)) {
        // Floating-point numbers, in members unknown to us only, may change in their last digit.
        return;
    }
    let format_version = metadata.format_version.max(FormatVersion::V2);
    assert_eq!(
        again,
        TableMetadata {
            format_version,
            ..metadata
        }
    );
}

/// Reads bytes as a manifest, as a manifest list, and as the record of a data file.
pub fn manifest_avro(bytes: &[u8]) {
    let manifest = ManifestFile {
        sequence_number: 1,
        ..ManifestFile::default()
    };
    let _ = parse_manifest(&manifest, bytes);
    let _ = parse_manifest_list("fuzz", bytes);
    if let Ok(file) = decode_data_file("fuzz", bytes)
        && let Ok(record) = encode_data_file(&file)
    {
        assert_eq!(decode_data_file("fuzz", &record).ok(), Some(file));
    }
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(elements) => elements.iter().any(has_float),
        Value::Object(members) => members.values().any(has_float),
        _ => false,
    }
}
