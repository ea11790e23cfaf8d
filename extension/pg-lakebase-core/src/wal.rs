//! Write-ahead log records of an extension: a custom resource manager (`access/rmgr.h`,
//! `access/xlog_internal.h`) and the insertion of its records (`access/xloginsert.h`).
//!
//! A record's content is the extension's own. What redo does must be idempotent: after a crash it is
//! repeated from the last checkpoint's redo pointer, and a standby may stop and start anywhere.
//! PostgreSQL has no place where an extension could make files durable while a checkpoint is being
//! taken: redo has to leave them durable, and what runs outside of recovery can hold off a checkpoint's
//! completion by [`DelayCheckpoint`].

use std::ffi::{CStr, c_char};

use pgrx::pg_sys;

use crate::error::PgResult;
use crate::guard::{guard, guard_infallible};
use crate::relation::RelFileLocator;

/// A position in the write-ahead log (`XLogRecPtr`).
pub type Lsn = pg_sys::XLogRecPtr;

/// A kind of record: one of the upper four bits of a record's info byte belongs to the resource manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordKind(u8);

impl RecordKind {
    /// The kind of this number, below 16.
    pub const fn new(number: u8) -> Self {
        assert!(number < 16, "a resource manager has 16 kinds of records");
        Self(number << 4)
    }

    fn of_info(info: u8) -> Self {
        Self(info & !(pg_sys::XLR_INFO_MASK as u8))
    }
}

/// A custom resource manager.
pub trait ResourceManager: 'static {
    /// Its number: from 128 to 255, unique among the extensions of a cluster, and never changed.
    const ID: u8;
    /// Its name, as `pg_waldump` and `pg_get_wal_resource_managers` show it.
    const NAME: &'static CStr;

    /// Does again what a record says that ends at `end`. An error ends recovery.
    fn redo(kind: RecordKind, content: &[u8], end: Lsn) -> PgResult<()>;

    /// What a record says, for people.
    fn describe(kind: RecordKind, content: &[u8]) -> String;

    /// The name of a kind of record.
    fn identify(kind: RecordKind) -> Option<&'static CStr>;

    /// After the last record of a recovery has been done again.
    fn cleanup() -> PgResult<()> {
        Ok(())
    }
}

/// Registers a resource manager; only while the library is loaded by `shared_preload_libraries`.
pub fn register<R: ResourceManager>() {
    let manager = pg_sys::RmgrData {
        rm_name: R::NAME.as_ptr(),
        rm_redo: Some(redo::<R>),
        rm_desc: Some(describe::<R>),
        rm_identify: Some(identify::<R>),
        rm_startup: None,
        rm_cleanup: Some(cleanup::<R>),
        rm_mask: None,
        rm_decode: None,
    };
    // SAFETY: PostgreSQL copies the struct; the functions are those of a library that stays loaded.
    unsafe { pg_sys::RegisterCustomRmgr(R::ID, &raw const manager) }
}

/// Whether changes of logged relations go into the log (`XLogIsNeeded`).
pub fn is_needed() -> bool {
    // SAFETY: a setting that never changes while the server runs.
    unsafe { pg_sys::wal_level >= pg_sys::WalLevel::WAL_LEVEL_REPLICA as i32 }
}

/// Whether the server is in recovery (`RecoveryInProgress`).
pub fn in_recovery() -> bool {
    // SAFETY: reads the shared state.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// The timeline that the server, which is not in recovery, writes its log on.
pub fn insertion_timeline() -> u32 {
    // SAFETY: reads shared memory.
    unsafe { pg_sys::GetWALInsertionTimeLine() }
}

/// Makes durable what this transaction has logged so far, and with it every commit that it knows of: one that did not
/// wait for its record (`synchronous_commit = off`) may be undone by a crash until then.
pub fn flush() {
    // SAFETY: the end of the transaction's last record, 0 if there is none.
    unsafe {
        let end = (&raw const pg_sys::XactLastRecEnd).read();
        if end != 0 {
            pg_sys::XLogFlush(end);
        }
    }
}

/// In redo, cancels queries that may need what is about to be removed: those whose snapshots do not see what the
/// transaction `horizon` did, in the database of `locator`. They are given the time that
/// `max_standby_streaming_delay` or `max_standby_archive_delay` says. Nothing happens unless the server lets
/// queries in (`ResolveRecoveryConflictWithSnapshot`).
pub fn resolve_conflict_with_snapshots(horizon: pg_sys::TransactionId, locator: RelFileLocator) {
    // SAFETY: a variable of the startup process; the call waits and cancels, as redo of heap records does. With an
    // invalid id it does nothing.
    unsafe {
        if pg_sys::standbyState >= pg_sys::HotStandbyState::STANDBY_SNAPSHOT_PENDING {
            pg_sys::ResolveRecoveryConflictWithSnapshot(horizon, false, locator.to_raw());
        }
    }
}

/// In redo, has no later recovery of this server stop before `end`, where the record ends that is being done again: what
/// was needed up to there is about to be removed (as `xact_redo_commit` does before it removes relations).
pub fn never_stop_before(end: Lsn) {
    // SAFETY: during recovery this writes the control file, if need be (`UpdateMinRecoveryPoint`).
    unsafe { pg_sys::XLogFlush(end) }
}

/// The most bytes of content that a record should have: PostgreSQL refuses much larger ones, and
/// assembles each in memory when it is read.
pub const MAX_CONTENT: usize = 16 << 20;

/// Inserts a record whose content is `parts`, one after the other, and returns where it ends.
///
/// It is durable with the next commit of this transaction, or the next flush of that position.
pub fn insert<R: ResourceManager>(kind: RecordKind, parts: &[&[u8]]) -> Lsn {
    // SAFETY: the parts outlive the insertion, which copies them; PostgreSQL does not write to them.
    // `XLogBeginInsert` raises in recovery. Should one of the calls raise, the state of the insertion
    // is reset with the transaction's abort (`XLogResetInsertion`).
    unsafe {
        let datas = i32::try_from(parts.len()).unwrap_or(i32::MAX);
        pg_sys::XLogBeginInsert();
        pg_sys::XLogEnsureRecordSpace(0, datas);
        for part in parts.iter().filter(|part| !part.is_empty()) {
            let data = part.as_ptr().cast::<c_char>().cast_mut();
            pg_sys::XLogRegisterData(data, u32::try_from(part.len()).unwrap_or(u32::MAX));
        }
        pg_sys::XLogInsert(R::ID, kind.0)
    }
}

/// While it lives, no checkpoint is completed that began before it ends: what the log said before that
/// checkpoint's redo pointer can still be made durable (`DELAY_CHKPT_COMPLETE`).
///
/// Only within a transaction. The transaction's end ends it too.
#[must_use = "the checkpoint is held off until this is dropped"]
pub struct DelayCheckpoint {
    _backend_thread: std::marker::PhantomData<*mut ()>,
}

impl DelayCheckpoint {
    /// Begins to hold checkpoints off.
    pub fn begin() -> Self {
        // SAFETY: the process's own flags, which the checkpointer only reads.
        unsafe { (*pg_sys::MyProc).delayChkptFlags |= pg_sys::DELAY_CHKPT_COMPLETE as i32 };
        Self {
            _backend_thread: std::marker::PhantomData,
        }
    }
}

impl Drop for DelayCheckpoint {
    fn drop(&mut self) {
        // SAFETY: as in `begin`.
        unsafe { (*pg_sys::MyProc).delayChkptFlags &= !(pg_sys::DELAY_CHKPT_COMPLETE as i32) };
    }
}

/// # Safety
///
/// `record` is the reader's, with a decoded record.
unsafe fn record<'a>(record: *mut pg_sys::XLogReaderState) -> (RecordKind, &'a [u8]) {
    // SAFETY: the caller's promise; these are the macros `XLogRecGetInfo`, `XLogRecGetData` and
    // `XLogRecGetDataLen`. The content is valid during the callback.
    unsafe {
        let decoded = (*record).record;
        let (data, length) = ((*decoded).main_data, (*decoded).main_data_len as usize);
        let content = if length == 0 {
            &[]
        } else {
            std::slice::from_raw_parts(data.cast::<u8>(), length)
        };
        (RecordKind::of_info((*decoded).header.xl_info), content)
    }
}

unsafe extern "C-unwind" fn redo<R: ResourceManager>(reader: *mut pg_sys::XLogReaderState) {
    guard(|| {
        // SAFETY: PostgreSQL's own reader.
        let (kind, content, end) = unsafe {
            let (kind, content) = record(reader);
            (kind, content, (*reader).EndRecPtr)
        };
        R::redo(kind, content, end)
    });
}

unsafe extern "C-unwind" fn describe<R: ResourceManager>(
    buffer: pg_sys::StringInfo,
    reader: *mut pg_sys::XLogReaderState,
) {
    guard_infallible(|| {
        // SAFETY: PostgreSQL's own reader and buffer; the text's bytes are copied.
        unsafe {
            let (kind, content) = record(reader);
            let text = R::describe(kind, content);
            let length = i32::try_from(text.len()).unwrap_or(0);
            pg_sys::appendBinaryStringInfo(buffer, text.as_ptr().cast(), length);
        }
    });
}

unsafe extern "C-unwind" fn identify<R: ResourceManager>(info: u8) -> *const c_char {
    guard_infallible(|| {
        R::identify(RecordKind::of_info(info)).map_or(std::ptr::null(), CStr::as_ptr)
    })
}

unsafe extern "C-unwind" fn cleanup<R: ResourceManager>() {
    guard(R::cleanup);
}
