//! From the specification of a store to the store.

use std::{fmt::Debug, sync::Arc};

use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory, prefix::PrefixStore};

use super::{
    Backend, Bounded, Limits, Result,
    error::{BackendError, ErrorKind},
    object_store_backend::{ListOrder, ObjectStoreBackend},
};
use crate::protocol::{StoreProtocol, StoreSpec};

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
#[derive(Debug, Clone, Copy)]
pub struct StoreOpener {
    pub test_stores: TestStores,
    pub limits: Limits,
}

impl BackendOpener for StoreOpener {
    fn open(&self, spec: &StoreSpec) -> Result<Arc<dyn Backend>> {
        let is_test = matches!(spec.protocol, StoreProtocol::Local | StoreProtocol::Memory);
        if is_test && self.test_stores == TestStores::Refused {
            return Err(invalid(spec, "the service does not allow stores for tests"));
        }
        let (store, order) = match spec.protocol {
            StoreProtocol::S3 | StoreProtocol::Gcs | StoreProtocol::Azure => {
                (self.open_cloud(spec)?, ListOrder::ByPath)
            }
            StoreProtocol::Local => {
                refuse_options(spec, &["prefix"])?;
                let store = LocalFileSystem::new_with_prefix(&spec.bucket)
                    .map_err(|error| invalid(spec, error))?
                    .with_automatic_cleanup(true);
                (
                    Arc::new(store) as Arc<dyn ObjectStore>,
                    ListOrder::Unspecified,
                )
            }
            StoreProtocol::Memory => {
                refuse_options(spec, &["prefix"])?;
                (Arc::new(InMemory::new()) as _, ListOrder::ByPath)
            }
        };
        let store = match spec.options.get("prefix") {
            Some(prefix) => {
                let prefix = object_store::path::Path::parse(prefix)
                    .map_err(|error| invalid(spec, error))?;
                Arc::new(PrefixStore::new(store, prefix))
            }
            None => store,
        };
        let backend = ObjectStoreBackend::new(store, order);
        Ok(Arc::new(Bounded::new(Arc::new(backend), self.limits)))
    }
}

impl StoreOpener {
    #[cfg(not(feature = "cloud"))]
    fn open_cloud(&self, spec: &StoreSpec) -> Result<Arc<dyn ObjectStore>> {
        let cause = format!("this build has no support for {}", spec.protocol.as_str());
        Err(invalid(spec, cause))
    }

    #[cfg(feature = "cloud")]
    fn open_cloud(&self, spec: &StoreSpec) -> Result<Arc<dyn ObjectStore>> {
        super::cloud::open(spec, &self.limits)
    }
}

/// Refuses options that nothing would read: a misspelt one must not pass silently.
fn refuse_options(spec: &StoreSpec, known: &[&str]) -> Result<()> {
    match spec
        .options
        .keys()
        .find(|name| !known.contains(&name.as_str()))
    {
        Some(name) => Err(invalid(spec, format!("there is no option \"{name}\""))),
        None => Ok(()),
    }
}

pub(super) fn invalid(
    spec: &StoreSpec,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> BackendError {
    BackendError {
        kind: ErrorKind::InvalidStore,
        operation: "open store",
        path: spec.bucket.clone(),
        source: source.into(),
    }
}
