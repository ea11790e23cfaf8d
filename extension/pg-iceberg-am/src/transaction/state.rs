//! The state of the current transaction, one per backend.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use iceberg_lite::commit::SnapshotDelta;
use iceberg_lite::manifest::DataFile;
use iceberg_lite::spec::TableMetadata;
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{Persistence, Relation};
use pg_lakebase_core::{file, pgstat, serializable, xact};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::budget;
use super::columns::follow_columns;
use super::commit::Expiring;
use super::level::{Levels, Mark};
use super::pending::PendingRows;
use crate::catalog::options::TableOptions;
use crate::catalog::{
    self, ColumnFieldCatalog, GarbageCatalog, InlineCommitCatalog, Origin, Pointer, PointerCatalog,
    RowChange, RowChangeCatalog,
};
use crate::claims;
use crate::directory::StorageKey;
use crate::files::{self, ObjectPlace, Place, TableFiles, Which, cache};

use crate::row_id::RowId;
use crate::row_id::counter::Counter;
use crate::schema::{ColumnFields, Fields, TableColumns, TableSchema};
use crate::stores;

/// What to do about row ids that become scarce.
const NEW_IDS_HINT: &str = "VACUUM FULL numbers the rows anew.";

thread_local! {
    static TRANSACTION: RefCell<TransactionState> = RefCell::default();
}

/// Everything that this transaction has changed.
#[derive(Default)]
pub struct TransactionState {
    pub(super) storages: BTreeMap<StorageKey, StorageState>,
    /// Storages whose drop the commit will make final.
    pub(super) dropped: BTreeSet<StorageKey>,
    pub(super) levels: Levels,
    /// Whether pre-commit is over: what comes now must change pointer rows itself.
    pub(super) pre_committed: bool,
    /// Whether pre-commit has left anything for the publisher, or a table that it should look at.
    pub(super) calls_publisher: bool,
    /// Bytes of memory that the rows of all storages take, about.
    pub(super) pending_bytes: usize,
    /// Files of temporary tables that nobody needs once the transaction has committed.
    pub(super) superfluous: Vec<String>,
    /// Storages in object stores that the transaction made and undid with a savepoint, with the places of their objects.
    pub(super) undone: Vec<(StorageKey, ObjectPlace)>,
    /// Storages whose columns were changed, with their tables, which are locked since.
    pub(super) changed_columns: BTreeMap<StorageKey, pg_sys::Oid>,
    /// The storage inserted into last and the subtransaction that did: its mark is set already.
    pub(super) marked: Option<(StorageKey, pg_sys::SubTransactionId)>,
}

/// What this transaction has done to one storage.
pub struct StorageState {
    /// The columns and fields that rows are written with. They may be others since; [`follow_columns`](super::columns::follow_columns) brings them after.
    pub schema: TableSchema,
    /// The fields that the metadata have; without metadata, those that the storage was begun with.
    pub fields: Arc<Fields>,
    /// Files of the storage.
    pub io: TableFiles,
    /// Rows inserted and not rolled back.
    pub rows: PendingRows,
    /// Whether the table is logged.
    pub persistence: Persistence,
    /// Whether this transaction made the storage.
    pub created: bool,
    /// What a storage that this transaction made is to older snapshots.
    pub origin: Origin,
    /// The table, for its readers to conflict with.
    pub relid: pg_sys::Oid,
    /// Whether the rows committed before are gone (`relation_nontransactional_truncate`).
    pub emptied: bool,
    /// How many rows this transaction has deleted or superseded.
    pub row_changes: u64,
    /// Rows that were deleted or superseded, as the next metadata tell, in their order: this transaction, mostly the
    /// publisher's, takes them from those who did it.
    pub folded_changes: Vec<RowChange>,
    /// Whether this transaction folds inline commits into the metadata: the publisher's.
    pub folds: bool,
    /// Files of those, and of rows of this transaction, that the next metadata get.
    pub closed: Vec<Arc<DataFile>>,
    /// What this transaction, the publisher's, changes of the storage's files without changing its rows.
    pub replacement: SnapshotDelta,
    /// What this transaction drops of the storage's history.
    pub expiring: Expiring,
    /// Who hands out row ids; none as long as nobody is about to insert.
    counter: Option<Counter>,
    /// Whether it has been said that row ids become scarce.
    warned: bool,
    /// The table whose columns were changed since the storage was written to first. That may have been rolled back.
    pub altered: Option<pg_sys::Oid>,
    /// The columns that the commit puts into the metadata, if they are others than it has.
    pub new_columns: Option<Arc<TableColumns>>,
}

impl StorageState {
    /// Without metadata, `later` are the fields of columns that were added to it.
    fn new(
        rel: Relation<'_>,
        key: &StorageKey,
        metadata: Option<(&str, &TableMetadata)>,
        later: impl FnOnce() -> PgResult<ColumnFields>,
    ) -> PgResult<Self> {
        let columns = Arc::new(TableColumns::of(rel)?);
        let (schema, fields) = match metadata {
            Some((_, metadata)) => {
                let fields = Fields::of_metadata(metadata)?;
                (TableSchema::new(columns, &fields, later)?, fields)
            }
            None => {
                let later = later()?;
                let fields = Fields::begin(&columns, &later)?;
                (TableSchema::with(columns, &fields, &later)?, fields)
            }
        };
        schema.check_writable()?;
        let name = metadata.map(|(name, _)| name);
        let io = TableFiles::to_write(*key, rel.persistence(), name)?;
        let mut rows = PendingRows::new(&schema, io.clone())?;
        rows.set_options(&TableOptions::of(rel.oid()));
        Ok(Self {
            rows,
            schema,
            fields: Arc::new(fields),
            io,
            persistence: rel.persistence(),
            created: metadata.is_none(),
            origin: Origin::New,
            relid: rel.oid(),
            emptied: false,
            row_changes: 0,
            folded_changes: Vec::new(),
            folds: false,
            closed: Vec::new(),
            replacement: SnapshotDelta::default(),
            expiring: Expiring::Nothing,
            counter: None,
            warned: false,
            altered: None,
            new_columns: None,
        })
    }

    /// Bytes of memory that the rows take, and files that have not been handed over.
    pub fn memory_bytes(&self) -> usize {
        self.rows.memory_bytes() + self.io.staged_bytes()
    }

    /// Ids for so many rows that `rel` is about to get: the first one.
    pub fn take_row_ids(&mut self, rel: Relation<'_>, rows: u64) -> PgResult<RowId> {
        let counter = self
            .counter
            .ok_or_else(|| PgError::internal("rows are inserted without row ids"))?;
        let first = counter.take(rows).ok_or_else(|| {
            PgError::new(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!("Iceberg table \"{}\" has no row ids left", rel.name()),
            )
            .with_hint(NEW_IDS_HINT)
        })?;
        if !self.warned && first.number() + rows > RowId::COUNT / 2 {
            self.warned = true;
            PgError::new(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "Iceberg table \"{}\" has used more than half of its row ids",
                    rel.name()
                ),
            )
            .with_hint(NEW_IDS_HINT)
            .warn();
        }
        Ok(first)
    }

    /// The place of its objects, if it lies in an object store and this transaction made it.
    fn objects_made(&self) -> Option<&ObjectPlace> {
        match self.io.place() {
            Place::Object(place) if self.created => Some(place),
            _ => None,
        }
    }

    /// Whether pre-commit has anything to do.
    pub fn is_changed(&self) -> bool {
        self.changes_content() || self.expiring != Expiring::Nothing
    }

    /// Whether the next metadata say something else of the table than its history.
    pub fn changes_content(&self) -> bool {
        self.created
            || self.emptied
            || self.rows.len() > 0
            || self.row_changes > 0
            || self.folds
            || !self.replacement.is_empty()
            || self.new_columns.is_some()
    }
}

impl TransactionState {
    pub(super) fn sub_commit(
        &mut self,
        subid: pg_sys::SubTransactionId,
        parent: pg_sys::SubTransactionId,
    ) {
        self.marked = None;
        self.levels.commit(subid, parent);
    }

    /// Undoes what `subid` and its released children did.
    pub(super) fn sub_abort(&mut self, subid: pg_sys::SubTransactionId) {
        self.marked = None;
        let Some(level) = self.levels.abort(subid) else {
            return;
        };
        for key in &level.dropped {
            self.dropped.remove(key);
        }
        for key in &level.changed_columns {
            self.changed_columns.remove(key);
        }
        let mut tables = HashSet::new();
        for (key, mark) in &level.marks {
            if let Some(storage) = self.storages.get_mut(key) {
                storage.rows.truncate(mark.rows);
                storage.row_changes = mark.changes;
                tables.insert(storage.relid);
                // What the subtransaction knew of the columns was perhaps what it had made of them.
                if !storage.is_changed() {
                    self.storages.remove(key);
                }
            }
        }
        pgstat::leave_no_dead_rows(&tables);
        self.pending_bytes = budget::total(&self.storages);
        for key in &level.created {
            if let Some(storage) = self.storages.remove(key) {
                let objects = storage.objects_made();
                (self.undone).extend(objects.map(|place| (*key, place.clone())));
                files::remove_directory(key);
                if let Some(counter) = storage.counter {
                    counter.unpin();
                }
            }
        }
    }

    /// Removes every file this transaction made.
    pub(super) fn abort(&mut self) {
        let tables = self.storages.values().map(|storage| storage.relid);
        pgstat::leave_no_dead_rows(&tables.collect());
        for (key, storage) in std::mem::take(self).storages {
            let StorageState {
                io, rows, created, ..
            } = storage;
            drop(rows);
            if created {
                files::remove_directory(&key);
            } else {
                io.remove_created();
            }
        }
    }

    /// Removes storages that the transaction has made and dropped again, which nobody needs whatever its outcome:
    /// before it is prepared, so that recovery, which makes them again, removes them as well.
    pub(super) fn remove_made_and_dropped(&self) {
        for key in &self.dropped {
            if self
                .storages
                .get(key)
                .is_some_and(|storage| storage.created)
            {
                files::remove_directory(key);
            }
        }
    }

    /// Makes the removals that commit has decided; everything else is in place already.
    pub(super) fn commit(&mut self) {
        let Self {
            storages,
            dropped,
            superfluous,
            ..
        } = std::mem::take(self);
        for key in storages
            .iter()
            .filter_map(|(key, storage)| storage.emptied.then_some(key))
        {
            let _ = files::create_directory(key);
        }
        for key in dropped {
            files::remove_directory(&key);
        }
        for path in superfluous {
            let _ = file::remove_file(&path);
        }
    }
}

/// Runs `work` on the transaction's state.
pub(super) fn with_transaction<T>(work: impl FnOnce(&mut TransactionState) -> T) -> T {
    TRANSACTION.with_borrow_mut(work)
}

/// As [`with_transaction`], for the end of the transaction.
///
/// A backend that is told to terminate aborts on top of whatever it was doing. Should that have been
/// a change of this state, nothing can be done with it: its files are orphans.
pub(super) fn end_transaction(work: impl FnOnce(&mut TransactionState)) {
    TRANSACTION.with(|state| {
        if let Ok(mut state) = state.try_borrow_mut() {
            work(&mut state);
        }
    });
}

/// Runs `work` on what this transaction has done to `key`, if anything.
pub fn with_storage<T>(
    key: &StorageKey,
    work: impl FnOnce(&mut StorageState, &[u64]) -> T,
) -> Option<T> {
    with_transaction(|state| {
        let storage = state.storages.get_mut(key)?;
        let before = storage.memory_bytes();
        let result = work(storage, &state.levels.marks(key));
        let after = storage.memory_bytes();
        state.pending_bytes = (state.pending_bytes + after).saturating_sub(before);
        Some(result)
    })
}

/// Whether this transaction has changed any Iceberg table.
pub fn has_changes() -> bool {
    with_transaction(|state| {
        !state.storages.is_empty() || !state.dropped.is_empty() || !state.changed_columns.is_empty()
    })
}

/// Notes that `key`, which this transaction has made, takes the place of a storage that older snapshots may see rows in.
pub fn note_rewritten(key: &StorageKey) {
    with_storage(key, |storage, _| storage.origin = Origin::Rewritten);
}

/// Number of rows this transaction has inserted into `key`; for estimates.
pub fn pending_row_count(key: &StorageKey) -> u64 {
    with_storage(key, |storage, _| storage.rows.len()).unwrap_or(0)
}

/// Runs `work` on `key`, a storage of `rel`, to which the current subtransaction is about to insert into.
pub fn with_writable_storage<T>(
    rel: Relation<'_>,
    key: StorageKey,
    work: impl FnOnce(&mut StorageState, &dyn Fn() -> Vec<u64>) -> PgResult<T>,
) -> PgResult<T> {
    let subid = xact::current_subxact_id();
    let (known, is_marked, is_altered) = with_transaction(|state| {
        let storage = state.storages.get(&key);
        let known = storage.map(|storage| storage.counter.is_some());
        let is_altered = storage.is_some_and(|storage| storage.altered.is_some());
        (known, state.marked == Some((key, subid)), is_altered)
    });
    // A rollback to a savepoint takes options and columns back as well, and goes on in another subtransaction.
    let options = (!is_marked).then(|| TableOptions::of(rel.oid()));
    if !is_marked && is_altered {
        follow_columns(rel, &key)?;
    }
    if known != Some(true) {
        let new = match known {
            None => Some(existing_storage(rel, &key)?),
            Some(_) => None,
        };
        let counter = Counter::pin(&key, || catalog::next_row_id(&key))?;
        with_transaction(|state| {
            if let Some(storage) = new {
                state.storages.insert(key, storage);
            }
            if let Some(storage) = state.storages.get_mut(&key) {
                storage.counter = Some(counter);
            }
        });
    }
    let (result, crowded) = with_transaction(|state| {
        let TransactionState {
            storages,
            levels,
            marked,
            pending_bytes,
            ..
        } = state;
        let Some(storage) = storages.get_mut(&key) else {
            return Err(missing(rel));
        };
        if let Some(options) = options {
            storage.rows.set_options(&options);
        }
        if *marked != Some((key, subid)) {
            serializable::note_write(rel);
            let mark = Mark {
                rows: storage.rows.len(),
                changes: storage.row_changes,
            };
            levels.current(subid).marks.entry(key).or_insert(mark);
            *marked = Some((key, subid));
        }
        let before = storage.memory_bytes();
        let result = work(storage, &|| levels.marks(&key))?;
        let after = storage.memory_bytes();
        *pending_bytes = (*pending_bytes + after).saturating_sub(before);
        let io = &storage.io;
        Ok((result, io.has_many_staged().then(|| io.clone())))
    })?;
    if let Some(io) = crowded {
        TableFiles::hand_over([&io], Which::Data)?;
    }
    budget::keep()?;
    Ok(result)
}

/// State for a storage that was there before this transaction.
pub(super) fn existing_storage(rel: Relation<'_>, key: &StorageKey) -> PgResult<StorageState> {
    let pointer = catalog::latest_pointer(rel, key)?.ok_or_else(|| missing(rel))?;
    let later = || ColumnFieldCatalog::find(key);
    match pointer.metadata_location {
        Some(location) => {
            let metadata = cache::metadata(&TableFiles::new(*key)?, &location)?;
            StorageState::new(rel, key, Some((&location, &metadata)), later)
        }
        None => {
            let mut storage = StorageState::new(rel, key, None, later)?;
            storage.created = false;
            Ok(storage)
        }
    }
}

fn missing(rel: Relation<'_>) -> PgError {
    PgError::new(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!("Iceberg table \"{}\" has no pointer row", rel.name()),
    )
}

/// Options of tables have changed: whoever writes next looks at them again.
pub fn note_changed_options() {
    with_transaction(|state| state.marked = None);
}

/// Makes an empty storage `key` for `rel`, which becomes part of the database if the current
/// subtransaction commits.
pub fn create_storage(rel: Relation<'_>, key: StorageKey) -> PgResult<()> {
    let mut storage = StorageState::new(rel, &key, None, || Ok(ColumnFields::default()))?;
    storage.counter = Some(Counter::pin_new(&key)?);
    if !key.is_temporary()
        && let Some(garbage) = GarbageCatalog::open_for_update()
    {
        // Of a storage of the same name that was dropped before: what is left of it goes now.
        garbage.forget(&key)?;
    }
    // Known before it is made, so that it is removed should that fail half-way.
    with_transaction(|state| {
        state
            .levels
            .current(xact::current_subxact_id())
            .created
            .push(key);
        state.storages.insert(key, storage);
    });
    files::create_directory(&key)
}

/// Drops the storage of `rel` if the current subtransaction commits.
///
/// The pointer row goes at once, as any row that a transaction deletes; files stay until commit, which makes the
/// row of garbage count.
pub fn drop_storage(rel: Relation<'_>) -> PgResult<()> {
    let key = StorageKey::of(rel);
    let place = Place::of(&key)?;
    let mut metadata = None;
    claims::leave(&key)?;
    if let Some(catalog) = PointerCatalog::open_for_update() {
        if place.is_object() {
            metadata = (catalog.find_latest(&key)?).and_then(|pointer| pointer.metadata_location);
        }
        catalog.delete(&key)?;
    }
    if let Some(catalog) = InlineCommitCatalog::open_for_update() {
        let latest = catalog.latest();
        catalog.delete(&catalog.find(&key, latest.snapshot())?);
    }
    if let Some(catalog) = RowChangeCatalog::open_for_update() {
        let latest = catalog.latest();
        catalog.delete(&catalog.find(&key, latest.snapshot())?);
    }
    if let Some(catalog) = ColumnFieldCatalog::open_for_update() {
        catalog.delete(&key)?;
    }
    if !key.is_temporary()
        && let Some(garbage) = GarbageCatalog::open_for_update()
    {
        let xid = xact::full_transaction_id();
        garbage.insert(&key, xid);
        let made = with_transaction(|state| {
            let place = state.storages.get(&key)?.objects_made()?;
            Some(place.directory.as_ref()?.name().to_owned())
        });
        let before = metadata.as_deref().and_then(stores::directory_of);
        if let Some(directory) = before.or(made.as_deref()) {
            garbage.insert_objects(&key, xid, directory);
        }
    }
    with_transaction(|state| {
        if state.dropped.insert(key) {
            state
                .levels
                .current(xact::current_subxact_id())
                .dropped
                .push(key);
        }
    });
    Ok(())
}

/// Removes all rows of `rel`, not to be undone other than by dropping the storage.
///
/// ON COMMIT DELETE ROWS comes after our pre-commit (`PreCommit_on_commit_actions`), so
/// the pointer row is emptied then and there.
pub fn empty_storage(rel: Relation<'_>) -> PgResult<()> {
    let pre_committed = with_transaction(|state| state.pre_committed);
    with_writable_storage(rel, StorageKey::of(rel), |storage, _| {
        storage.rows.truncate(0);
        storage.emptied = pre_committed || !storage.created;
        Ok(())
    })?;
    if pre_committed {
        let key = StorageKey::of(rel);
        if let Some(catalog) = PointerCatalog::open_for_update() {
            let locked = catalog.lock(&key)?;
            let emptied = Pointer {
                next_row_id: locked.pointer.next_row_id,
                ..Pointer::default()
            };
            catalog.replace(&key, &locked, &emptied);
        }
    }
    Ok(())
}
