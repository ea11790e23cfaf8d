//! Broken manifests and manifest lists give errors that name file and, where it is one, the field.

use iceberg_lite::Error;
use iceberg_lite::manifest::{ManifestFile, parse_manifest, parse_manifest_list};

use crate::support::{fixtures, testdata};

/// The field that the error must name; `None` where the Avro library finds the fault.
const FIELDS: &[(&str, Option<&str>)] = &[
    ("list-spec-id-is-null", Some("partition_spec_id")),
    ("list-spec-id-too-large", Some("partition_spec_id")),
    ("manifest-array-of-nulls", None),
    ("manifest-content-9", Some("data_file.content")),
    ("manifest-doubling-schema", Some("avro.schema")),
    (
        "manifest-existing-without-sequence-number",
        Some("sequence_number"),
    ),
    ("manifest-file-path-is-null", Some("data_file.file_path")),
    ("manifest-format-csv", None),
    ("manifest-header-map-too-long", None),
    (
        "manifest-negative-record-count",
        Some("data_file.record_count"),
    ),
    ("manifest-not-a-record", Some("avro.schema")),
    ("manifest-partition-spec-not-json", Some("partition-spec")),
    ("manifest-record-cut-off", None),
    ("manifest-records-in-empty-block", None),
    ("manifest-recursive-schema", Some("avro.schema")),
    ("manifest-status-7", Some("status")),
    ("manifest-string-length-too-large", None),
    ("manifest-without-data-file", Some("data_file")),
    ("manifest-wrong-magic", None),
];

#[test]
fn the_error_names_file_and_field() {
    let names = fixtures("broken", ".avro");
    let known: Vec<String> = FIELDS
        .iter()
        .map(|(name, _)| format!("{name}.avro"))
        .collect();
    assert_eq!(names, known, "every fixture has its expectation");
    for (name, field) in FIELDS {
        let path = testdata().join(format!("broken/{name}.avro"));
        let bytes = std::fs::read(&path).unwrap();
        let path = path.to_str().unwrap();
        let manifest = ManifestFile {
            manifest_path: path.to_owned(),
            sequence_number: 3,
            ..ManifestFile::default()
        };
        let error = if name.starts_with("list") {
            parse_manifest_list(path, &bytes).expect_err(name)
        } else {
            parse_manifest(&manifest, &bytes).expect_err(name)
        };
        match (&error, field) {
            (
                Error::InvalidMetadata {
                    path: file,
                    field: found,
                    ..
                },
                Some(field),
            ) => {
                assert_eq!(
                    (file.as_str(), found.as_str()),
                    (path, *field),
                    "{name}: {error}"
                );
            }
            (Error::Avro { path: file, .. }, None) => assert_eq!(file, path, "{name}"),
            (Error::Unsupported { feature }, None) => assert!(feature.contains(path), "{name}"),
            _ => panic!("{name}: {error:?}"),
        }
    }
}
