//! Where PostgreSQL's transaction manager calls.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::injection;
use pg_lakebase_core::xact::{self, TransactionCallbacks};
use pgrx::pg_sys;

use super::change_row;
use super::commit::commit;
use super::garbage;
use super::state::{TransactionState, end_transaction, has_changes, with_transaction};
use crate::claims;
use crate::files;
use crate::publisher;
use crate::row_id::counter;

struct IcebergTransaction;

/// Registers the callbacks; called once, from `_PG_init`.
pub fn register() {
    xact::register::<IcebergTransaction>();
}

impl TransactionCallbacks for IcebergTransaction {
    fn pre_commit() -> PgResult<()> {
        change_row::clear_locks()?;
        if has_changes() {
            commit(false)?;
        }
        garbage::add_undone()
    }

    fn commit() {
        if has_changes() {
            injection::point(c"iceberg-committed");
        }
        if with_transaction(|state| state.calls_publisher || state.leaves_garbage()) {
            publisher::ensure_running();
        }
        claims::end();
        counter::unpin_all();
        end_transaction(TransactionState::commit);
    }

    fn abort() {
        change_row::forget_locks();
        claims::end();
        counter::unpin_all();
        files::close_kept_objects();
        end_transaction(TransactionState::abort);
    }

    fn pre_prepare() -> PgResult<()> {
        change_row::clear_locks()?;
        if has_changes() {
            commit(true)?;
            garbage::check_can_prepare()?;
            with_transaction(|state| state.remove_made_and_dropped());
        }
        garbage::add_undone()
    }

    /// What is left to do is the one's who commits it or rolls it back.
    fn prepare() {
        claims::end();
        counter::unpin_all();
        end_transaction(|state| drop(std::mem::take(state)));
    }

    fn sub_commit(subid: pg_sys::SubTransactionId, parent: pg_sys::SubTransactionId) {
        claims::sub_commit(subid, parent);
        with_transaction(|state| state.sub_commit(subid, parent));
    }

    fn sub_abort(subid: pg_sys::SubTransactionId, _parent: pg_sys::SubTransactionId) {
        claims::sub_abort(subid);
        end_transaction(|state| state.sub_abort(subid));
    }
}
