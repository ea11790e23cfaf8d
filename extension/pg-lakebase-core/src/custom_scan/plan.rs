//! Plans: paths that were chosen.

use std::marker::PhantomData;

use pgrx::pg_sys;

use super::state::Methods;
use super::{CustomScanProvider, PrivateValue};
use crate::guard::guard;

/// A path being turned into a plan.
pub struct PlanCall<'a> {
    /// The planner's state.
    pub root: *mut pg_sys::PlannerInfo,
    /// The relation.
    pub rel: *mut pg_sys::RelOptInfo,
    /// The path.
    pub path: *mut pg_sys::CustomPath,
    /// The filters that PostgreSQL will apply to the rows, as expressions. The provider may take
    /// those away that it guarantees itself.
    pub quals: *mut pg_sys::List,
    /// Expressions that the provider will evaluate when the scan runs: PostgreSQL puts parameters
    /// and references in order in them as it does in the filters.
    pub exprs: *mut pg_sys::List,
    /// The path's private values, to become the plan's.
    pub private: Vec<PrivateValue>,
    pub(super) _call: PhantomData<&'a ()>,
}

/// The columns that a plan node refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededColumns {
    columns: Vec<bool>,
    system: bool,
}

impl NeededColumns {
    /// Whether column `index`, from 0, is needed.
    pub fn contains(&self, index: usize) -> bool {
        self.columns.get(index).copied().unwrap_or(false)
    }

    /// One element a column of the table.
    pub fn as_slice(&self) -> &[bool] {
        &self.columns
    }

    /// Whether any system column is needed, `ctid` or `tableoid` among them.
    pub fn system(&self) -> bool {
        self.system
    }

    /// The columns of relation `varno`, which has `natts`, that the node's output, filters and own
    /// expressions refer to.
    ///
    /// # Safety
    ///
    /// `scan` is a valid plan node after `set_plan_references`, as execution sees it.
    pub(super) unsafe fn of(scan: *const pg_sys::CustomScan, natts: usize) -> Self {
        let mut attributes: *mut pg_sys::Bitmapset = std::ptr::null_mut();
        let mut needed = Self {
            columns: vec![false; natts],
            system: false,
        };
        // SAFETY: the caller's promise; expression trees are walked, not changed.
        unsafe {
            let varno = (*scan).scan.scanrelid;
            for tree in [
                (*scan).scan.plan.targetlist,
                (*scan).scan.plan.qual,
                (*scan).custom_exprs,
            ] {
                pg_sys::pull_varattnos(tree.cast(), varno, &mut attributes);
            }
            let mut member = pg_sys::bms_next_member(attributes, -1);
            while member >= 0 {
                needed.add(member + pg_sys::FirstLowInvalidHeapAttributeNumber);
                member = pg_sys::bms_next_member(attributes, member);
            }
            pg_sys::bms_free(attributes);
        }
        needed
    }

    fn add(&mut self, attribute_number: i32) {
        match usize::try_from(attribute_number) {
            // The whole row.
            Ok(0) => self.columns.fill(true),
            Ok(number) => {
                if let Some(column) = self.columns.get_mut(number - 1) {
                    *column = true;
                }
            }
            Err(_) => self.system = true,
        }
    }
}

/// `PlanCustomPath`.
pub(super) unsafe extern "C-unwind" fn plan_custom_path<P: CustomScanProvider>(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    path: *mut pg_sys::CustomPath,
    tlist: *mut pg_sys::List,
    clauses: *mut pg_sys::List,
    custom_plans: *mut pg_sys::List,
) -> *mut pg_sys::Plan {
    guard(|| {
        // SAFETY: PostgreSQL passes a path of this provider with its clauses.
        let (quals, private) = unsafe {
            (
                pg_sys::extract_actual_clauses(clauses, false),
                PrivateValue::from_list((*path).custom_private)?,
            )
        };
        let mut call = PlanCall {
            root,
            rel,
            path,
            quals,
            exprs: std::ptr::null_mut(),
            private,
            _call: PhantomData,
        };
        P::plan(&mut call)?;
        let private = PrivateValue::to_list(&call.private)?;
        // SAFETY: the new node is zeroed memory of its type, filled with valid lists.
        unsafe {
            let scan = pg_sys::newNode(
                size_of::<pg_sys::CustomScan>(),
                pg_sys::NodeTag::T_CustomScan,
            )
            .cast::<pg_sys::CustomScan>();
            (*scan).scan.plan.targetlist = tlist;
            (*scan).scan.plan.qual = call.quals;
            (*scan).scan.scanrelid = (*rel).relid;
            (*scan).flags = (*path).flags;
            (*scan).custom_plans = custom_plans;
            (*scan).custom_exprs = call.exprs;
            (*scan).custom_private = private;
            (*scan).methods = Methods::<P>::SCAN;
            Ok(scan.cast())
        }
    })
}
