//! A commit whose file IO fails at any step leaves the table and its directory as they were.

use iceberg_lite::commit::{SnapshotDelta, complete, stage};
use iceberg_lite::spec::FormatVersion;

use crate::support::{FaultyFileIo, Table, append, path_of};

#[test]
fn a_fault_at_any_step_of_publishing_leaves_no_file_behind() {
    let properties = [("commit.manifest.min-count-to-merge", "2")];
    let mut table = Table::with_properties(&properties);
    for name in ["a", "b", "c"] {
        table.commit(&append(&[name]));
    }
    let delta = SnapshotDelta {
        removed_data_files: [path_of("b")].into(),
        ..append(&["d"])
    };
    let staged = table.stage(&delta);
    let before = table.io.files.borrow().clone();
    let mut faults = 0;
    for step in 1.. {
        let io = FaultyFileIo::new(table.io.clone(), step);
        let location = table.location.as_deref();
        match complete(&table.metadata, location, Some(&staged), &io, 9_000) {
            Ok(_) => break,
            Err(error) => {
                assert!(!error.is_permanent(), "step {step}: {error:?}");
                assert!(error.path().is_some(), "step {step}");
                assert!(
                    *table.io.files.borrow() == before,
                    "step {step} left files behind"
                );
                faults += 1;
            }
        }
    }
    // A list and three manifests are read; two manifests, a list and metadata are written.
    assert!(faults >= 16, "only {faults} steps");
    let written: Vec<String> = table
        .io
        .paths()
        .into_iter()
        .filter(|path| !before.contains_key(path))
        .collect();
    for path in written {
        table.io.files.borrow_mut().remove(&path);
    }
    table.try_complete(&staged).unwrap();
    assert_eq!(table.live(), ["a", "c", "d"]);
}

#[test]
fn a_fault_at_any_step_of_preparing_leaves_no_file_behind() {
    let table = Table::new();
    let spec = table.metadata.default_partition_spec().unwrap();
    let schema = table.metadata.current_schema().unwrap();
    for step in 1..=3 {
        let io = FaultyFileIo::new(table.io.clone(), step);
        assert!(
            stage(
                &append(&["a"]),
                schema,
                spec,
                "/lake/t",
                FormatVersion::V2,
                &io
            )
            .is_err(),
            "step {step}"
        );
        assert!(table.io.paths().is_empty(), "step {step}");
    }
    let io = FaultyFileIo::new(table.io.clone(), 4);
    let staged = stage(
        &append(&["a"]),
        schema,
        spec,
        "/lake/t",
        FormatVersion::V2,
        &io,
    )
    .unwrap();
    assert_eq!(table.io.paths(), staged.files_written());
}
