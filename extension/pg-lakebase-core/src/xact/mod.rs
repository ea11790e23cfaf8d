//! Transactions: their state, and callbacks at their turns.

mod callbacks;
mod state;

pub use callbacks::{TransactionCallbacks, register};
pub use state::{
    clock_timestamp, current_command_id, current_subxact_id, full_transaction_id,
    in_subtransaction, is_in_progress, is_over, is_parallel_worker, nest_level, with_epoch,
};
