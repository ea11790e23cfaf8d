//! Snapshots.

use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::pg_sys;

/// What a snapshot lets see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SnapshotKind {
    /// What was committed when it was taken, and the own transaction's earlier commands.
    Mvcc,
    /// What is committed now, and all of the own transaction.
    SelfVisible,
    /// Every tuple.
    Any,
    /// As `SelfVisible`, and what is in progress.
    Dirty,
    /// MVCC of logical decoding.
    HistoricMvcc,
    /// What VACUUM may not yet remove.
    NonVacuumable,
    /// For TOAST tables.
    Toast,
}

/// A snapshot that someone else keeps, as PostgreSQL's callbacks receive it.
#[derive(Clone, Copy)]
pub struct Snapshot<'a> {
    raw: NonNull<pg_sys::SnapshotData>,
    _kept: PhantomData<&'a pg_sys::SnapshotData>,
}

impl<'a> Snapshot<'a> {
    /// Borrows a snapshot.
    ///
    /// # Safety
    ///
    /// `raw` is valid for all of `'a`: registered, active or static.
    #[inline]
    pub unsafe fn from_raw(raw: pg_sys::Snapshot) -> Self {
        debug_assert!(!raw.is_null());
        Self {
            // SAFETY: the caller says that the pointer is valid.
            raw: unsafe { NonNull::new_unchecked(raw) },
            _kept: PhantomData,
        }
    }

    /// Borrows a snapshot that may be absent.
    ///
    /// # Safety
    ///
    /// `raw` is null or as for [`Snapshot::from_raw`].
    #[inline]
    pub unsafe fn from_nullable(raw: pg_sys::Snapshot) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self {
            raw,
            _kept: PhantomData,
        })
    }

    /// The C pointer.
    #[inline]
    pub fn as_ptr(self) -> pg_sys::Snapshot {
        self.raw.as_ptr()
    }

    #[inline]
    fn data(&self) -> &pg_sys::SnapshotData {
        // SAFETY: valid for 'a by the contract of `from_raw`.
        unsafe { self.raw.as_ref() }
    }

    /// What the snapshot lets see.
    pub fn kind(self) -> SnapshotKind {
        match self.data().snapshot_type {
            pg_sys::SnapshotType::SNAPSHOT_SELF => SnapshotKind::SelfVisible,
            pg_sys::SnapshotType::SNAPSHOT_ANY => SnapshotKind::Any,
            pg_sys::SnapshotType::SNAPSHOT_TOAST => SnapshotKind::Toast,
            pg_sys::SnapshotType::SNAPSHOT_DIRTY => SnapshotKind::Dirty,
            pg_sys::SnapshotType::SNAPSHOT_HISTORIC_MVCC => SnapshotKind::HistoricMvcc,
            pg_sys::SnapshotType::SNAPSHOT_NON_VACUUMABLE => SnapshotKind::NonVacuumable,
            _ => SnapshotKind::Mvcc,
        }
    }

    /// The command that the snapshot was taken for: of the own transaction, it shows what commands
    /// with lower numbers did.
    pub fn cur_cid(self) -> pg_sys::CommandId {
        self.data().curcid
    }

    /// Has a dirty snapshot say that the row that was found is of no transaction in progress
    /// (`HeapTupleSatisfiesDirty`), which callers read after each row.
    pub fn report_nobody(self) {
        if self.kind() == SnapshotKind::Dirty {
            // SAFETY: the caller's own snapshot, which scans report in.
            unsafe {
                let raw = &mut *self.as_ptr();
                raw.xmin = pg_sys::InvalidTransactionId;
                raw.xmax = pg_sys::InvalidTransactionId;
                raw.speculativeToken = 0;
            }
        }
    }

    /// That of every version (`SnapshotAny`).
    pub fn any() -> Snapshot<'static> {
        // SAFETY: a static snapshot, which nobody changes.
        unsafe { Snapshot::from_raw(&raw mut pg_sys::SnapshotAnyData) }
    }

    /// The active snapshot, if there is one.
    pub fn active() -> Option<Snapshot<'a>> {
        // SAFETY: `GetActiveSnapshot` may be called when `ActiveSnapshotSet` says so; the result
        // lives as long as it stays active, which the callers of this crate's callbacks grant.
        unsafe {
            if pg_sys::ActiveSnapshotSet() {
                Some(Snapshot::from_raw(pg_sys::GetActiveSnapshot()))
            } else {
                None
            }
        }
    }
}

impl std::fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot({:?}, cid {})", self.kind(), self.cur_cid())
    }
}

/// A snapshot that this handle keeps registered.
pub struct RegisteredSnapshot {
    raw: NonNull<pg_sys::SnapshotData>,
    owner: pg_sys::ResourceOwner,
}

impl RegisteredSnapshot {
    /// Registers a snapshot to read a catalog-like table with (`GetCatalogSnapshot`): what is committed
    /// now, whatever the isolation level, and all that this transaction has done; also in parallel mode.
    pub fn catalog(relid: pg_sys::Oid) -> Self {
        // SAFETY: called inside a transaction; both calls raise or give a valid snapshot.
        unsafe { Self::register(pg_sys::GetCatalogSnapshot(relid)) }
    }

    /// Registers the transaction's snapshot (`GetTransactionSnapshot`): a new one at READ
    /// COMMITTED, always the same one above.
    pub fn transaction() -> Self {
        // SAFETY: as in `catalog`.
        unsafe { Self::register(pg_sys::GetTransactionSnapshot()) }
    }

    /// Registers a copy of a snapshot that someone else keeps.
    pub fn of(snapshot: Snapshot<'_>) -> Self {
        // SAFETY: the snapshot is valid.
        unsafe { Self::register(snapshot.as_ptr()) }
    }

    /// # Safety
    ///
    /// `snapshot` is valid.
    unsafe fn register(snapshot: pg_sys::Snapshot) -> Self {
        // SAFETY: registering a valid snapshot gives one that lives until it is unregistered.
        unsafe {
            Self {
                raw: NonNull::new_unchecked(pg_sys::RegisterSnapshot(snapshot)),
                owner: pg_sys::CurrentResourceOwner,
            }
        }
    }

    /// The handle, borrowed from this one.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            raw: self.raw,
            _kept: PhantomData,
        }
    }
}

impl Drop for RegisteredSnapshot {
    fn drop(&mut self) {
        // While an error unwinds, and once the (sub)transaction is aborting, the resource owner
        // unregisters.
        if std::thread::panicking() || !crate::xact::is_in_progress() {
            return;
        }
        // SAFETY: registered with this owner, which lives as long as the transaction is in
        // progress; unregistered once.
        unsafe { pg_sys::UnregisterSnapshotFromOwner(self.raw.as_ptr(), self.owner) }
    }
}
