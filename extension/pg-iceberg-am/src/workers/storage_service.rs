//! The workers of the storage service: one that looks whether it is needed, and one that runs it. See
//! [`crate::storage_service`].

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use pg_lakebase_core::wait_event::WaitEvent;
use pg_lakebase_core::{background, wal as core_wal};
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::storage_service::daemon::{Daemon, Invocation, describe};
use crate::storage_service::settings::{self, Provider};
use crate::storage_service::supervision::{self, Looking, Supervisor};
use crate::storage_service::{Backoff, Life, place};
use crate::stores::{self, Store};
use crate::tablespaces::catalog::{
    has_object_tablespaces, lock_against_changes, object_tablespaces,
};

static IDLE: WaitEvent = WaitEvent::new(c"LakebaseStorageServiceMain");

/// How often the supervisor looks around when nothing happens.
const LOOK: Duration = Duration::from_secs(60);
/// How often it looks whether the service answers while it starts.
const START_LOOK: Duration = Duration::from_millis(20);

/// The main function of the worker that looks at the server's start, when the configuration has changed, and after
/// statements that make or drop object tablespaces, whether the service is needed; and from time to time whether another
/// server has the identity of this one. Tablespaces are in a catalog, and a catalog can be read in a database only:
/// template0, which is there in every cluster, and which others may copy meanwhile.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_lakebase_storage_look_main(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGTERM);
    let provider = settings::provider();
    match provider {
        Provider::Nobody => return,
        Provider::Server => start(),
        Provider::ServerIfNeeded | Provider::Other(_) => {}
    }
    background::give_way();
    // SAFETY: called once, in a background worker that asked for a connection.
    unsafe {
        pg_sys::BackgroundWorkerInitializeConnectionByOid(
            pg_sys::Template0DbOid.into(),
            pg_sys::InvalidOid,
            pg_sys::BGWORKER_BYPASS_ALLOWCONN,
        );
    }
    // Who makes a tablespace, or a store that does not answer, may keep this waiting.
    background::count_for_no_database();
    // The log says what has failed.
    if provider == Provider::ServerIfNeeded {
        let _ = background::in_transaction(|| {
            lock_against_changes();
            match has_object_tablespaces() {
                true => start(),
                false => supervision::dismiss(),
            }
            Ok(())
        });
    }
    // One at a time, which looks again if somebody asks for that meanwhile.
    if let Some(looking) = Looking::begin() {
        loop {
            look_for_doubles();
            if !looking.goes_on() {
                return;
            }
        }
    }
}

/// Looks whether another server has the identity of this one, which may have been idle since it was copied. A store that
/// fails, or does not answer, keeps it from none of the others; the log says why.
fn look_for_doubles() {
    if core_wal::in_recovery() {
        return;
    }
    let tablespaces = background::in_transaction(|| Ok(object_tablespaces()));
    for tablespace in tablespaces.into_iter().flatten() {
        let _ = background::in_transaction(|| match Store::of(tablespace.to_u32())? {
            Some(store) => stores::look_for_doubles(&store),
            None => Ok(()),
        });
    }
}

fn start() {
    if !supervision::ensure_running() {
        pgrx::log!("there is no background worker left for the storage service");
    }
}

/// The supervisor's main function.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_lakebase_storage_service_main(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    // For pg_stat_activity and pg_terminate_backend.
    BackgroundWorker::connect_worker_to_spi(None, None);
    let Some(supervisor) = Supervisor::take() else {
        return;
    };
    let mut service = Service::new(&supervisor);
    loop {
        while supervisor.is_needed() && !background::is_to_end() {
            let pause = service.go_on();
            IDLE.wait(service.log(), pause);
            if background::reload_configuration_if_asked() {
                service.reload();
            }
        }
        service.stop();
        if background::is_to_end() {
            // SAFETY: ends the process. The postmaster starts another one, unless the server is being shut down, because
            // of the code.
            unsafe { pg_sys::proc_exit(1) }
        }
        if supervisor.leave() {
            return;
        }
    }
}

/// The service, as the supervisor sees it.
struct Service<'a> {
    supervisor: &'a Supervisor,
    state: State,
    backoff: Backoff,
}

enum State {
    /// It is to be started then.
    NotBefore(Instant),
    /// It runs.
    Runs {
        daemon: Daemon,
        invocation: Invocation,
        answers: bool,
        /// Of its log.
        last_error: Option<String>,
    },
}

impl<'a> Service<'a> {
    fn new(supervisor: &'a Supervisor) -> Self {
        Self {
            supervisor,
            state: State::NotBefore(Instant::now()),
            backoff: Backoff::default(),
        }
    }

    /// What can be read when something has happened to it.
    fn log(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        match &self.state {
            State::Runs { daemon, .. } => daemon.log(),
            State::NotBefore(_) => None,
        }
    }

    /// Does what there is to do, and returns when to come again at the latest.
    fn go_on(&mut self) -> Duration {
        match &mut self.state {
            State::NotBefore(time) => {
                let left = time.saturating_duration_since(Instant::now());
                if left.is_zero() { self.start() } else { left }
            }
            State::Runs {
                daemon,
                answers,
                last_error,
                ..
            } => {
                daemon.read_log(|line| note(last_error, line));
                if let Some(status) = daemon.ended() {
                    daemon.read_log(|line| note(last_error, line));
                    let mut what = format!("the storage service {}", describe(status));
                    if let Some(error) = last_error.take() {
                        what = format!("{what}: {error}");
                    }
                    let life = match *answers {
                        true => Life::Of(daemon.age()),
                        false => Life::Futile,
                    };
                    return self.fail(&what, life);
                }
                if !*answers && UnixStream::connect(place::socket()).is_ok() {
                    *answers = true;
                    self.supervisor.note_running();
                }
                // Nothing can be read any more: it is about to end.
                match *answers && daemon.log().is_some() {
                    true => LOOK,
                    false => START_LOOK,
                }
            }
        }
    }

    fn start(&mut self) -> Duration {
        let invocation = Invocation::configured();
        match Daemon::start(&invocation) {
            Ok(daemon) => {
                self.supervisor.note_start(daemon.pid());
                self.state = State::Runs {
                    daemon,
                    invocation,
                    answers: false,
                    last_error: None,
                };
                START_LOOK
            }
            Err(error) => self.fail(&error, Life::Futile),
        }
    }

    /// Notes a failure after such a life, and returns how long to wait before the next one.
    fn fail(&mut self, what: &str, life: Life) -> Duration {
        pgrx::log!("{what}");
        self.supervisor.note_failure(what);
        let pause = self.backoff.after(life);
        self.state = State::NotBefore(Instant::now() + pause);
        pause
    }

    /// Goes by the new configuration: what is not among its arguments the service reads itself.
    fn reload(&mut self) {
        match &self.state {
            State::NotBefore(_) => self.state = State::NotBefore(Instant::now()),
            State::Runs {
                daemon, invocation, ..
            } => {
                if *invocation == Invocation::configured() {
                    daemon.signal(libc::SIGHUP);
                } else {
                    self.stop();
                }
            }
        }
    }

    fn stop(&mut self) {
        let before = std::mem::replace(&mut self.state, State::NotBefore(Instant::now()));
        if let State::Runs { daemon, .. } = before {
            self.supervisor.note_stop();
            daemon.stop(tell);
            self.supervisor.note_end();
        }
    }
}

/// Writes a line of its log into the server's, and remembers it if it tells of an error.
fn note(last_error: &mut Option<String>, line: &str) {
    tell(line);
    if let Some(error) = line.trim().strip_prefix("ERROR ") {
        *last_error = Some(error.trim_start().to_owned());
    }
}

/// Writes a line of its log into the server's.
fn tell(line: &str) {
    let line = line.trim();
    match line.split_once(' ') {
        Some(("DEBUG" | "TRACE", rest)) => pgrx::debug1!("storage service: {}", rest.trim_start()),
        Some(("INFO", rest)) => pgrx::log!("storage service: {}", rest.trim_start()),
        _ if line.is_empty() => {}
        _ => pgrx::log!("storage service: {line}"),
    }
}
