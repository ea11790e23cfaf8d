//! Broken metadata give errors that name file and field.

use iceberg_lite::Error;
use iceberg_lite::io::LocalFileIo;
use iceberg_lite::spec::TableMetadata;

use crate::support::{fixtures, testdata};

/// The field that the error about each fixture must name; `None` for errors about the whole file.
const FIELDS: &[(&str, Option<&str>)] = &[
    ("array", Some("")),
    ("deep", Some("")),
    ("empty", Some("")),
    ("v0", Some("format-version")),
    ("v2-current-schema-not-found", Some("current-schema-id")),
    ("v2-current-snapshot-not-found", Some("current-snapshot-id")),
    ("v2-cut-off", Some("")),
    ("v2-cut-off.gz", None),
    (
        "v2-default-sort-order-not-found",
        Some("default-sort-order-id"),
    ),
    ("v2-default-spec-not-found", Some("default-spec-id")),
    (
        "v2-direction-is-sideways",
        Some("sort-orders[0].fields[1].direction"),
    ),
    ("v2-field-id-is-text", Some("schemas[1].fields[2].id")),
    ("v2-field-id-twice", Some("schemas[1]")),
    ("v2-field-name-twice", Some("schemas[1].fields")),
    (
        "v2-field-type-bad-decimal",
        Some("schemas[1].fields[2].type"),
    ),
    (
        "v2-field-type-unknown-kind",
        Some("schemas[1].fields[2].type.type"),
    ),
    ("v2-last-column-id-too-large", Some("last-column-id")),
    ("v2-main-is-not-current", Some("refs.main.snapshot-id")),
    ("v2-property-is-list", Some("properties")),
    (
        "v2-sequence-number-is-text",
        Some("snapshots[1].sequence-number"),
    ),
    (
        "v2-snapshot-without-list",
        Some("snapshots[1].manifest-list"),
    ),
    ("v2-snapshots-is-object", Some("snapshots")),
    (
        "v2-summary-value-is-object",
        Some("snapshots[1].summary.added-records"),
    ),
    ("v2-tag-snapshot-not-found", Some("refs.audit.snapshot-id")),
    ("v2-uuid-is-short", Some("table-uuid")),
    ("v2-without-current-schema-id", Some("current-schema-id")),
    ("v2-without-default-spec-id", Some("default-spec-id")),
    ("v2-without-format-version", Some("format-version")),
    ("v2-without-last-column-id", Some("last-column-id")),
    (
        "v2-without-last-sequence-number",
        Some("last-sequence-number"),
    ),
    ("v2-without-last-updated-ms", Some("last-updated-ms")),
    ("v2-without-location", Some("location")),
    ("v2-without-partition-specs", Some("partition-specs")),
    ("v2-without-schemas", Some("schemas")),
    ("v2-without-table-uuid", Some("table-uuid")),
    ("v4", None),
];

#[test]
fn the_error_names_file_and_field() {
    let names = fixtures("broken", ".metadata.json");
    let mut known: Vec<String> = FIELDS
        .iter()
        .map(|(name, _)| format!("{name}.metadata.json"))
        .collect();
    known.sort();
    assert_eq!(names, known, "every fixture has its expectation");
    for (name, field) in FIELDS {
        let path = testdata().join(format!("broken/{name}.metadata.json"));
        let path = path.to_str().unwrap();
        let error = TableMetadata::read_from(&LocalFileIo, path).expect_err(name);
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
            (Error::Unsupported { feature }, None) => assert!(feature.contains(path), "{name}"),
            (Error::Io { path: file, .. }, None) => assert_eq!(file, path, "{name}"),
            _ => panic!("{name}: {error:?}"),
        }
        assert!(error.is_permanent(), "{name}");
    }
}

#[test]
fn a_missing_file_is_an_io_error_with_its_name() {
    let error = TableMetadata::read_from(&LocalFileIo, "/nowhere/v1.metadata.json").unwrap_err();
    assert_eq!(error.path(), Some("/nowhere/v1.metadata.json"));
    assert!(matches!(
        error,
        Error::Io {
            operation: "open",
            ..
        }
    ));
}
