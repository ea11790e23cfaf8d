//! Who runs the service, and how it is, in shared memory.
//!
//! At the server's start, on standbys too, a background worker looks whether there is an object tablespace, and leaves its
//! place again ([`look`]). Where the service is needed it is a second worker, the *supervisor*, that runs it: it stays as
//! long as there may be object tablespaces, and there is one at most. Whoever needs the service has a supervisor started
//! if there is none ([`ensure_running`]), as on a standby to which the first object tablespace has just come.

use std::time::Duration;

use pg_lakebase_core::shmem::Message;
use pg_lakebase_core::xact::clock_timestamp;
use pgrx::bgworkers::{BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::{PGRXSharedMemory, PgLwLock, pg_guard, pg_shmem_init, pg_sys};

use super::settings::{self, Provider};
use crate::directory;

/// The name of either worker.
const WORKER: &str = "pg_lakebase storage service";
/// How soon the postmaster starts a supervisor again that has failed.
const PAUSE_AFTER_END: Duration = Duration::from_secs(1);
/// How long a supervisor that was asked for may take to begin, in microseconds.
const START: pg_sys::TimestampTz = 10_000_000;

// SAFETY: no other lock has the name.
static BOARD: PgLwLock<Board> = unsafe { PgLwLock::new(c"pg_lakebase_storage_service") };

/// Something that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: pg_sys::TimestampTz,
    /// Its message.
    pub message: Message,
}

/// How the service is that the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// There is no supervisor.
    Stopped,
    /// One was asked for, at this time.
    Asked(pg_sys::TimestampTz),
    /// The service is being started.
    Starting,
    /// It answers.
    Running,
    /// It has ended, and will be started again.
    Failed,
}

/// What is known of the service that the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// How it is.
    pub stage: Stage,
    /// Its process; 0 if there is none.
    pub pid: i32,
    /// When it was started.
    pub started: Option<pg_sys::TimestampTz>,
    /// How often it was started, since the server was.
    pub starts: i64,
    /// What has failed last.
    pub last_failure: Option<Failure>,
    /// The supervisor, and what wakes it.
    supervisor: i32,
    latch: *mut pg_sys::Latch,
    /// Whether it is to end.
    is_dismissed: bool,
    /// The process that looks for doubles; 0 if none does.
    looker: i32,
    /// Whether it is to look again.
    looks_again: bool,
}

// SAFETY: plain data; a latch belongs to a PGPROC, which lies in shared memory at the same address in every process.
unsafe impl PGRXSharedMemory for Board {}

impl Default for Board {
    fn default() -> Self {
        Self {
            stage: Stage::Stopped,
            pid: 0,
            started: None,
            starts: 0,
            last_failure: None,
            supervisor: 0,
            latch: std::ptr::null_mut(),
            is_dismissed: false,
            looker: 0,
            looks_again: false,
        }
    }
}

impl Board {
    /// Whether a supervisor has to be started, for somebody who needs the service.
    fn ask(&mut self, now: pg_sys::TimestampTz) -> bool {
        self.is_dismissed = false;
        match self.stage {
            Stage::Stopped => true,
            Stage::Asked(since) => now.saturating_sub(since) > START,
            Stage::Starting | Stage::Running | Stage::Failed => false,
        }
    }

    /// Whether it is the server that runs the service, and somebody may need it.
    fn is_wanted(&self) -> bool {
        match settings::provider() {
            Provider::Server => true,
            Provider::ServerIfNeeded => !self.is_dismissed,
            Provider::Nobody | Provider::Other(_) => false,
        }
    }

    fn note_failure(&mut self, at: pg_sys::TimestampTz, message: &str) {
        self.stage = Stage::Failed;
        self.pid = 0;
        self.last_failure = Some(Failure {
            at,
            message: Message::new(message),
        });
    }
}

/// Asks for shared memory and the look at the server's start; called once, from `_PG_init`.
#[expect(
    unexpected_cfgs,
    reason = "pgrx's macro asks for versions of PostgreSQL by features"
)]
pub fn register() {
    pg_shmem_init!(BOARD = Board::default());
    if is_servers() {
        looker().load();
    }
}

/// Whether it is the server that runs the service, when it is needed.
fn is_servers() -> bool {
    !directory::upgrade::is_running()
        && matches!(
            settings::provider(),
            Provider::Server | Provider::ServerIfNeeded
        )
}

fn looker() -> BackgroundWorkerBuilder {
    worker("pg_lakebase_storage_look_main").set_restart_time(None)
}

fn worker(function: &str) -> BackgroundWorkerBuilder {
    BackgroundWorkerBuilder::new(WORKER)
        .set_library("pg_iceberg_am")
        .set_function(function)
        .enable_spi_access()
        .set_start_time(BgWorkerStartTime::ConsistentState)
}

/// Has a worker look whether the server's own service is needed, start it or stop it, and look for doubles.
pub fn look() {
    let has_service = !matches!(settings::provider(), Provider::Nobody);
    if has_service && !directory::upgrade::is_running() {
        // Where there is no room for it, all stays as it is until somebody needs the service, or looks again.
        let _ = looker().load_dynamic();
    }
}

/// Has a supervisor run the service, if it is the server that does. Returns whether one does, or will: if not,
/// `max_worker_processes` are in use.
pub fn ensure_running() -> bool {
    if !is_servers() {
        return false;
    }
    let now = clock_timestamp();
    let mut board = BOARD.exclusive();
    if !board.ask(now) {
        return true;
    }
    let supervisor =
        worker("pg_lakebase_storage_service_main").set_restart_time(Some(PAUSE_AFTER_END));
    let starts = supervisor.load_dynamic().is_ok();
    if starts {
        board.stage = Stage::Asked(now);
    }
    starts
}

/// Why there is no service that could be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The configuration says so.
    IsOff,
    /// `max_worker_processes` are in use.
    NoRoom,
}

/// Has the service started if the server runs it, and tells whether it answers by now.
pub fn is_there() -> Result<bool, Absence> {
    match settings::provider() {
        Provider::Other(_) => return Ok(true),
        Provider::Nobody => return Err(Absence::IsOff),
        Provider::Server | Provider::ServerIfNeeded => {}
    }
    if directory::upgrade::is_running() {
        return Err(Absence::IsOff);
    }
    let board = read();
    match board.stage {
        Stage::Running if !board.is_dismissed => Ok(true),
        // It is about to stop, or goes on.
        Stage::Running => {
            ensure_running();
            Ok(false)
        }
        Stage::Starting | Stage::Failed => Ok(false),
        Stage::Stopped | Stage::Asked(_) if ensure_running() => Ok(false),
        Stage::Stopped | Stage::Asked(_) => Err(Absence::NoRoom),
    }
}

/// Whether it answers by now; nothing is done for that. Of somebody else's service that is supposed.
pub fn answers() -> bool {
    match settings::provider() {
        Provider::Other(_) => true,
        Provider::Nobody => false,
        Provider::Server | Provider::ServerIfNeeded => read().stage == Stage::Running,
    }
}

/// What has failed last.
pub fn last_failure() -> Option<String> {
    read().last_failure.map(|failure| failure.message.text())
}

/// Tells the supervisor that there are no object tablespaces any more. Whoever makes one cannot do it at the same time.
pub fn dismiss() {
    if settings::provider() != Provider::ServerIfNeeded {
        return;
    }
    let mut board = BOARD.exclusive();
    board.is_dismissed = true;
    if !board.latch.is_null() {
        // SAFETY: the latch of a process that holds its place: it gives it back before it ends.
        unsafe { pg_sys::SetLatch(board.latch) };
    }
}

/// What is known of the service.
pub fn read() -> Board {
    *BOARD.share()
}

/// A hold on the place of who looks for doubles: several at a time would find no more, and each of them may have to wait for a store.
pub struct Looking(());

impl Looking {
    /// Takes the place. `None` if somebody has it, who looks again then. Whatever ends the process, it is given back.
    pub fn begin() -> Option<Self> {
        let mut board = BOARD.exclusive();
        if board.looker != 0 {
            board.looks_again = true;
            return None;
        }
        // SAFETY: the process's own number.
        board.looker = unsafe { pg_sys::MyProcPid };
        board.looks_again = false;
        drop(board);
        // SAFETY: the function is that of a library that stays loaded.
        unsafe { pg_sys::before_shmem_exit(Some(stop_looking), pg_sys::Datum::from(0)) };
        Some(Self(()))
    }

    /// Whether to look again, since somebody has asked for it; if not, the place is given back.
    pub fn goes_on(&self) -> bool {
        let mut board = BOARD.exclusive();
        let goes_on = std::mem::take(&mut board.looks_again);
        if !goes_on {
            board.looker = 0;
        }
        goes_on
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn stop_looking(_code: std::ffi::c_int, _argument: pg_sys::Datum) {
    let mut board = BOARD.exclusive();
    // SAFETY: the process's own number.
    if board.looker == unsafe { pg_sys::MyProcPid } {
        board.looker = 0;
    }
}

/// The supervisor's hold on its place.
pub struct Supervisor(());

impl Supervisor {
    /// Takes the place, unless somebody has it. Whatever ends the process, it is given back.
    pub fn take() -> Option<Self> {
        let mut board = BOARD.exclusive();
        if board.supervisor != 0 {
            return None;
        }
        // SAFETY: the process's own number and latch.
        unsafe {
            board.supervisor = pg_sys::MyProcPid;
            board.latch = pg_sys::MyLatch;
        }
        board.stage = Stage::Starting;
        drop(board);
        // SAFETY: the function is that of a library that stays loaded.
        unsafe { pg_sys::before_shmem_exit(Some(give_back), pg_sys::Datum::from(0)) };
        Some(Self(()))
    }

    /// Whether it is to go on: it is the server that runs the service, and somebody may need it. If not, the service does
    /// not count as running from here on.
    pub fn is_needed(&self) -> bool {
        let mut board = BOARD.exclusive();
        let is_needed = board.is_wanted();
        if !is_needed {
            board.stage = Stage::Starting;
        }
        is_needed
    }

    /// Gives the place back, unless the service is needed again.
    pub fn leave(&self) -> bool {
        let mut board = BOARD.exclusive();
        let leaves = !board.is_wanted();
        if leaves {
            vacate(&mut board);
        }
        leaves
    }

    /// Notes that the service was started.
    pub fn note_start(&self, pid: i32) {
        let now = clock_timestamp();
        let mut board = BOARD.exclusive();
        board.stage = Stage::Starting;
        board.pid = pid;
        board.started = Some(now);
        board.starts += 1;
    }

    /// Notes that it answers.
    pub fn note_running(&self) {
        BOARD.exclusive().stage = Stage::Running;
    }

    /// Notes that it has ended, or could not be started.
    pub fn note_failure(&self, message: &str) {
        BOARD.exclusive().note_failure(clock_timestamp(), message);
    }

    /// Notes that it is about to be stopped, to be started again at once.
    pub fn note_stop(&self) {
        BOARD.exclusive().stage = Stage::Starting;
    }

    /// Notes that it has stopped.
    pub fn note_end(&self) {
        BOARD.exclusive().pid = 0;
    }
}

fn vacate(board: &mut Board) {
    board.stage = Stage::Stopped;
    board.pid = 0;
    board.supervisor = 0;
    board.latch = std::ptr::null_mut();
    board.is_dismissed = false;
}

/// When the supervisor's process exits.
#[pg_guard]
unsafe extern "C-unwind" fn give_back(_code: std::ffi::c_int, _argument: pg_sys::Datum) {
    let mut board = BOARD.exclusive();
    // SAFETY: the process's own number.
    if board.supervisor == unsafe { pg_sys::MyProcPid } {
        vacate(&mut board);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn one_supervisor_is_asked_for_until_it_had_its_time() {
        let mut board = Board::default();
        assert!(board.ask(0));
        board.stage = Stage::Asked(0);
        assert!(!board.ask(START));
        assert!(board.ask(START + 1));
        board.stage = Stage::Running;
        assert!(!board.ask(START + 1));
    }

    #[test]
    fn who_asks_keeps_a_supervisor_from_leaving() {
        let mut board = Board {
            stage: Stage::Running,
            is_dismissed: true,
            ..Board::default()
        };
        assert!(!board.ask(0));
        assert!(!board.is_dismissed);
    }

    #[test]
    fn a_failure_is_remembered_while_the_service_is_started_again() {
        let mut board = Board::default();
        board.note_failure(7, "no such program");
        assert_eq!(board.stage, Stage::Failed);
        board.stage = Stage::Running;
        let failure = board.last_failure.unwrap();
        assert_eq!(
            (failure.at, failure.message.text().as_str()),
            (7, "no such program")
        );
    }
}
