//! From the specification of a store to the store.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory, path::Path};

use super::{
    Backend, Bounded, Limits, Result, Uploads,
    error::{BackendError, ErrorKind},
    object_store_backend::{ListOrder, ObjectStoreBackend},
    renewed::Renewed,
};
use crate::{
    credentials::{CredentialsFile, Entry},
    protocol::{StoreProtocol, StoreSpec},
};

/// Makes stores; a trait so that tests can make failing ones.
pub trait BackendOpener: Debug + Send + Sync {
    /// # Errors
    /// [`ErrorKind::InvalidStore`] when the specification cannot be used. Nothing is asked of the
    /// store itself.
    fn open(&self, spec: &StoreSpec) -> Result<Arc<dyn Backend>>;
}

/// Are stores in directories and in memory opened? They are for tests: a directory store shows
/// whoever may connect any file that the daemon can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestStores {
    Refused,
    Allowed,
}

/// Opens the stores of the `object_store` crate.
#[derive(Debug, Clone)]
pub struct StoreOpener {
    pub test_stores: TestStores,
    pub limits: Limits,
    /// Where stores with the option `credentials` have theirs.
    pub credentials: Option<Arc<CredentialsFile>>,
    pub uploads: Uploads,
}

impl BackendOpener for StoreOpener {
    fn open(&self, spec: &StoreSpec) -> Result<Arc<dyn Backend>> {
        let is_test = matches!(spec.protocol, StoreProtocol::Local | StoreProtocol::Memory);
        if is_test && self.test_stores == TestStores::Refused {
            return Err(invalid(spec, "the service does not allow stores for tests"));
        }
        let store: Arc<dyn Backend> = match (spec.options.get("credentials"), &self.credentials) {
            (None, _) => Arc::new(self.store(spec, None)?),
            (Some(name), None) => {
                let cause = format!(
                    "the service was started without a credentials file, so there is no entry \"{name}\""
                );
                return Err(invalid(spec, cause));
            }
            (Some(_), Some(file)) => {
                let (opener, spec) = (self.clone(), spec.clone());
                let make = move || {
                    let store = opener.store_with_entry(&spec)?;
                    Ok(Arc::new(store) as Arc<dyn Backend>)
                };
                Arc::new(Renewed::new(Arc::clone(file), make)?)
            }
        };
        Ok(Arc::new(Bounded::new(store, self.limits)))
    }
}

impl StoreOpener {
    fn store_with_entry(&self, spec: &StoreSpec) -> Result<ObjectStoreBackend> {
        let name = spec.options.get("credentials").map_or("", String::as_str);
        match self.credentials.as_ref().and_then(|file| file.entry(name)) {
            Some(entry) => self.store(spec, Some(&entry)),
            None => {
                let cause = format!("the credentials file has no entry \"{name}\"");
                Err(invalid(spec, cause))
            }
        }
    }

    fn store(&self, spec: &StoreSpec, entry: Option<&Entry>) -> Result<ObjectStoreBackend> {
        let mut options = Options::of(spec);
        options.take("credentials");
        let prefix = match options.take("prefix") {
            Some(prefix) => Some(Path::parse(prefix).map_err(|error| invalid(spec, error))?),
            None => None,
        };
        let for_tests = |store: Arc<dyn ObjectStore>, order| ObjectStoreBackend::new(store, order);
        let store = match spec.protocol {
            StoreProtocol::S3 | StoreProtocol::Gcs | StoreProtocol::Azure => {
                self.open_cloud(spec, &mut options, entry)?
            }
            StoreProtocol::Local => {
                let store = LocalFileSystem::new_with_prefix(&spec.bucket)
                    .map_err(|error| invalid(spec, error))?
                    .with_automatic_cleanup(true);
                for_tests(Arc::new(store), ListOrder::Unspecified)
            }
            StoreProtocol::Memory => for_tests(Arc::new(InMemory::new()), ListOrder::ByPath),
        };
        options.end()?;
        Ok(store.with_prefix(prefix).with_uploads(self.uploads.clone()))
    }

    #[cfg(not(feature = "cloud"))]
    fn open_cloud(
        &self,
        spec: &StoreSpec,
        _: &mut Options<'_>,
        _: Option<&Entry>,
    ) -> Result<ObjectStoreBackend> {
        let cause = format!("this build has no support for {}", spec.protocol.as_str());
        Err(invalid(spec, cause))
    }

    #[cfg(feature = "cloud")]
    fn open_cloud(
        &self,
        spec: &StoreSpec,
        options: &mut Options<'_>,
        entry: Option<&Entry>,
    ) -> Result<ObjectStoreBackend> {
        super::cloud::open(spec, options, entry)
    }
}

/// The options of a store that nothing has read yet.
pub(super) struct Options<'a> {
    spec: &'a StoreSpec,
    rest: BTreeMap<&'a str, &'a str>,
}

impl<'a> Options<'a> {
    fn of(spec: &'a StoreSpec) -> Self {
        let options = spec.options.iter();
        Self {
            spec,
            rest: options
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<&'a str> {
        self.rest.remove(name)
    }

    #[cfg_attr(
        not(feature = "cloud"),
        expect(dead_code, reason = "only clouds have such options")
    )]
    pub(super) fn take_boolean(&mut self, name: &str) -> Result<bool> {
        match self.take(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => {
                let cause = format!("option \"{name}\" is neither true nor false");
                Err(invalid(self.spec, cause))
            }
        }
    }

    /// Refuses what nothing has read: a misspelt option must not pass silently.
    fn end(self) -> Result<()> {
        match self.rest.keys().next() {
            Some(name) => {
                let protocol = self.spec.protocol.as_str();
                let cause = format!("protocol \"{protocol}\" has no option \"{name}\"");
                Err(invalid(self.spec, cause))
            }
            None => Ok(()),
        }
    }
}

pub(super) fn invalid(
    spec: &StoreSpec,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> BackendError {
    BackendError::new(ErrorKind::InvalidStore, "open store", &spec.bucket, source)
}
