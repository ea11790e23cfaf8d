//! Tuple slots and tuple identifiers.

mod borrowed;
mod kind;
mod owned;
mod tid;
mod virtual_with_tid;

pub use borrowed::Slot;
pub use kind::SlotKind;
pub use owned::OwnedSlot;
pub use tid::Tid;
