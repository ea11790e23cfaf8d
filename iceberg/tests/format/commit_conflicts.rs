//! Commits that cannot be put on top of what another one did.

use iceberg_lite::Error;
use iceberg_lite::commit::SnapshotDelta;
use iceberg_lite::commit::{TableRequirement, TableUpdate, apply};

use crate::support::{Table, append, data_file, delete_rows, path_of};

/// Completing fails with a conflict about the file, and leaves only what was staged.
fn assert_conflict(
    table: &mut Table,
    delta: &SnapshotDelta,
    meanwhile: &SnapshotDelta,
    file: &str,
) {
    let staged = table.stage(delta);
    table.commit(meanwhile);
    let before = table.io.paths();
    let error = table.try_complete(&staged).unwrap_err();
    assert!(error.is_conflict() && error.is_permanent(), "{error:?}");
    assert_eq!(error.path(), Some(path_of(file).as_str()), "{error}");
    assert_eq!(table.io.paths(), before);
}

fn remove(name: &str) -> SnapshotDelta {
    SnapshotDelta {
        removed_data_files: [path_of(name)].into(),
        ..SnapshotDelta::default()
    }
}

#[test]
fn two_commits_cannot_remove_the_same_file() {
    let mut table = Table::new();
    table.commit(&append(&["a", "b"]));
    assert_conflict(&mut table, &remove("a"), &remove("a"), "a");
    assert_eq!(table.live(), ["b"]);
}

#[test]
fn deleting_rows_of_a_file_that_was_removed_is_a_conflict() {
    let mut table = Table::new();
    table.commit(&append(&["a", "b"]));
    assert_conflict(&mut table, &delete_rows("p", "a"), &remove("a"), "a");
}

#[test]
fn deletes_for_files_that_are_still_there_are_published() {
    let mut table = Table::new();
    table.commit(&append(&["a", "b"]));
    let staged = table.stage(&delete_rows("p", "a"));
    table.commit(&remove("b"));
    table.try_complete(&staged).unwrap();
    assert_eq!(table.live(), ["a", "p"]);
    for (name, count) in [
        ("total-delete-files", 1),
        ("total-position-deletes", 3),
        ("added-position-delete-files", 1),
        ("total-records", 10),
    ] {
        assert_eq!(table.total(name), count, "{name}");
    }
    table.commit(&SnapshotDelta {
        removed_delete_files: [data_file("p", 3).delete_id()].into(),
        ..SnapshotDelta::default()
    });
    assert_eq!(table.live(), ["a"]);
    assert_eq!(table.total("total-delete-files"), 0);
}

/// Rewriting a file would bring back rows that another commit deleted from it meanwhile.
#[test]
fn rewriting_a_file_that_lost_rows_meanwhile_is_a_conflict() {
    let mut table = Table::new();
    table.commit(&append(&["a", "b"]));
    let rewrite = |table: &Table, name: &str, new: &str| SnapshotDelta {
        read_sequence_number: Some(table.metadata.last_sequence_number),
        ..SnapshotDelta {
            removed_data_files: [path_of(name)].into(),
            ..append(&[new])
        }
    };
    let delta = rewrite(&table, "a", "a2");
    assert_conflict(&mut table, &delta, &delete_rows("p", "a"), "a");

    // Deletes that the rewrite knew of, or that are about another file, do not matter.
    let delta = rewrite(&table, "a", "a3");
    let staged = table.stage(&delta);
    table.commit(&delete_rows("q", "b"));
    table.try_complete(&staged).unwrap();
    assert_eq!(table.live(), ["a3", "b", "p", "q"]);
}

#[test]
fn requirements_tell_what_was_expected_and_found() {
    let mut table = Table::new();
    table.commit(&append(&["a"]));
    let found = table.metadata.current_snapshot_id.unwrap();
    let requirement = TableRequirement::RefSnapshotId {
        name: "main".into(),
        snapshot_id: Some(17),
    };
    let updates = vec![TableUpdate::RemoveProperties(vec!["x".into()])];
    let error = apply(&table.metadata, None, &[requirement], updates, 0).unwrap_err();
    let Error::RequirementFailed {
        requirement,
        reason,
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(*requirement, "assert-ref-snapshot-id");
    assert!(
        reason.contains("17") && reason.contains(&found.to_string()),
        "{reason}"
    );
    assert!(error.is_conflict() && !error.is_permanent());
}

#[test]
fn updates_that_name_nothing_are_refused() {
    let table = Table::new();
    for update in [
        TableUpdate::SetCurrentSchema(4),
        TableUpdate::SetDefaultSpec(4),
        TableUpdate::SetDefaultSortOrder(4),
        TableUpdate::RemoveSnapshotRef("main".into()),
        TableUpdate::AssignUuid(uuid::Uuid::from_u128(8)),
        TableUpdate::AddSchema(crate::support::schema()),
    ] {
        let what = format!("{update:?}");
        assert!(
            apply(&table.metadata, None, &[], vec![update], 0).is_err(),
            "{what}"
        );
    }
}
