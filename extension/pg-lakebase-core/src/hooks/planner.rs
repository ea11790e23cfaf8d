//! The planner: whole queries, and the paths and sizes of single relations.

use std::ffi::{c_char, c_int};
use std::marker::PhantomData;

use pgrx::pg_sys;

use super::registry::Registry;
use crate::error::PgResult;
use crate::guard::{call_c, guard};

type RawPlanner = unsafe extern "C-unwind" fn(
    *mut pg_sys::Query,
    *const c_char,
    c_int,
    pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt;
type PlannerHandler = fn(&mut PlannerCall<'_>) -> PgResult<*mut pg_sys::PlannedStmt>;

type RawRelPathlist = unsafe extern "C-unwind" fn(
    *mut pg_sys::PlannerInfo,
    *mut pg_sys::RelOptInfo,
    pg_sys::Index,
    *mut pg_sys::RangeTblEntry,
);
type RelPathlistHandler = fn(&RelPathlist<'_>) -> PgResult<()>;

type RawRelationInfo = unsafe extern "C-unwind" fn(
    *mut pg_sys::PlannerInfo,
    pg_sys::Oid,
    bool,
    *mut pg_sys::RelOptInfo,
);
type RelationInfoHandler = fn(&RelationInfo<'_>) -> PgResult<()>;

static PLANNER: Registry<RawPlanner, PlannerHandler> = Registry::new();
static REL_PATHLIST: Registry<RawRelPathlist, RelPathlistHandler> = Registry::new();
static RELATION_INFO: Registry<RawRelationInfo, RelationInfoHandler> = Registry::new();

unsafe extern "C-unwind" {
    /// Past pgrx's guard, which would strip errors of what it does not know.
    fn standard_planner(
        query: *mut pg_sys::Query,
        query_string: *const c_char,
        cursor_options: c_int,
        params: pg_sys::ParamListInfo,
    ) -> *mut pg_sys::PlannedStmt;
}

/// A query about to be planned.
pub struct PlannerCall<'a> {
    query: *mut pg_sys::Query,
    query_string: *const c_char,
    cursor_options: c_int,
    params: pg_sys::ParamListInfo,
    _call: PhantomData<&'a ()>,
}

impl PlannerCall<'_> {
    /// The query, which may be changed before planning: the planner scribbles on it as well.
    pub fn query(&self) -> *mut pg_sys::Query {
        self.query
    }

    /// The source text, as far as it is UTF-8.
    pub fn query_string(&self) -> &str {
        if self.query_string.is_null() {
            return "";
        }
        // SAFETY: a query string is terminated and lives as long as the call.
        unsafe { std::ffi::CStr::from_ptr(self.query_string) }
            .to_str()
            .unwrap_or_default()
    }

    /// Plans the query: by whoever had the hook before, or PostgreSQL.
    pub fn proceed(&mut self) -> *mut pg_sys::PlannedStmt {
        let (query, query_string, cursor_options, params) = (
            self.query,
            self.query_string,
            self.cursor_options,
            self.params,
        );
        // SAFETY: the arguments are PostgreSQL's own; guarded.
        unsafe {
            match PLANNER.previous() {
                Some(previous) => call_c!(previous, query, query_string, cursor_options, params),
                None => call_c!(
                    standard_planner,
                    query,
                    query_string,
                    cursor_options,
                    params
                ),
            }
        }
    }
}

/// A base relation whose paths PostgreSQL has made.
pub struct RelPathlist<'a> {
    /// The planner's state.
    pub root: *mut pg_sys::PlannerInfo,
    /// The relation as the planner sees it.
    pub rel: *mut pg_sys::RelOptInfo,
    /// Its index in the range table.
    pub rti: pg_sys::Index,
    /// Its entry in the range table.
    pub rte: *mut pg_sys::RangeTblEntry,
    _call: PhantomData<&'a ()>,
}

/// A relation whose sizes and indexes PostgreSQL has looked up.
pub struct RelationInfo<'a> {
    /// The planner's state.
    pub root: *mut pg_sys::PlannerInfo,
    /// The relation's OID.
    pub relation_oid: pg_sys::Oid,
    /// Whether the relation stands for its children as well.
    pub inhparent: bool,
    /// The relation as the planner sees it, to be changed.
    pub rel: *mut pg_sys::RelOptInfo,
    _call: PhantomData<&'a ()>,
}

/// Registers a handler that stands around the planning of every query, and calls
/// [`PlannerCall::proceed`] for the plan, which it may change.
pub fn register_planner(handler: PlannerHandler) -> PgResult<()> {
    // SAFETY: reads and sets the hook on the backend thread; the trampoline lives as the library.
    unsafe {
        PLANNER.install("the planner", pg_sys::planner_hook, handler)?;
        pg_sys::planner_hook = Some(planner_trampoline);
    }
    Ok(())
}

/// Registers a handler that may add paths to, or take paths from, a base relation.
pub fn register_set_rel_pathlist(handler: RelPathlistHandler) -> PgResult<()> {
    // SAFETY: as in `register_planner`.
    unsafe {
        REL_PATHLIST.install("set_rel_pathlist", pg_sys::set_rel_pathlist_hook, handler)?;
        pg_sys::set_rel_pathlist_hook = Some(rel_pathlist_trampoline);
    }
    Ok(())
}

/// Registers a handler that may change what the planner takes a relation to be.
pub fn register_get_relation_info(handler: RelationInfoHandler) -> PgResult<()> {
    // SAFETY: as in `register_planner`.
    unsafe {
        RELATION_INFO.install("get_relation_info", pg_sys::get_relation_info_hook, handler)?;
        pg_sys::get_relation_info_hook = Some(relation_info_trampoline);
    }
    Ok(())
}

unsafe extern "C-unwind" fn planner_trampoline(
    query: *mut pg_sys::Query,
    query_string: *const c_char,
    cursor_options: c_int,
    params: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    guard(|| {
        let mut call = PlannerCall {
            query,
            query_string,
            cursor_options,
            params,
            _call: PhantomData,
        };
        match PLANNER.handler() {
            Some(handler) => handler(&mut call),
            None => Ok(call.proceed()),
        }
    })
}

unsafe extern "C-unwind" fn rel_pathlist_trampoline(
    root: *mut pg_sys::PlannerInfo,
    rel: *mut pg_sys::RelOptInfo,
    rti: pg_sys::Index,
    rte: *mut pg_sys::RangeTblEntry,
) {
    guard(|| {
        if let Some(previous) = REL_PATHLIST.previous() {
            // SAFETY: the arguments are PostgreSQL's own; guarded.
            unsafe { call_c!(previous, root, rel, rti, rte) }
        }
        REL_PATHLIST.handler().map_or(Ok(()), |handler| {
            handler(&RelPathlist {
                root,
                rel,
                rti,
                rte,
                _call: PhantomData,
            })
        })
    })
}

unsafe extern "C-unwind" fn relation_info_trampoline(
    root: *mut pg_sys::PlannerInfo,
    relation_oid: pg_sys::Oid,
    inhparent: bool,
    rel: *mut pg_sys::RelOptInfo,
) {
    guard(|| {
        if let Some(previous) = RELATION_INFO.previous() {
            // SAFETY: the arguments are PostgreSQL's own; guarded.
            unsafe { call_c!(previous, root, relation_oid, inhparent, rel) }
        }
        RELATION_INFO.handler().map_or(Ok(()), |handler| {
            handler(&RelationInfo {
                root,
                relation_oid,
                inhparent,
                rel,
                _call: PhantomData,
            })
        })
    })
}
