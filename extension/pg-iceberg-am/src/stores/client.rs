//! Asking the storage service.
//!
//! A thread has a connection of its own, which is made when it is first used. While the backend's thread waits for an
//! answer, it serves interrupts; other threads give up when the query is cancelled.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pg_lakebase_core::error::{PgError, PgResult, catch};
use pg_lakebase_core::wait_event::WaitEvent;
use pg_lakebase_core::{interrupt, thread};
use pg_lakebase_storage::client::{
    Client, ClientError, Interrupted, Interrupts, Result as ClientResult,
};
use pg_lakebase_storage::protocol::{Listed, MAX_LIST_PAGE, StoreId};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::presence::Patience;
use super::store::{Store, path};
use crate::error::StoreError;
use crate::storage_service::settings;

static WAITS: WaitEvent = WaitEvent::new(c"LakebaseStorageService");

thread_local! {
    static SERVICE: RefCell<Option<Service>> = const { RefCell::new(None) };
    /// Since when an answer is waited for; `None` while none is.
    static WAITS_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// What was raised while an answer was waited for.
    static RAISED: RefCell<Option<PgError>> = const { RefCell::new(None) };
}

/// A connection, and the stores that it has been told of.
struct Service {
    socket: PathBuf,
    client: Client<QueryInterrupts>,
    stores: BTreeSet<StoreId>,
}

/// Whether the query is to end.
pub struct QueryInterrupts;

impl Interrupts for QueryInterrupts {
    fn check(&mut self) -> Result<(), Interrupted> {
        if thread::is_backend() {
            let checked = catch(interrupt::check).and_then(|()| check_time());
            return checked.map_err(|error| {
                RAISED.set(Some(error));
                Interrupted
            });
        }
        // SAFETY: flags that signal handlers of the backend's thread set.
        let is_to_end = unsafe {
            (&raw const pg_sys::QueryCancelPending).read_volatile() != 0
                || (&raw const pg_sys::ProcDiePending).read_volatile() != 0
        };
        if is_to_end { Err(Interrupted) } else { Ok(()) }
    }
}

/// Has [`check_time`] count until it is dropped.
struct Waiting {
    /// Of a question during which this one is asked.
    before: Option<Instant>,
}

impl Waiting {
    fn begin() -> Self {
        Self {
            before: WAITS_SINCE.replace(Some(Instant::now())),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITS_SINCE.set(self.before);
    }
}

/// Fails when a store has kept the backend waiting for longer than a statement may take. PostgreSQL sees to that itself, but
/// at the end of a transaction: it has no `statement_timeout`, and for tables on local disk it takes no time.
fn check_time() -> PgResult<()> {
    // SAFETY: a setting of the session.
    let limit = unsafe { pg_sys::StatementTimeout };
    let limit = u64::try_from(limit).ok().filter(|limit| *limit > 0);
    let is_over = |limit| {
        WAITS_SINCE
            .get()
            .is_some_and(|since| since.elapsed() > limit)
    };
    match limit.map(Duration::from_millis) {
        Some(limit) if is_over(limit) => Err(PgError::new(
            PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
            "canceling statement due to statement timeout",
        )),
        _ => Ok(()),
    }
}

/// Asks the storage service for something of a store. If the service is lost, which the server then starts again, this asks a
/// second time.
pub fn ask<T>(
    store: &Store,
    mut work: impl FnMut(&mut Client<QueryInterrupts>) -> ClientResult<T>,
) -> Result<T, StoreError> {
    let is_backend = thread::is_backend();
    let _waiting = is_backend.then(|| WAITS.begin());
    let _since = is_backend.then(Waiting::begin);
    let patience = Patience::new();
    loop {
        if is_backend {
            patience.await_service().map_err(StoreError::Raised)?;
        }
        // Taken out meanwhile: serving interrupts may lead here again.
        let mut service = Service::current();
        let result = service.open(store).and_then(|()| work(&mut service.client));
        SERVICE.set(Some(service));
        match outcome(result) {
            Err(StoreError::Client(error)) if is_lost(&error) && !patience.is_over() => {
                Patience::pause();
                outcome(QueryInterrupts.check().map_err(ClientError::from))?;
            }
            outcome => return outcome,
        }
    }
}

/// Tells the storage service something that is not answered. That nobody is told is no error.
pub fn tell(
    store: &Store,
    work: impl FnOnce(&mut Client<QueryInterrupts>) -> ClientResult<()>,
) -> Result<(), StoreError> {
    let mut service = Service::current();
    let result = service.open(store).and_then(|()| work(&mut service.client));
    SERVICE.set(Some(service));
    match outcome(result) {
        Err(StoreError::Client(_)) => Ok(()),
        outcome => outcome,
    }
}

/// What a client with [`QueryInterrupts`] says, unless something was raised meanwhile: whatever came of that, it is not raised
/// again.
pub(super) fn outcome<T>(result: ClientResult<T>) -> Result<T, StoreError> {
    match RAISED.take() {
        Some(raised) => Err(StoreError::Raised(raised)),
        None => result.map_err(StoreError::Client),
    }
}

/// Whether the service was not there, or has gone: whoever runs it may be starting it again.
fn is_lost(error: &ClientError) -> bool {
    match error {
        // One that is not trusted is there. The kernel refuses also while the socket's directory is made anew.
        ClientError::Unreachable { source, .. } => {
            source.kind() != ErrorKind::PermissionDenied || source.raw_os_error().is_some()
        }
        ClientError::Disconnected { .. } => true,
        _ => false,
    }
}

impl Service {
    /// The connection of this thread, or a new one if there is none to this socket.
    fn current() -> Self {
        let config = settings::client();
        match SERVICE.take() {
            Some(service) if service.socket == config.socket => service,
            _ => Self {
                socket: config.socket.clone(),
                client: Client::new(config, QueryInterrupts),
                stores: BTreeSet::new(),
            },
        }
    }

    /// Makes a store known that is not. The client repeats it to a service that does not know it any more.
    fn open(&mut self, store: &Store) -> ClientResult<()> {
        let spec = store.spec();
        if !self.stores.contains(&spec.id) {
            self.client.open_store(spec.clone())?;
            self.stores.insert(spec.id.clone());
        }
        Ok(())
    }
}

/// The objects below a directory.
pub fn list(store: &Store, directory: &str) -> PgResult<Vec<Listed>> {
    let prefix = path(directory)?;
    ask(store, |client| client.list(&store.spec().id, Some(&prefix)))
        .map_err(StoreError::into_pg_error)
}

/// The same, a page at a time: there may be more than fit into memory.
pub fn list_pages(
    store: &Store,
    directory: &str,
    mut each: impl FnMut(Vec<Listed>),
) -> PgResult<()> {
    let prefix = path(directory)?;
    let mut token = None;
    loop {
        let page = ask(store, |client| {
            client.list_page(
                &store.spec().id,
                Some(&prefix),
                token.clone(),
                MAX_LIST_PAGE,
            )
        });
        let (objects, next) = page.map_err(StoreError::into_pg_error)?;
        each(objects);
        if next.is_none() {
            return Ok(());
        }
        token = next;
    }
}

/// Deletes objects; that one is gone already is no error.
pub fn delete<'a>(store: &Store, names: impl Iterator<Item = &'a str>) -> PgResult<()> {
    let objects = names
        .map(|name| store.object(name))
        .collect::<PgResult<Vec<_>>>()?;
    ask(store, |client| client.delete(&objects)).map_err(StoreError::into_pg_error)
}
