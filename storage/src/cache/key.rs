//! What a cached file is of.

use std::sync::Arc;

use crate::protocol::{ObjectPath, StoreId};

/// A store as long as it is the same store: its name may come to mean another bucket, under another
/// number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreBinding {
    pub(super) number: u64,
    pub(super) store: Arc<StoreId>,
}

impl StoreBinding {
    /// The name of the store.
    pub fn store(&self) -> &StoreId {
        &self.store
    }
}

/// Key of the cache: an object of a store. One version of it is cached at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    pub binding: StoreBinding,
    pub path: ObjectPath,
}

impl ObjectKey {
    pub fn new(binding: &StoreBinding, path: &ObjectPath) -> Self {
        Self {
            binding: binding.clone(),
            path: path.clone(),
        }
    }
}
