//! The stores that clients have made known.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::counters::StoreCounters;
use crate::{
    backend::{Backend, BackendError},
    cache::StoreBinding,
    protocol::{Failure, FailureCode, StoreId, StoreSpec},
};

/// A store in use. Requests under way keep theirs when it is closed.
#[derive(Debug)]
pub(super) struct OpenStore {
    pub(super) spec: StoreSpec,
    pub(super) binding: StoreBinding,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) counters: Arc<StoreCounters>,
}

impl OpenStore {
    /// What clients are told of an error of the store's.
    pub(super) fn failed(&self, error: BackendError) -> Failure {
        error.into_failure(&self.spec.id)
    }
}

#[derive(Debug, Default)]
pub(super) struct Stores {
    open: RwLock<BTreeMap<StoreId, Arc<OpenStore>>>,
}

impl Stores {
    pub(super) fn get(&self, id: &StoreId) -> Result<Arc<OpenStore>, Failure> {
        self.find(id).ok_or_else(|| {
            let message = "the store is not known to the service: open it first";
            Failure::permanent(FailureCode::UnknownStore, id, message)
        })
    }

    pub(super) fn find(&self, id: &StoreId) -> Option<Arc<OpenStore>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(id).cloned()
    }

    /// All stores, by name.
    pub(super) fn all(&self) -> Vec<Arc<OpenStore>> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.values().cloned().collect()
    }

    pub(super) fn insert(&self, store: OpenStore) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(store.spec.id.clone(), Arc::new(store));
    }

    pub(super) fn remove(&self, id: &StoreId) -> Option<Arc<OpenStore>> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.remove(id)
    }
}
