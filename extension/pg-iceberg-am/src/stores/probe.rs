//! Trying a store out, before a tablespace means it: what is wrong with it is told to who names it, and not to who first
//! writes a table there.

use std::io;
use std::time::Duration;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::wait_event::WaitEvent;
use pg_lakebase_storage::client::{Client, ClientError, Put};
use pg_lakebase_storage::protocol::{ByteRange, FailureCode, ObjectRef, StoreId, StoreSpec};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::client::{QueryInterrupts, outcome};
use super::contents::in_memory;
use super::presence::Patience;
use super::store::{invalid, path};
use crate::error::StoreError;
use crate::storage_service::settings;
use crate::tablespaces::StoreOptions;

static WAITS: WaitEvent = WaitEvent::new(c"LakebaseStoreProbe");

/// How long each request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// What is written, and what is not to take its place.
const CONTENTS: [&str; 2] = ["a probe", "another"];
/// How to do without.
const HINT: &str = "With probe = off the store is not tried.";

/// Writes, reads, lists and deletes a small object in the store that these options mean, as tables would have it done.
///
/// # Errors
/// What the store does not let be done, and why; and what interrupts raise.
pub fn probe(options: &StoreOptions, tablespace: &str) -> PgResult<()> {
    let _waiting = WAITS.begin();
    Patience::new().await_service()?;
    let mut probe = Probe::new(options)?;
    let mut result = probe.run();
    if !matches!(result, Err(Failure::Of(_, StoreError::Raised(_)))) {
        // Of no use to anybody any more; where this fails, the next probe does it.
        if let Err(raised @ StoreError::Raised(_)) = probe.close() {
            result = Err(of("close")(raised));
        }
    }
    result.map_err(|failure| failure.into_pg_error(tablespace))
}

struct Probe {
    client: Client<QueryInterrupts>,
    /// The store, with a prefix of the probe's own: nothing else is there, and nothing else is cached of it.
    spec: StoreSpec,
    object: ObjectRef,
}

/// Why a store is of no use.
enum Failure {
    /// This could not be done.
    Of(&'static str, StoreError),
    /// It answers, but not as it should.
    Wrong(&'static str),
}

impl Probe {
    fn new(options: &StoreOptions) -> PgResult<Self> {
        let mut config = settings::client();
        config.limit = |_| LIMIT;
        let mut spec = options.spec(own_id()?);
        let directory = format!("pg_lakebase_probe/{}", uuid::Uuid::new_v4().simple());
        let prefix = match spec.options.get("prefix") {
            Some(prefix) => format!("{prefix}/{directory}"),
            None => directory,
        };
        spec.options.insert("prefix".to_owned(), prefix);
        Ok(Self {
            client: Client::new(config, QueryInterrupts),
            object: ObjectRef {
                store: spec.id.clone(),
                path: path("object")?,
            },
            spec,
        })
    }

    fn run(&mut self) -> Result<(), Failure> {
        let [content, other] = CONTENTS;
        // A cancelled probe of the same backend may have left another store under the name.
        (self.close().and_then(|()| self.open())).map_err(of("open"))?;
        self.write(content).map_err(of("write to"))?;
        let result = self.use_what_is_written(content, other);
        if matches!(result, Err(Failure::Of(_, StoreError::Raised(_)))) {
            return result;
        }
        let deleted = self.delete().map_err(of("delete objects from"));
        result.and(deleted)
    }

    fn use_what_is_written(&mut self, content: &str, other: &str) -> Result<(), Failure> {
        match self.write(other) {
            Err(error) if error.is(FailureCode::Exists) => {}
            Ok(()) => {
                return Err(Failure::Wrong(
                    "It overwrites an object that is to be written only where there is none (If-None-Match).",
                ));
            }
            Err(error) => return Err(Failure::Of("write to", error)),
        }
        if self.read().map_err(of("read from"))? != content.as_bytes() {
            return Err(Failure::Wrong("It does not give what was written."));
        }
        if !self.is_listed().map_err(of("list the objects of"))? {
            return Err(Failure::Wrong("It does not list what was written."));
        }
        Ok(())
    }

    fn open(&mut self) -> Result<(), StoreError> {
        outcome(self.client.open_store(self.spec.clone()))
    }

    fn close(&mut self) -> Result<(), StoreError> {
        outcome(self.client.close_store(&self.object.store))
    }

    /// Writes the object unless there is one.
    fn write(&mut self, content: &str) -> Result<(), StoreError> {
        let failed = |error: io::Error| {
            StoreError::Raised(PgError::file_access("write", "memory for a probe", &error))
        };
        let file = in_memory(content.as_bytes()).map_err(failed)?;
        let put = Put::new(&self.object, &file, content.len() as u64).map_err(failed)?;
        outcome(self.client.put(&[put])).map(drop)
    }

    /// Reads it from the store: what was written is in the service's cache, until the store is closed.
    fn read(&mut self) -> Result<Vec<u8>, StoreError> {
        self.close()?;
        self.open()?;
        let whole = ByteRange {
            offset: 0,
            length: CONTENTS[0].len() as u64,
        };
        let file = outcome(self.client.want(&self.object, None, &[whole]))?;
        let mut bytes = vec![0; file.size().min(whole.length) as usize];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(bytes),
            Err(_) => Ok(Vec::new()),
        }
    }

    fn is_listed(&mut self) -> Result<bool, StoreError> {
        let page = (self.client).list_page(&self.object.store, None, None, 10);
        let (objects, _) = outcome(page)?;
        Ok(objects
            .iter()
            .any(|listed| listed.meta.path == self.object.path))
    }

    fn delete(&mut self) -> Result<(), StoreError> {
        outcome(self.client.delete(std::slice::from_ref(&self.object)))
    }
}

impl Failure {
    fn into_pg_error(self, tablespace: &str) -> PgError {
        match self {
            Self::Wrong(detail) => PgError::new(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                format!("the store of tablespace \"{tablespace}\" cannot be used"),
            )
            .with_detail(detail),
            Self::Of(step, StoreError::Client(ClientError::Failed { source, .. })) => {
                let hint = hint_for(source.code, &source.message);
                let detail = as_sentence(&source.message);
                let sqlstate = StoreError::sqlstate(source.code);
                let message = format!("could not {step} the store of tablespace \"{tablespace}\"");
                PgError::new(sqlstate, message)
                    .with_detail(detail)
                    .with_hint(hint)
            }
            Self::Of(_, error) => error.into_pg_error(),
        }
    }
}

/// As details are written.
fn as_sentence(message: &str) -> String {
    let mut rest = message.chars();
    let mut sentence = String::with_capacity(message.len() + 1);
    sentence.extend(rest.next().into_iter().flat_map(char::to_uppercase));
    sentence.push_str(rest.as_str());
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

fn of(step: &'static str) -> impl Fn(StoreError) -> Failure {
    move |error| Failure::Of(step, error)
}

fn hint_for(code: FailureCode, message: &str) -> String {
    match code {
        FailureCode::Unauthenticated | FailureCode::PermissionDenied => {
            "The credentials are those of the entry of pg_lakebase.credentials_file that option \"credentials\" names, or those of the service's environment; with skip_signature there are none."
                .to_owned()
        }
        FailureCode::NotFound | FailureCode::InvalidStore => {
            "A bucket or container has to be there before: none is made. Entries of credentials are in the file that pg_lakebase.credentials_file names, which a reload of the configuration has read again.".to_owned()
        }
        // What rustls says where it is answered in the clear.
        FailureCode::Unavailable | FailureCode::TimedOut if message.contains("InvalidContentType") => {
            "Does the service at the endpoint speak https?".to_owned()
        }
        FailureCode::Unavailable | FailureCode::TimedOut => {
            format!("Is there a service at the endpoint, and can this machine reach it? {HINT}")
        }
        _ => HINT.to_owned(),
    }
}

/// A name for the store that no tablespace and no other probe has, also where a service serves several servers.
fn own_id() -> PgResult<StoreId> {
    // SAFETY: reads shared memory, and a number of the backend's own.
    let (system, backend) = unsafe { (pg_sys::GetSystemIdentifier(), pg_sys::MyProcNumber) };
    StoreId::new(format!("probe {system:016x} {backend}")).map_err(invalid)
}
