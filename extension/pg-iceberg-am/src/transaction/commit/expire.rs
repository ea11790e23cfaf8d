//! Dropping history: snapshots that expire, and the files that nothing leads to without them.
//!
//! Files stay as long as anybody may need them. Who sees a pointer row from before reads what it leads to, so the
//! files are noted as garbage of this transaction, and removed once everybody sees what it has done
//! (`transaction/garbage.rs`).

use std::collections::{BTreeSet, HashSet};

use iceberg_lite::commit::{
    self, Expiry, HeldSnapshots, History, Retention, TableUpdate, reachable_metadata_files,
};
use iceberg_lite::spec::TableMetadata;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::xact;

use super::super::state::{existing_storage, with_transaction};
use super::Catalogs;
use super::change::Change;
use super::metadata::now_ms;
use crate::catalog::GarbageCatalog;
use crate::directory::{StorageKey, TableDirectory, transaction_of};
use crate::error::to_pg_error;
use crate::files::Place;
use crate::guc;

/// By so many snapshots a history grows before it is thinned, other than by those who are to do it now.
pub const WORTHWHILE: usize = 32;

/// After so many commits that go through the metadata the publisher is asked to look at the table.
const LOOK_EVERY: i64 = 8;

/// What a transaction drops of a storage's history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expiring {
    /// Nothing.
    #[default]
    Nothing,
    /// What the rules say, if it is much.
    WhenWorthwhile,
    /// What the rules say.
    Now,
    /// Snapshots above this age, in milliseconds, and no others.
    OlderThan(i64),
}

impl Expiring {
    /// Whether it is to be done however little there is.
    pub(super) fn is_now(self) -> bool {
        matches!(self, Self::Now | Self::OlderThan(_))
    }
}

/// What is dropped of a history.
#[derive(Default)]
pub(super) struct Expired {
    expiry: Expiry,
    unreachable_files: BTreeSet<String>,
}

impl Expired {
    /// Whether nothing is.
    pub(super) fn is_empty(&self) -> bool {
        self.expiry.is_empty()
    }

    /// The updates of metadata that do it.
    pub(super) fn updates(&self) -> Vec<TableUpdate> {
        self.expiry.updates()
    }
}

/// Has pre-commit drop history of `rel`. Returns whether it will: not if somebody else is replacing the metadata.
pub fn expire(rel: Relation<'_>, expiring: Expiring) -> PgResult<bool> {
    let key = StorageKey::of(rel);
    let Some(locked) = Catalogs::open()?.pointers.try_lock(&key)? else {
        return Ok(false);
    };
    if locked.pointer.metadata_location.is_none() {
        return Ok(true);
    }
    let mut storage = existing_storage(rel, &key)?;
    storage.expiring = expiring;
    with_transaction(|state| state.storages.insert(key, storage));
    Ok(true)
}

impl Change {
    /// What to drop of the history in `base`.
    pub(super) fn plan_expiry(&self, base: &TableMetadata) -> PgResult<Expired> {
        let retention = match self.expiring {
            Expiring::Nothing => return Ok(Expired::default()),
            Expiring::WhenWorthwhile | Expiring::Now => retention(base),
            Expiring::OlderThan(age) => Retention {
                max_snapshot_age_ms: Some(age),
                ..Retention::by_age()
            },
        };
        // Whoever needs them keeps the files, not the snapshots.
        let held = HeldSnapshots::default();
        let expiry = commit::plan_expiry(base, &retention, &held, now_ms());
        if !self.expiring.is_now() && expiry.snapshot_ids.len() < WORTHWHILE {
            return Ok(Expired::default());
        }
        let gone: HashSet<i64> = expiry.snapshot_ids.iter().copied().collect();
        // Nobody sets a table of PostgreSQL's back to an earlier snapshot.
        let unreachable_files = commit::unreachable_files(base, &gone, History::Linear, &self.io);
        Ok(Expired {
            expiry,
            unreachable_files: unreachable_files.map_err(to_pg_error)?,
        })
    }

    /// Has the publisher look now and then at a table whose commits do not go through it.
    pub(super) fn ask_for_upkeep(&self, sequence_number: i64) {
        let is_time = sequence_number % LOOK_EVERY == 0 && self.expiring == Expiring::Nothing;
        if is_time && !self.key.is_temporary() {
            with_transaction(|state| state.calls_publisher = true);
        }
    }

    /// Notes what nothing leads to from `metadata`, which follow those in the file `previous` or are in it: what has
    /// expired, and files of metadata that are not needed.
    pub(super) fn leave_as_garbage(
        &self,
        metadata: &TableMetadata,
        previous: Option<&str>,
        expired: &Expired,
        forgotten: &[String],
    ) -> PgResult<()> {
        let place = self.io.place();
        let unreachable = expired.unreachable_files.iter().chain(forgotten);
        let mut names: BTreeSet<String> = unreachable
            .filter_map(|path| place.name_of(path))
            .map(str::to_owned)
            .collect();
        if let Place::Local(directory) = place {
            names.extend(self.unneeded_metadata_files(directory, metadata, previous)?);
            if self.key.is_temporary() {
                // Nobody else sees the table, and no snapshot of this session outlives the transaction.
                let paths = names.iter().map(|name| format!("{directory}/{name}"));
                with_transaction(|state| state.superfluous.extend(paths));
                return Ok(());
            }
        }
        let Some(garbage) = GarbageCatalog::open_for_update() else {
            return Ok(());
        };
        if !place.is_object() {
            // What is found in the directory is found again as long as it is there.
            for known in garbage.files_of(&self.key)? {
                names.remove(&known);
            }
        }
        let names: Vec<String> = names.into_iter().collect();
        let xid = xact::full_transaction_id();
        garbage.insert_files(&self.key, xid, place.keep_time(), &names);
        Ok(())
    }

    /// Files of metadata that `metadata` do not lead to, of transactions that are over: metadata files that the log
    /// forgot, manifests that were merged into others, what was left of transactions that were rolled back.
    fn unneeded_metadata_files(
        &self,
        directory: &TableDirectory,
        metadata: &TableMetadata,
        previous: Option<&str>,
    ) -> PgResult<Vec<String>> {
        // Files come first: what a transaction in progress makes from now on is not among them.
        let mut found: Vec<String> = directory
            .metadata_files()
            .filter(|name| transaction_of(name).is_some_and(xact::is_over))
            .filter(|name| Some(&**name) != previous)
            .collect();
        let paths = reachable_metadata_files(metadata, &self.io).map_err(to_pg_error)?;
        let needed: HashSet<&str> = (paths.iter())
            .filter_map(|path| directory.name_of(path))
            .collect();
        found.retain(|name| !needed.contains(name.as_str()));
        Ok(found)
    }
}

/// How the settings, and the table's own properties, have the history of `base` kept.
fn retention(base: &TableMetadata) -> Retention {
    const MAX_AGE: &str = "history.expire.max-snapshot-age-ms";
    let max_age = i64::try_from(guc::max_snapshot_age().as_millis()).unwrap_or(i64::MAX);
    Retention {
        newest: guc::recent_snapshots(),
        max_snapshot_age_ms: (!base.properties.contains_key(MAX_AGE)).then_some(max_age),
        ..Retention::default()
    }
}
