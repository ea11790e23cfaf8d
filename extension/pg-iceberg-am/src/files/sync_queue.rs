//! Files whose fsync can wait.
//!
//! What is in the write-ahead log need not be on disk otherwise until a checkpoint moves the log's redo
//! pointer past it. So a small transaction leaves the fsync of its files to a background worker, the
//! syncer, which does many at a time, and waits for nothing but its log record, as a transaction on heap
//! tables does.
//!
//! The protocol. There are two syncers, each with a queue of its own. One of them *collects*: it delays
//! the completion of checkpoints ([`DelayCheckpoint`]), so files may be put into its queue. A backend
//! delays checkpoints itself from before it inserts the log record until its files are queued, or, if
//! no syncer may take them, until it has synced them itself ([`Handover`]). After a while the other
//! syncer takes over: it delays checkpoints and collects from then on, while the first one syncs all there
//! is in its queue and ends its transaction, which lets a checkpoint that has waited go on. A file is
//! therefore durable before any checkpoint completes whose redo pointer lies behind the file's record.
//!
//! A checkpoint waits only for those whom it finds when it looks around, once, after it has chosen its redo
//! pointer (`GetVirtualXIDsDelayingChkpt`). So files may be left only to a syncer that collected before their
//! record was inserted, in the turn it had then: one that began later may have been missed, and whoever
//! leaves files to it is no longer there to be waited for.
//!
//! For recovery, which has no syncers, whoever has synced files says so in the log before it lets
//! checkpoints go on. Redo keeps files unsynced until then: they are durable before it comes to the record
//! of any such checkpoint, and so before a restartpoint.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use pg_lakebase_core::interrupt;
use pg_lakebase_core::wal::DelayCheckpoint;
use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init, pg_sys};

use crate::directory::durable;
use crate::wal;

/// Syncers.
const SYNCERS: usize = 2;
/// Files that can wait for one of them.
const CAPACITY: usize = 2048;
/// Bytes of a path, below the data directory, that can wait.
const PATH_BYTES: usize = 190;
/// How long a syncer collects before the other one is asked to take over.
const COLLECT: Duration = Duration::from_millis(200);
/// How often a syncer looks around when nobody wakes it.
const IDLE: Duration = Duration::from_secs(60);

// SAFETY: no other lock has the name.
static QUEUE: PgLwLock<Queue> = unsafe { PgLwLock::new(c"pg_iceberg_sync_queue") };

#[derive(Clone, Copy)]
struct Entry {
    length: u16,
    path: [u8; PATH_BYTES],
}

#[derive(Clone, Copy)]
struct Syncer {
    /// Its latch, in shared memory; null while it does not run.
    latch: *mut pg_sys::Latch,
    /// How often it has begun to collect.
    turn: u64,
    /// Whether files can be put into its queue: from the beginning of its turn until it takes them all.
    is_open: bool,
    count: usize,
    entries: [Entry; CAPACITY],
}

#[derive(Clone, Copy)]
struct Queue {
    /// The syncer whose queue may be put into.
    collecting: Option<usize>,
    syncers: [Syncer; SYNCERS],
}

// SAFETY: plain data; a latch belongs to a PGPROC, which lies in shared memory at the same address in
// every process.
unsafe impl PGRXSharedMemory for Queue {}

impl Default for Queue {
    fn default() -> Self {
        let entry = Entry {
            length: 0,
            path: [0; PATH_BYTES],
        };
        let syncer = Syncer {
            latch: std::ptr::null_mut(),
            turn: 0,
            is_open: false,
            count: 0,
            entries: [entry; CAPACITY],
        };
        Self {
            collecting: None,
            syncers: [syncer; SYNCERS],
        }
    }
}

impl Queue {
    /// Wakes a syncer, if it runs.
    fn wake(&self, syncer: usize) {
        let latch = self.syncers[syncer].latch;
        if !latch.is_null() {
            // SAFETY: the latch of a PGPROC, which stays one whoever owns it now.
            unsafe { pg_sys::SetLatch(latch) };
        }
    }

    /// Has `syncer` collect from now on. Returns who did before.
    fn begin_turn(&mut self, syncer: usize) -> Option<usize> {
        self.syncers[syncer].turn += 1;
        self.syncers[syncer].is_open = true;
        self.collecting.replace(syncer)
    }

    /// Who collects now.
    fn collector(&self) -> Option<Collector> {
        self.collecting.map(|syncer| Collector {
            syncer,
            turn: self.syncers[syncer].turn,
        })
    }

    /// Puts files into the queue of `collector`; whether its turn lasts and there is room.
    fn put(&mut self, collector: Collector, paths: &[&str]) -> bool {
        let syncer = &mut self.syncers[collector.syncer];
        if syncer.turn != collector.turn
            || !syncer.is_open
            || syncer.count + paths.len() > CAPACITY
            || paths.iter().any(|path| path.len() > PATH_BYTES)
        {
            return false;
        }
        for path in paths {
            let entry = &mut syncer.entries[syncer.count];
            entry.length = path.len() as u16;
            entry.path[..path.len()].copy_from_slice(path.as_bytes());
            syncer.count += 1;
        }
        true
    }

    /// Takes what `syncer` has collected, and ends its turn.
    fn take_all(&mut self, syncer: usize) -> BTreeSet<String> {
        let syncer = &mut self.syncers[syncer];
        syncer.is_open = false;
        let count = std::mem::take(&mut syncer.count);
        syncer.entries[..count]
            .iter()
            .map(|entry| String::from_utf8_lossy(&entry.path[..entry.length.into()]).into_owned())
            .collect()
    }
}

/// A syncer that collects, in one of its turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Collector {
    syncer: usize,
    turn: u64,
}

/// Asks for shared memory and for the syncers; called once, from `_PG_init`.
#[expect(
    unexpected_cfgs,
    reason = "pgrx's macro asks for versions of PostgreSQL by features"
)]
pub fn register() {
    pg_shmem_init!(QUEUE = Queue::default());
    for syncer in 0..SYNCERS {
        BackgroundWorkerBuilder::new(&format!("pg_iceberg syncer {}", syncer + 1))
            .set_type("pg_iceberg syncer")
            .set_library("pg_iceberg_am")
            .set_function("pg_iceberg_syncer_main")
            .set_argument((syncer as i32).into_datum())
            .set_start_time(BgWorkerStartTime::RecoveryFinished)
            .set_restart_time(Some(Duration::from_secs(5)))
            .enable_spi_access()
            .load();
    }
}

/// A backend's hold on checkpoints while it logs files and then leaves their fsync to a syncer, or syncs
/// them itself.
#[must_use = "checkpoints are held off until this is dropped"]
pub struct Handover {
    delay: DelayCheckpoint,
    collector: Option<Collector>,
}

impl Handover {
    /// Begins to hold checkpoints off; before the files' log record is inserted.
    pub fn begin() -> Self {
        let delay = DelayCheckpoint::begin();
        Self {
            collector: QUEUE.share().collector(),
            delay,
        }
    }

    /// What holds checkpoints off.
    pub fn delay(&self) -> &DelayCheckpoint {
        &self.delay
    }

    /// Leaves the fsync of the files at `paths`, and of their directory entries, to the syncer. Returns
    /// whether it took them; if not, the caller has to do it before it lets checkpoints go on.
    pub fn leave_to_syncer(&self, paths: &[&str]) -> bool {
        let mut queue = QUEUE.exclusive();
        match self.collector {
            Some(collector) => queue.put(collector, paths),
            None => {
                if queue.collecting.is_none() {
                    queue.wake(0);
                }
                false
            }
        }
    }
}

/// What a syncer does, the one of this number, until the server stops.
pub fn serve(number: usize) {
    let me = number % SYNCERS;
    // SAFETY: the process's own latch.
    QUEUE.exclusive().syncers[me].latch = unsafe { pg_sys::MyLatch };
    while BackgroundWorker::wait_latch(Some(IDLE)) && collect_and_sync(me) {}
    // A shutdown checkpoint follows. From now on backends sync for themselves.
    QUEUE.exclusive().syncers[me].latch = std::ptr::null_mut();
}

/// Collects until there is nothing to collect or the other syncer has taken over, then syncs. Returns
/// whether to go on.
fn collect_and_sync(me: usize) -> bool {
    // SAFETY: outside of a transaction; it takes no snapshot, and gives the process the virtual
    // transaction id by which the checkpointer knows it.
    unsafe { pg_sys::StartTransactionCommand() };
    let delay = DelayCheckpoint::begin();
    // Cancelling, time limits and termination wait until the files are synced.
    let held = interrupt::hold();
    let promise = Promise;
    take_over(me);
    let began = Instant::now();
    let mut goes_on = true;
    while is_collecting(me) {
        goes_on = BackgroundWorker::wait_latch(Some(COLLECT));
        if !goes_on {
            stop_collecting(me);
        } else if began.elapsed() >= COLLECT {
            ask_other(me);
        }
    }
    let paths = QUEUE.exclusive().take_all(me);
    if let Err((path, error)) = durable::sync_all(&paths) {
        // The kernel may have dropped what it could not write: only the log has it now.
        ereport!(
            PgLogLevel::PANIC,
            PgSqlErrorCode::ERRCODE_IO_ERROR,
            format!("could not sync \"{path}\": {error}")
        );
    }
    if !paths.is_empty() {
        wal::sync_files();
    }
    drop(promise);
    drop(held);
    drop(delay);
    // SAFETY: ends the transaction begun above.
    unsafe { pg_sys::CommitTransactionCommand() };
    // What was held off: DROP DATABASE waits until every process has closed its files.
    interrupt::check();
    goes_on
}

/// Stands for the files that a syncer has taken. Should it fail while it has them, only recovery from the
/// log can bring them back.
struct Promise;

impl Drop for Promise {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// Begins to collect; whoever did is woken to sync.
fn take_over(me: usize) {
    let mut queue = QUEUE.exclusive();
    if let Some(before) = queue.begin_turn(me)
        && before != me
    {
        queue.wake(before);
    }
}

fn is_collecting(me: usize) -> bool {
    QUEUE.share().collecting == Some(me)
}

fn stop_collecting(me: usize) {
    let mut queue = QUEUE.exclusive();
    queue.collecting.take_if(|collecting| *collecting == me);
}

/// Asks the other syncer to take over; stops collecting when there is nothing to take over.
fn ask_other(me: usize) {
    let mut queue = QUEUE.exclusive();
    if queue.collecting != Some(me) {
        return;
    }
    let other = (me + 1) % SYNCERS;
    if queue.syncers[me].count == 0 || queue.syncers[other].latch.is_null() {
        queue.collecting = None;
    } else {
        queue.wake(other);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const PATH: &str = "base/5/iceberg_16384/metadata/a.avro";

    /// Runs `test` on an empty queue in which syncer 0 has begun to collect. The queue takes more of a stack
    /// than a test's thread has.
    fn with_queue(test: impl FnOnce(&mut Queue, Collector) + Send + 'static) {
        let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(|| {
            let mut queue = Queue::default();
            assert_eq!(queue.begin_turn(0), None);
            let collector = queue.collector().unwrap();
            test(&mut queue, collector);
        });
        thread.unwrap().join().unwrap();
    }

    #[test]
    fn files_are_left_to_who_collected_before_they_were_logged() {
        with_queue(|queue, known| {
            assert!(queue.put(known, &[PATH]));
            // The other one has taken over; the first has not synced yet, and still holds checkpoints off.
            assert_eq!(queue.begin_turn(1), Some(0));
            assert!(queue.put(known, &["base/5/iceberg_16384/metadata/b.avro"]));
            assert_eq!(queue.take_all(0).len(), 2);
            assert!(queue.take_all(1).is_empty());
        });
    }

    /// A checkpoint that looked around before the second syncer began to collect does not wait for it: it
    /// would complete without the file, whose record lies before its redo pointer.
    #[test]
    fn files_are_not_left_to_who_began_to_collect_after_they_were_logged() {
        with_queue(|queue, known| {
            queue.begin_turn(1);
            queue.take_all(0);
            assert!(!queue.put(known, &[PATH]));
            // Nor in a later turn of the same syncer.
            queue.take_all(1);
            queue.begin_turn(0);
            assert!(!queue.put(known, &[PATH]));
            assert!(queue.take_all(0).is_empty());
        });
    }

    #[test]
    fn files_that_do_not_fit_are_not_left() {
        with_queue(|queue, known| {
            assert!(!queue.put(known, &[&"x".repeat(PATH_BYTES + 1)]));
            assert!(queue.put(known, &vec![PATH; CAPACITY]));
            assert!(!queue.put(known, &[PATH]));
        });
    }
}
