//! PostgreSQL's hooks, chained.
//!
//! Each library registers at most one handler a hook, in `_PG_init`; whoever had the hook before is
//! called as the chain wants it. A handler that stands *around* its call (utility statements, the
//! planner, the executor) receives a call object and decides when to `proceed`; one that is
//! *told* of something runs after those who came before. An error that a handler returns is
//! raised.

mod executor;
mod object_access;
mod plan_expressions;
mod planner;
mod registry;
mod utility;

pub use executor::{ExecutorRunCall, register_executor_run, register_executor_start};
pub use object_access::{DropFlags, ObjectAccess, ObjectAccessEvent, register_object_access};
pub use plan_expressions::walk_plan_expressions;
pub use planner::{
    PlannerCall, RelPathlist, RelationInfo, register_get_relation_info, register_planner,
    register_set_rel_pathlist,
};
pub use utility::{UtilityCall, UtilityContext, register_process_utility};
