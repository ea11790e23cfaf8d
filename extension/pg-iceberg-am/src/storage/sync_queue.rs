//! Files whose fsync can wait.
//!
//! What is in the write-ahead log need not be on disk otherwise until a checkpoint moves the log's redo
//! pointer past it. So a small transaction leaves the fsync of its files to a background worker, the
//! syncer, which does many at a time, and waits for nothing but its log record, as a transaction on heap
//! tables does.
//!
//! The protocol. While the syncer is *collecting*, it delays the completion of checkpoints
//! ([`DelayCheckpoint`]), so files may be queued. A backend delays checkpoints itself from before it
//! inserts the log record until its files are queued, or, if the syncer is not collecting or the
//! queue is full, until it has synced them itself. The syncer stops collecting, syncs all there is in
//! the queue, ends its transaction, which lets a checkpoint that has waited go on, and begins again.
//! A file is therefore durable before any checkpoint completes whose redo pointer lies behind the
//! file's record.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io::{self, ErrorKind};
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

use pg_lakebase_core::file;
use pg_lakebase_core::wal::DelayCheckpoint;
use pgrx::bgworkers::{
    BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime, SignalWakeFlags,
};
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init, pg_sys};

/// Files that can wait.
const CAPACITY: usize = 4096;
/// Bytes of a path, below the data directory, that can wait.
const PATH_BYTES: usize = 190;
/// How long files are collected.
const COLLECT: Duration = Duration::from_millis(200);
/// How often the syncer looks around when nobody wakes it.
const IDLE: Duration = Duration::from_secs(60);

static QUEUE: PgLwLock<Queue> = unsafe_queue();

#[derive(Clone, Copy)]
struct Entry {
    length: u16,
    path: [u8; PATH_BYTES],
}

#[derive(Clone, Copy)]
struct Queue {
    /// Whether files may be queued.
    collecting: bool,
    /// The syncer's latch, in shared memory; null while there is no syncer.
    latch: *mut pg_sys::Latch,
    count: usize,
    entries: [Entry; CAPACITY],
}

// SAFETY: plain data; the latch belongs to a PGPROC, which lies in shared memory at the same address
// in every process.
unsafe impl PGRXSharedMemory for Queue {}

impl Default for Queue {
    fn default() -> Self {
        let entry = Entry {
            length: 0,
            path: [0; PATH_BYTES],
        };
        Self {
            collecting: false,
            latch: std::ptr::null_mut(),
            count: 0,
            entries: [entry; CAPACITY],
        }
    }
}

const fn unsafe_queue() -> PgLwLock<Queue> {
    // SAFETY: no other lock has the name.
    unsafe { PgLwLock::new(c"pg_iceberg_sync_queue") }
}

/// Asks for shared memory and for the syncer; called once, from `_PG_init`.
#[expect(
    unexpected_cfgs,
    reason = "pgrx's macro asks for versions of PostgreSQL by features"
)]
pub fn register() {
    pg_shmem_init!(QUEUE = Queue::default());
    BackgroundWorkerBuilder::new("pg_iceberg syncer")
        .set_type("pg_iceberg syncer")
        .set_library("pg_iceberg_am")
        .set_function("pg_iceberg_syncer_main")
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(Duration::from_secs(5)))
        .enable_spi_access()
        .load();
}

/// Leaves the fsync of the files at `paths`, and of their directory entries, to the syncer. Returns
/// whether it took them; if not, the caller has to do it before it lets checkpoints go on.
///
/// The caller delays checkpoints.
pub fn leave_to_syncer(_delay: &DelayCheckpoint, paths: &[&str]) -> bool {
    if paths.iter().any(|path| path.len() > PATH_BYTES) {
        return false;
    }
    let mut queue = QUEUE.exclusive();
    if queue.collecting && queue.count + paths.len() <= CAPACITY {
        for path in paths {
            let at = queue.count;
            let entry = &mut queue.entries[at];
            entry.length = path.len() as u16;
            entry.path[..path.len()].copy_from_slice(path.as_bytes());
            queue.count += 1;
        }
        return true;
    }
    let latch = queue.latch;
    drop(queue);
    if !latch.is_null() {
        // SAFETY: the latch of a PGPROC, which stays one whoever owns it now.
        unsafe { pg_sys::SetLatch(latch) };
    }
    false
}

/// The syncer's main function.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_iceberg_syncer_main(_arg: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    BackgroundWorker::connect_worker_to_spi(None, None);
    // SAFETY: the process's own latch.
    QUEUE.exclusive().latch = unsafe { pg_sys::MyLatch };
    'serving: while BackgroundWorker::wait_latch(Some(IDLE)) {
        loop {
            match round() {
                Round::Idle => break,
                Round::Busy => {}
                Round::Terminated => break 'serving,
            }
        }
    }
    // A shutdown checkpoint follows. From now on backends sync for themselves.
    QUEUE.exclusive().latch = std::ptr::null_mut();
}

/// What came of a round.
enum Round {
    /// Nothing was queued.
    Idle,
    /// Files were synced; more are likely to come.
    Busy,
    /// The server shuts down.
    Terminated,
}

/// Collects for a while, then syncs.
fn round() -> Round {
    // SAFETY: outside of a transaction; it takes no snapshot, and gives the process the virtual
    // transaction id by which the checkpointer knows it.
    unsafe { pg_sys::StartTransactionCommand() };
    let delay = DelayCheckpoint::begin();
    QUEUE.exclusive().collecting = true;
    let goes_on = BackgroundWorker::wait_latch(Some(COLLECT));
    let paths = take_all();
    if let Err((path, error)) = sync_all(&paths) {
        // The kernel may have dropped what it could not write: only the log has it now.
        ereport!(
            PgLogLevel::PANIC,
            PgSqlErrorCode::ERRCODE_IO_ERROR,
            format!("could not sync \"{path}\": {error}")
        );
    }
    drop(delay);
    // SAFETY: ends the transaction begun above.
    unsafe { pg_sys::CommitTransactionCommand() };
    match (goes_on, paths.is_empty()) {
        (false, _) => Round::Terminated,
        (true, true) => Round::Idle,
        (true, false) => Round::Busy,
    }
}

/// Stops collecting and takes what was collected.
fn take_all() -> BTreeSet<String> {
    let mut queue = QUEUE.exclusive();
    queue.collecting = false;
    let count = std::mem::take(&mut queue.count);
    queue.entries[..count]
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.path[..entry.length.into()]).into_owned())
        .collect()
}

fn sync_all(paths: &BTreeSet<String>) -> Result<(), (String, io::Error)> {
    let mut directories = BTreeSet::new();
    for path in paths {
        sync_file(path).map_err(|error| (path.clone(), error))?;
        if let Some((directory, _)) = path.rsplit_once('/') {
            directories.insert(directory);
        }
    }
    for directory in directories {
        match file::fsync_directory(directory) {
            // Removed by a transaction that has committed or aborted since.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            result => result.map_err(|error| (directory.to_owned(), error))?,
        }
    }
    Ok(())
}

fn sync_file(path: &str) -> io::Result<()> {
    let name = CString::new(path).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
    // SAFETY: the name is terminated; the descriptor is owned at once.
    unsafe {
        let fd = pg_sys::BasicOpenFile(name.as_ptr(), libc::O_RDWR);
        if fd < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == ErrorKind::NotFound {
                Ok(())
            } else {
                Err(error)
            };
        }
        let _close = OwnedFd::from_raw_fd(fd);
        if pg_sys::pg_fsync(fd) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
