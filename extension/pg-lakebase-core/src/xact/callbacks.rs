//! Callbacks at the turns of transactions and subtransactions.

use std::ffi::c_void;

use pgrx::pg_sys;

use crate::error::{PgResult, catch_and_warn};
use crate::guard::guard;

type SubXactId = pg_sys::SubTransactionId;

/// What to do at the turns of transactions. All methods do nothing unless implemented.
///
/// Those that return a result may fail, and abort the (sub)transaction by it. The others run when
/// the outcome is decided: a panic or a PostgreSQL error in them is caught and becomes a WARNING.
/// State that an error may have left borrowed must be reached with `try_borrow_mut`: a backend
/// that is told to terminate runs [`abort`](Self::abort) on top of the frames that it interrupts.
pub trait TransactionCallbacks: 'static {
    /// Before the commit record, with all of PostgreSQL at hand; deferred triggers have fired.
    fn pre_commit() -> PgResult<()> {
        Ok(())
    }
    /// After the commit record.
    fn commit() {}
    /// While the transaction aborts: resources are still held, catalogs cannot be read.
    fn abort() {}
    /// Before PREPARE TRANSACTION writes its record.
    fn pre_prepare() -> PgResult<()> {
        Ok(())
    }
    /// After PREPARE TRANSACTION wrote its record: the session is rid of the transaction.
    fn prepare() {}
    /// As `pre_commit`, in a parallel worker.
    fn parallel_pre_commit() -> PgResult<()> {
        Ok(())
    }
    /// As `commit`, in a parallel worker.
    fn parallel_commit() {}
    /// As `abort`, in a parallel worker.
    fn parallel_abort() {}
    /// A subtransaction has begun.
    fn sub_start(me: SubXactId, parent: SubXactId) {
        let _ = (me, parent);
    }
    /// Before a subtransaction is merged into its parent.
    fn sub_pre_commit(me: SubXactId, parent: SubXactId) -> PgResult<()> {
        let _ = (me, parent);
        Ok(())
    }
    /// A subtransaction is merged into its parent.
    fn sub_commit(me: SubXactId, parent: SubXactId) {
        let _ = (me, parent);
    }
    /// A subtransaction is rolled back.
    fn sub_abort(me: SubXactId, parent: SubXactId) {
        let _ = (me, parent);
    }
}

/// Registers the callbacks for the rest of the process's life. Call it once, in `_PG_init`.
pub fn register<T: TransactionCallbacks>() {
    // SAFETY: the callbacks are functions of a library that is never unloaded.
    unsafe {
        pg_sys::RegisterXactCallback(Some(xact_callback::<T>), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(sub_xact_callback::<T>), std::ptr::null_mut());
    }
}

fn settled(body: impl FnOnce()) -> PgResult<()> {
    catch_and_warn(|| {
        body();
        Ok(())
    });
    Ok(())
}

unsafe extern "C-unwind" fn xact_callback<T: TransactionCallbacks>(
    event: pg_sys::XactEvent::Type,
    _arg: *mut c_void,
) {
    guard(|| match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT => T::pre_commit(),
        pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE => T::pre_prepare(),
        pg_sys::XactEvent::XACT_EVENT_PARALLEL_PRE_COMMIT => T::parallel_pre_commit(),
        pg_sys::XactEvent::XACT_EVENT_COMMIT => settled(T::commit),
        pg_sys::XactEvent::XACT_EVENT_ABORT => settled(T::abort),
        pg_sys::XactEvent::XACT_EVENT_PREPARE => settled(T::prepare),
        pg_sys::XactEvent::XACT_EVENT_PARALLEL_COMMIT => settled(T::parallel_commit),
        pg_sys::XactEvent::XACT_EVENT_PARALLEL_ABORT => settled(T::parallel_abort),
        _ => Ok(()),
    })
}

unsafe extern "C-unwind" fn sub_xact_callback<T: TransactionCallbacks>(
    event: pg_sys::SubXactEvent::Type,
    me: SubXactId,
    parent: SubXactId,
    _arg: *mut c_void,
) {
    guard(|| match event {
        pg_sys::SubXactEvent::SUBXACT_EVENT_PRE_COMMIT_SUB => T::sub_pre_commit(me, parent),
        pg_sys::SubXactEvent::SUBXACT_EVENT_START_SUB => {
            T::sub_start(me, parent);
            Ok(())
        }
        pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => settled(|| T::sub_commit(me, parent)),
        pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => settled(|| T::sub_abort(me, parent)),
        _ => Ok(()),
    })
}
