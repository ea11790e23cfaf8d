//! Tuple slots and tuple identifiers.

mod borrowed;
mod kind;
mod own_rows;
mod owned;
mod system_column;
mod tid;
mod virtual_with_tid;

pub use borrowed::Slot;
pub use kind::SlotKind;
pub use own_rows::tell_own_rows_with;
pub use owned::OwnedSlot;
pub use system_column::{SystemColumn, refuse_system_columns_with};
pub use tid::Tid;
