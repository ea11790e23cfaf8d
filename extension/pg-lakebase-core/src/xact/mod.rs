//! Transactions: their state, and callbacks at their turns.

mod callbacks;
mod state;

pub use callbacks::{TransactionCallbacks, register};
pub use state::{
    current_command_id, current_subxact_id, in_parallel_mode, is_in_progress, nest_level,
};
