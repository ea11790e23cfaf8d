//! The node that runs a scan, and the functions that PostgreSQL calls on it.

use std::ffi::{c_int, c_void};
use std::marker::PhantomData;

use pgrx::pg_sys;

use super::plan::plan_custom_path;
use super::{
    BeginContext, CustomScanProvider, Explainer, NeededColumns, PrivateValue, ScanContext,
    SharedArea,
};
use crate::error::{PgError, PgResult};
use crate::guard::guard;
use crate::memory::{ContextOwned, MemoryContext};
use crate::slot::Slot;

/// What `CreateCustomScanState` returns: the state comes with `BeginCustomScan`.
#[repr(C)]
struct Node<P: CustomScanProvider> {
    base: pg_sys::CustomScanState,
    state: Option<ContextOwned<P::State>>,
}

/// A provider's method tables. References to constants live as long as the library.
pub(super) struct Methods<P>(PhantomData<P>);

impl<P: CustomScanProvider> Methods<P> {
    pub(super) const PATH: &'static pg_sys::CustomPathMethods = &pg_sys::CustomPathMethods {
        CustomName: P::NAME.as_ptr(),
        PlanCustomPath: Some(plan_custom_path::<P>),
        ReparameterizeCustomPathByChild: None,
    };

    pub(super) const SCAN: &'static pg_sys::CustomScanMethods = &pg_sys::CustomScanMethods {
        CustomName: P::NAME.as_ptr(),
        CreateCustomScanState: Some(create_state::<P>),
    };

    const EXEC: &'static pg_sys::CustomExecMethods = &pg_sys::CustomExecMethods {
        CustomName: P::NAME.as_ptr(),
        BeginCustomScan: Some(begin::<P>),
        ExecCustomScan: Some(exec::<P>),
        EndCustomScan: Some(end::<P>),
        ReScanCustomScan: Some(rescan::<P>),
        MarkPosCustomScan: None,
        RestrPosCustomScan: None,
        EstimateDSMCustomScan: if P::PARALLEL_AWARE {
            Some(estimate_dsm::<P>)
        } else {
            None
        },
        InitializeDSMCustomScan: if P::PARALLEL_AWARE {
            Some(initialize_dsm::<P>)
        } else {
            None
        },
        ReInitializeDSMCustomScan: if P::PARALLEL_AWARE {
            Some(reinitialize_dsm::<P>)
        } else {
            None
        },
        InitializeWorkerCustomScan: if P::PARALLEL_AWARE {
            Some(initialize_worker::<P>)
        } else {
            None
        },
        ShutdownCustomScan: Some(shutdown::<P>),
        ExplainCustomScan: Some(explain::<P>),
    };
}

unsafe extern "C-unwind" {
    /// `ExecScan`, past pgrx's guard: see [`exec`].
    #[link_name = "ExecScan"]
    fn exec_scan_unguarded(
        node: *mut pg_sys::ScanState,
        access: pg_sys::ExecScanAccessMtd,
        recheck: pg_sys::ExecScanRecheckMtd,
    ) -> *mut pg_sys::TupleTableSlot;
}

/// The scan's state and context.
///
/// # Safety
///
/// `node` came from [`create_state`] of the same provider and went through `ExecInitCustomScan`;
/// nobody else uses it during `'a`.
#[inline]
unsafe fn parts<'a, P: CustomScanProvider>(
    node: *mut pg_sys::CustomScanState,
) -> PgResult<(&'a mut P::State, ScanContext<'a>)> {
    // SAFETY: the caller's promise; the base comes first. The state lives as long as the query's
    // memory, unless `end` took it.
    unsafe {
        let state = (*node.cast::<Node<P>>())
            .state
            .and_then(|state| state.get_mut());
        match state {
            Some(state) => Ok((state, ScanContext::from_raw(node))),
            None => Err(PgError::internal(
                "a custom scan is used outside of its run",
            )),
        }
    }
}

unsafe extern "C-unwind" fn create_state<P: CustomScanProvider>(
    scan: *mut pg_sys::CustomScan,
) -> *mut pg_sys::Node {
    const { assert!(std::mem::offset_of!(Node<P>, base) == 0) };
    guard(|| {
        // SAFETY: newNode gives zeroed memory of the size with the tag set; the rest is written. PostgreSQL passes a
        // plan that is about to be executed.
        unsafe {
            let system = NeededColumns::of(scan, 0).system();
            let node = pg_sys::newNode(size_of::<Node<P>>(), pg_sys::NodeTag::T_CustomScanState)
                .cast::<Node<P>>();
            (*node).base.methods = Methods::<P>::EXEC;
            (*node).base.slotOps = P::slot_kind(system).as_ptr();
            (&raw mut (*node).state).write(None);
            Ok(node.cast())
        }
    })
}

unsafe extern "C-unwind" fn begin<P: CustomScanProvider>(
    node: *mut pg_sys::CustomScanState,
    _estate: *mut pg_sys::EState,
    eflags: c_int,
) {
    guard(|| {
        // SAFETY: PostgreSQL passes a filled-in node of this provider.
        unsafe {
            let context = BeginContext::from_raw(node, eflags);
            let private = PrivateValue::from_list((*context.plan()).custom_private)?;
            let state = P::begin(&context, private)?;
            let query = MemoryContext::from_raw((*context.scan().estate()).es_query_cxt);
            (*node.cast::<Node<P>>()).state = Some(ContextOwned::new(query, state));
        }
        Ok(())
    })
}

/// Runs one round of `ExecScan`, which filters and projects what [`access`] returns.
///
/// There is no guard here: this frame owns nothing, so that an error may pass it by `longjmp`, and
/// what it calls of ours is guarded itself. It saves a `sigsetjmp` a row.
unsafe extern "C-unwind" fn exec<P: CustomScanProvider>(
    node: *mut pg_sys::CustomScanState,
) -> *mut pg_sys::TupleTableSlot {
    // SAFETY: PostgreSQL passes a filled-in node of this provider.
    unsafe { exec_scan_unguarded(&raw mut (*node).ss, Some(access::<P>), Some(recheck::<P>)) }
}

unsafe extern "C-unwind" fn access<P: CustomScanProvider>(
    node: *mut pg_sys::ScanState,
) -> *mut pg_sys::TupleTableSlot {
    guard(|| {
        // SAFETY: `exec` passes its own node on, whose base it is; the scan slot is the node's.
        let (parts, raw_slot, mut slot) = unsafe {
            let raw = (*node).ss_ScanTupleSlot;
            (parts::<P>(node.cast()), raw, Slot::from_raw(raw))
        };
        let (state, context) = parts?;
        slot.clear();
        if !P::next(state, &context, &mut slot)? {
            slot.clear();
        }
        Ok(raw_slot)
    })
}

unsafe extern "C-unwind" fn recheck<P: CustomScanProvider>(
    node: *mut pg_sys::ScanState,
    slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    guard(|| {
        // SAFETY: as in `access`, and a valid slot.
        let (parts, mut slot) = unsafe { (parts::<P>(node.cast()), Slot::from_raw(slot)) };
        let (state, context) = parts?;
        P::recheck(state, &context, &mut slot)
    })
}

unsafe extern "C-unwind" fn end<P: CustomScanProvider>(node: *mut pg_sys::CustomScanState) {
    guard(|| {
        // SAFETY: PostgreSQL passes a node of this provider, whose state nobody refers to.
        let (state, context) = unsafe {
            let state = (*node.cast::<Node<P>>()).state.take();
            (
                state.and_then(|state| state.take()),
                ScanContext::from_raw(node),
            )
        };
        state.map_or(Ok(()), |state| P::end(state, &context))
    })
}

unsafe extern "C-unwind" fn rescan<P: CustomScanProvider>(node: *mut pg_sys::CustomScanState) {
    guard(|| {
        // SAFETY: PostgreSQL passes a filled-in node of this provider.
        let (state, context) = unsafe {
            pg_sys::ExecScanReScan(&raw mut (*node).ss);
            parts::<P>(node)?
        };
        P::rescan(state, &context)
    })
}

unsafe extern "C-unwind" fn explain<P: CustomScanProvider>(
    node: *mut pg_sys::CustomScanState,
    _ancestors: *mut pg_sys::List,
    out: *mut pg_sys::ExplainState,
) {
    guard(|| {
        // SAFETY: PostgreSQL passes a filled-in node of this provider, and its output.
        let ((state, context), mut out) = unsafe { (parts::<P>(node)?, Explainer::from_raw(out)) };
        P::explain(state, &context, &mut out)
    })
}

unsafe extern "C-unwind" fn estimate_dsm<P: CustomScanProvider>(
    node: *mut pg_sys::CustomScanState,
    _pcxt: *mut pg_sys::ParallelContext,
) -> pg_sys::Size {
    guard(|| {
        // SAFETY: PostgreSQL passes a filled-in node of this provider.
        let (state, context) = unsafe { parts::<P>(node)? };
        P::estimate_shared(state, &context)
    })
}

unsafe extern "C-unwind" fn initialize_dsm<P: CustomScanProvider>(
    node: *mut pg_sys::CustomScanState,
    _pcxt: *mut pg_sys::ParallelContext,
    coordinate: *mut c_void,
) {
    guard(|| {
        // SAFETY: PostgreSQL passes a filled-in node of this provider, and its area.
        let ((state, context), area) =
            unsafe { (parts::<P>(node)?, SharedArea::from_raw(coordinate)?) };
        P::initialize_shared(state, &context, area)
    })
}

unsafe extern "C-unwind" fn reinitialize_dsm<P: CustomScanProvider>(
    node: *mut pg_sys::CustomScanState,
    _pcxt: *mut pg_sys::ParallelContext,
    coordinate: *mut c_void,
) {
    guard(|| {
        // SAFETY: as in `initialize_dsm`.
        let ((state, context), area) =
            unsafe { (parts::<P>(node)?, SharedArea::from_raw(coordinate)?) };
        P::reinitialize_shared(state, &context, area)
    })
}

unsafe extern "C-unwind" fn initialize_worker<P: CustomScanProvider>(
    node: *mut pg_sys::CustomScanState,
    _toc: *mut pg_sys::shm_toc,
    coordinate: *mut c_void,
) {
    guard(|| {
        // SAFETY: as in `initialize_dsm`.
        let ((state, context), area) =
            unsafe { (parts::<P>(node)?, SharedArea::from_raw(coordinate)?) };
        P::attach_shared(state, &context, area)
    })
}

unsafe extern "C-unwind" fn shutdown<P: CustomScanProvider>(node: *mut pg_sys::CustomScanState) {
    guard(|| {
        // SAFETY: PostgreSQL passes a filled-in node of this provider.
        let (state, context) = unsafe { parts::<P>(node)? };
        P::shutdown(state, &context)
    })
}
