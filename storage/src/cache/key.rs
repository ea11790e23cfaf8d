//! What a cached file holds.

use std::sync::Arc;

use crate::protocol::{ObjectPath, ObjectVersion, StoreId};

/// A store as long as it is the same store: its name may come to mean another bucket, under another
/// number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreBinding {
    pub(super) number: u64,
    pub(super) store: Arc<StoreId>,
}

/// Which part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The n-th block of the cache's block size; the last one may be shorter.
    Block(u32),
    Whole,
}

impl Part {
    const WHOLE: u64 = u64::MAX;

    pub(super) fn to_number(self) -> u64 {
        match self {
            Self::Block(block) => u64::from(block),
            Self::Whole => Self::WHOLE,
        }
    }

    pub(super) fn from_number(number: u64) -> Option<Self> {
        match number {
            Self::WHOLE => Some(Self::Whole),
            number => u32::try_from(number).ok().map(Self::Block),
        }
    }
}

/// Key of the cache: a part of one version of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryKey {
    pub binding: StoreBinding,
    pub path: ObjectPath,
    pub version: ObjectVersion,
    pub part: Part,
}
