//! System columns that Iceberg tables do not have.
//!
//! Partitions and children are left to the slots, which refuse the column of a row: a plan may come to rows of heap
//! tables alone.

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::slot::SystemColumn;
use pgrx::pg_sys;

use super::plan_parts::{cells, iceberg_table};
use crate::unsupported;

/// Looks for them in a plan.
pub struct SystemColumns {
    plan: *mut pg_sys::PlannedStmt,
    refusal: Option<PgError>,
}

impl SystemColumns {
    /// # Safety
    ///
    /// `plan` is a finished plan, which outlives the value.
    pub unsafe fn of(plan: *mut pg_sys::PlannedStmt) -> Self {
        Self {
            plan,
            refusal: None,
        }
    }

    /// Looks at a node of an expression.
    ///
    /// # Safety
    ///
    /// The node is one of the plan's.
    #[inline]
    pub unsafe fn see(&mut self, node: *mut pg_sys::Node) {
        // SAFETY: the caller's promise; the node is cast to the type that its tag names.
        unsafe {
            if (*node).type_ != pg_sys::NodeTag::T_Var {
                return;
            }
            let var = node.cast::<pg_sys::Var>();
            if (*var).varattno < 0
                && self.refusal.is_none()
                && let Some(column) = SystemColumn::of_transaction((*var).varattno)
            {
                self.refusal = self.refusal_of((*var).varno, column);
            }
        }
    }

    unsafe fn refusal_of(&self, varno: i32, column: SystemColumn) -> Option<PgError> {
        // SAFETY: the plan's; the lists hold what their names say. Special range table indexes are negative.
        unsafe {
            let rti = u32::try_from(varno).ok()?;
            let is_child = cells::<pg_sys::AppendRelInfo>((*self.plan).appendRelations)
                .any(|info| (*info).child_relid == rti);
            if is_child {
                return None;
            }
            let table = iceberg_table(rti, (*self.plan).rtable)?;
            Some(unsupported::system_column(column, &table))
        }
    }

    /// Refuses the plan if it reads one of an Iceberg table.
    pub fn refuse(self) -> PgResult<()> {
        self.refusal.map_or(Ok(()), Err)
    }
}
