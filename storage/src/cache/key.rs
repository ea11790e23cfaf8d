//! What a cached file is of.

use crate::protocol::ObjectPath;

/// The number that stands for a store's place, by whatever ids and credentials it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreBinding {
    pub(super) number: u64,
}

/// Key of the cache: an object of a store. One version of it is cached at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    pub binding: StoreBinding,
    pub path: ObjectPath,
}

impl ObjectKey {
    pub fn new(binding: StoreBinding, path: &ObjectPath) -> Self {
        Self {
            binding,
            path: path.clone(),
        }
    }
}
