//! What a running scan sees of the executor.

use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::pg_sys;

use super::NeededColumns;
use crate::error::{PgError, PgResult};
use crate::relation::Relation;
use crate::snapshot::Snapshot;
use crate::table_am::ScanDirection;

/// A scan that runs, as its provider sees it.
pub struct ScanContext<'a> {
    node: *mut pg_sys::CustomScanState,
    _node: PhantomData<&'a pg_sys::CustomScanState>,
}

/// A scan about to be made ready.
pub struct BeginContext<'a> {
    scan: ScanContext<'a>,
    eflags: i32,
}

/// Memory that the participants of a parallel scan share.
#[derive(Debug, Clone, Copy)]
pub struct SharedArea {
    raw: NonNull<u8>,
}

impl SharedArea {
    /// # Safety
    ///
    /// `raw` is the scan's area, of the size that the provider asked for.
    pub(super) unsafe fn from_raw(raw: *mut std::ffi::c_void) -> PgResult<Self> {
        NonNull::new(raw.cast())
            .map(|raw| Self { raw })
            .ok_or_else(|| PgError::internal("a parallel scan has no shared area"))
    }

    /// The area's address, aligned to 8: as large as `estimate_shared` said, and gone after
    /// `shutdown`.
    pub fn as_ptr(self) -> *mut u8 {
        self.raw.as_ptr()
    }
}

impl<'a> ScanContext<'a> {
    /// # Safety
    ///
    /// `node` is a state that `ExecInitCustomScan` has filled in, valid for all of `'a`.
    pub(super) unsafe fn from_raw(node: *mut pg_sys::CustomScanState) -> Self {
        Self {
            node,
            _node: PhantomData,
        }
    }

    /// The C pointer.
    pub fn as_ptr(&self) -> *mut pg_sys::CustomScanState {
        self.node
    }

    /// The table that is scanned.
    pub fn relation(&self) -> PgResult<Relation<'a>> {
        // SAFETY: the executor keeps the relation open as long as the node.
        unsafe { Relation::from_nullable((*self.node).ss.ss_currentRelation) }
            .ok_or_else(|| PgError::internal("a custom scan has no relation"))
    }

    /// The snapshot that the query runs under.
    pub fn snapshot(&self) -> Option<Snapshot<'a>> {
        // SAFETY: the executor keeps the snapshot registered as long as the node.
        unsafe { Snapshot::from_nullable((*self.estate()).es_snapshot) }
    }

    /// The direction in which the query runs.
    pub fn direction(&self) -> ScanDirection {
        // SAFETY: the node's execution state is valid while it runs.
        ScanDirection::from_raw(unsafe { (*self.estate()).es_direction })
    }

    /// The executor's state.
    pub fn estate(&self) -> *mut pg_sys::EState {
        // SAFETY: the node is valid.
        unsafe { (*self.node).ss.ps.state }
    }

    /// Whether parameters that the scan depends on have changed since it last began.
    pub fn parameters_changed(&self) -> bool {
        // SAFETY: the node is valid.
        unsafe { !(*self.node).ss.ps.chgParam.is_null() }
    }

    /// Evaluates an expression state that was made by [`BeginContext::init_expr`]. `None` is NULL.
    /// The value lives until the next row.
    ///
    /// # Safety
    ///
    /// `expr` was made for this node.
    pub unsafe fn eval_expr(&self, expr: *mut pg_sys::ExprState) -> Option<pg_sys::Datum> {
        let mut is_null = false;
        // SAFETY: the caller's promise; the node has an expression context.
        let value = unsafe {
            let econtext = (*self.node).ss.ps.ps_ExprContext;
            pg_sys::ExecEvalExprSwitchContext(expr, econtext, &mut is_null)
        };
        (!is_null).then_some(value)
    }
}

impl<'a> BeginContext<'a> {
    /// # Safety
    ///
    /// As [`ScanContext::from_raw`].
    pub(super) unsafe fn from_raw(node: *mut pg_sys::CustomScanState, eflags: i32) -> Self {
        Self {
            // SAFETY: the caller's promise.
            scan: unsafe { ScanContext::from_raw(node) },
            eflags,
        }
    }

    /// What holds as long as the scan runs.
    pub fn scan(&self) -> &ScanContext<'a> {
        &self.scan
    }

    /// Whether this is a plain EXPLAIN: no row will be asked for.
    pub fn explain_only(&self) -> bool {
        self.eflags & pg_sys::EXEC_FLAG_EXPLAIN_ONLY as i32 != 0
    }

    /// The plan node.
    pub fn plan(&self) -> *mut pg_sys::CustomScan {
        // SAFETY: the node is valid, and its plan is a CustomScan.
        unsafe { (*self.scan.node).ss.ps.plan.cast() }
    }

    /// The columns of the table that the node refers to.
    pub fn needed_columns(&self) -> PgResult<NeededColumns> {
        let natts = self.scan.relation()?.tuple_desc().natts();
        // SAFETY: the plan is as execution sees it.
        Ok(unsafe { NeededColumns::of(self.plan(), natts) })
    }

    /// The expressions that the provider asked for in `PlanCall::exprs`.
    pub fn exprs(&self) -> Vec<*mut pg_sys::Expr> {
        // SAFETY: the plan is valid; the list holds expressions.
        unsafe {
            let list = (*self.plan()).custom_exprs;
            match list.as_ref() {
                None => Vec::new(),
                Some(list) => (0..usize::try_from(list.length).unwrap_or(0))
                    .map(|index| (*list.elements.add(index)).ptr_value.cast())
                    .collect(),
            }
        }
    }

    /// Makes an expression ready for [`ScanContext::eval_expr`].
    ///
    /// # Safety
    ///
    /// `expr` is one of [`BeginContext::exprs`], or a part of one.
    pub unsafe fn init_expr(&self, expr: *mut pg_sys::Expr) -> *mut pg_sys::ExprState {
        // SAFETY: the caller's promise; the node is the expression's parent.
        unsafe { pg_sys::ExecInitExpr(expr, &raw mut (*self.scan.node).ss.ps) }
    }
}
