//! Transactions: their state, and callbacks at their turns.

mod callbacks;
mod state;

pub use callbacks::{TransactionCallbacks, register};
pub use state::{
    clock_timestamp, current_command_id, current_subxact_id, full_transaction_id, is_in_progress,
    nest_level,
};
