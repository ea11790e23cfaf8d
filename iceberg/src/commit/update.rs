//! Updates: what a commit does to metadata.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::spec::{
    FormatVersion, PartitionSpec, Schema, SnapshotRef, SnapshotReference, SortOrder, StatisticsFile,
};

/// A change of metadata, after those of the REST catalog specification.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TableUpdate {
    /// Gives a table of version 1 its identity.
    AssignUuid(Uuid),
    /// Raises the version of the format; never lowers it.
    UpgradeFormatVersion(FormatVersion),
    /// Adds a schema, whose id must be new.
    AddSchema(Schema),
    /// Makes a schema the current one.
    SetCurrentSchema(i32),
    /// Adds a partition spec, whose id must be new.
    AddPartitionSpec(PartitionSpec),
    /// Makes a partition spec the one for new files.
    SetDefaultSpec(i32),
    /// Adds a sort order, whose id must be new.
    AddSortOrder(SortOrder),
    /// Makes a sort order the one for new files.
    SetDefaultSortOrder(i32),
    /// Adds a snapshot, which nothing refers to yet.
    AddSnapshot(SnapshotRef),
    /// Lets a branch or tag name a snapshot; branch `main` is the current one.
    SetSnapshotRef {
        /// The branch or tag.
        name: String,
        /// What it names.
        reference: SnapshotReference,
    },
    /// Drops a branch or tag.
    RemoveSnapshotRef(String),
    /// Drops snapshots; those that a branch or tag names stay.
    RemoveSnapshots(Vec<i64>),
    /// Moves the table, that is, the place for new files.
    SetLocation(String),
    /// Sets properties.
    SetProperties(BTreeMap<String, String>),
    /// Drops properties.
    RemoveProperties(Vec<String>),
    /// Sets the statistics file of its snapshot.
    SetStatistics(StatisticsFile),
    /// Drops the statistics file of a snapshot.
    RemoveStatistics(i64),
}
