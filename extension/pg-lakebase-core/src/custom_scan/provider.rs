//! The provider trait.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::state::Methods;
use super::{BeginContext, Explainer, PlanCall, PrivateValue, ScanContext, SharedArea};
use crate::error::PgResult;
use crate::slot::{Slot, SlotKind};

/// A kind of custom scan.
pub trait CustomScanProvider: Sized + 'static {
    /// The name that EXPLAIN shows, unique among all providers in the server.
    const NAME: &'static CStr;

    /// Whether scans go in either direction, as [`ScanContext::direction`] says.
    const BACKWARD: bool = false;

    /// Whether the scan's rows can be shared out among parallel workers. If so, the provider
    /// implements the four methods about the shared area.
    const PARALLEL_AWARE: bool = false;

    /// The state of a running scan. The query's memory context owns it: it is dropped by `end`, or
    /// with the context after an error, when the transaction's resources are gone already.
    type State: 'static;

    /// The kind of slot that rows are returned in; `system` says whether the plan reads system columns.
    fn slot_kind(system: bool) -> SlotKind {
        let _ = system;
        SlotKind::Virtual
    }

    /// Makes the plan's private data of the path's. The default keeps it as it is.
    fn plan(call: &mut PlanCall<'_>) -> PgResult<()> {
        let _ = call;
        Ok(())
    }

    /// Makes a scan ready. For a plain EXPLAIN nothing will be read.
    fn begin(context: &BeginContext<'_>, private: Vec<PrivateValue>) -> PgResult<Self::State>;

    /// Stores the next row of the table, in the scan's direction, in the (cleared) slot; `false` at the end.
    fn next(
        state: &mut Self::State,
        context: &ScanContext<'_>,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool>;

    /// Whether a row, changed meanwhile by another transaction, would still be one of the scan's.
    /// What PostgreSQL filters itself it checks itself.
    fn recheck(
        state: &mut Self::State,
        context: &ScanContext<'_>,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        let _ = (state, context, slot);
        Ok(true)
    }

    /// Starts over. Parameters that the scan depends on may have changed, see
    /// [`ScanContext::parameters_changed`].
    fn rescan(state: &mut Self::State, context: &ScanContext<'_>) -> PgResult<()>;

    /// Ends the scan in good order. After errors the state is only dropped.
    fn end(state: Self::State, context: &ScanContext<'_>) -> PgResult<()> {
        let _ = context;
        drop(state);
        Ok(())
    }

    /// Adds lines to EXPLAIN's output.
    fn explain(
        state: &mut Self::State,
        context: &ScanContext<'_>,
        out: &mut Explainer<'_>,
    ) -> PgResult<()> {
        let _ = (state, context, out);
        Ok(())
    }

    /// The bytes of shared memory that the participants of a parallel scan need.
    fn estimate_shared(state: &mut Self::State, context: &ScanContext<'_>) -> PgResult<usize> {
        let _ = (state, context);
        Ok(0)
    }

    /// Fills the shared area in, in the leader, before workers start.
    fn initialize_shared(
        state: &mut Self::State,
        context: &ScanContext<'_>,
        area: SharedArea,
    ) -> PgResult<()> {
        let _ = (state, context, area);
        Ok(())
    }

    /// Resets the shared area for a rescan, in the leader, while no worker runs.
    fn reinitialize_shared(
        state: &mut Self::State,
        context: &ScanContext<'_>,
        area: SharedArea,
    ) -> PgResult<()> {
        let _ = (state, context, area);
        Ok(())
    }

    /// Joins the scan, in a worker.
    fn attach_shared(
        state: &mut Self::State,
        context: &ScanContext<'_>,
        area: SharedArea,
    ) -> PgResult<()> {
        let _ = (state, context, area);
        Ok(())
    }

    /// No more rows are wanted: what costs others something may be released ahead of `end`. The
    /// shared area is about to go.
    fn shutdown(state: &mut Self::State, context: &ScanContext<'_>) -> PgResult<()> {
        let _ = (state, context);
        Ok(())
    }
}

/// Makes the provider known by its name, which is how plans refer to it. Call it once, in
/// `_PG_init`.
pub fn register<P: CustomScanProvider>() {
    // SAFETY: the methods are static.
    unsafe { pg_sys::RegisterCustomScanMethods(Methods::<P>::SCAN) }
}
