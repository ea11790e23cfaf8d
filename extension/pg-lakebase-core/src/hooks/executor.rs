//! The executor at work.

use std::ffi::c_int;
use std::marker::PhantomData;

use pgrx::pg_sys;

use super::registry::Registry;
use crate::error::PgResult;
use crate::guard::{call_c, guard};
use crate::table_am::ScanDirection;

type RawRun =
    unsafe extern "C-unwind" fn(*mut pg_sys::QueryDesc, pg_sys::ScanDirection::Type, u64, bool);

type RawStart = unsafe extern "C-unwind" fn(*mut pg_sys::QueryDesc, c_int);

static START: Registry<RawStart, fn(*mut pg_sys::QueryDesc) -> PgResult<()>> = Registry::new();
static RUN: Registry<RawRun, fn(&mut ExecutorRunCall<'_>) -> PgResult<()>> = Registry::new();

unsafe extern "C-unwind" {
    // Past pgrx's guard, which would strip errors of what it does not know.
    #[link_name = "standard_ExecutorStart"]
    fn standard_start(query_desc: *mut pg_sys::QueryDesc, flags: c_int);
    #[link_name = "standard_ExecutorRun"]
    fn standard_run(
        query_desc: *mut pg_sys::QueryDesc,
        direction: pg_sys::ScanDirection::Type,
        count: u64,
        execute_once: bool,
    );
}

/// Registers a handler that is told of a query whose plan is about to be started, with its tables locked.
pub fn register_executor_start(
    handler: fn(*mut pg_sys::QueryDesc) -> PgResult<()>,
) -> PgResult<()> {
    // SAFETY: reads and sets the hook on the backend thread; the trampoline lives as the library.
    unsafe {
        START.install("ExecutorStart", pg_sys::ExecutorStart_hook, handler)?;
        pg_sys::ExecutorStart_hook = Some(start_trampoline);
    }
    Ok(())
}

unsafe extern "C-unwind" fn start_trampoline(query_desc: *mut pg_sys::QueryDesc, flags: c_int) {
    guard(|| {
        if let Some(handler) = START.handler() {
            handler(query_desc)?;
        }
        // SAFETY: the arguments are PostgreSQL's own; guarded.
        unsafe {
            match START.previous() {
                Some(previous) => call_c!(previous, query_desc, flags),
                None => call_c!(standard_start, query_desc, flags),
            }
        }
        Ok(())
    });
}

/// A plan about to be run.
pub struct ExecutorRunCall<'a> {
    /// The query.
    pub query_desc: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    /// How many rows are wanted; 0 for all.
    pub count: u64,
    execute_once: bool,
    _call: PhantomData<&'a ()>,
}

impl ExecutorRunCall<'_> {
    /// The direction to run in.
    pub fn direction(&self) -> ScanDirection {
        ScanDirection::from_raw(self.direction)
    }

    /// Goes on: by whoever had the hook before, or PostgreSQL.
    pub fn proceed(&mut self) {
        let (query_desc, direction) = (self.query_desc, self.direction);
        let (count, execute_once) = (self.count, self.execute_once);
        // SAFETY: the arguments are PostgreSQL's own; guarded.
        unsafe {
            match RUN.previous() {
                Some(previous) => call_c!(previous, query_desc, direction, count, execute_once),
                None => call_c!(standard_run, query_desc, direction, count, execute_once),
            }
        }
    }
}

/// Registers a handler that stands around ExecutorRun.
pub fn register_executor_run(
    handler: fn(&mut ExecutorRunCall<'_>) -> PgResult<()>,
) -> PgResult<()> {
    // SAFETY: reads and sets the hook on the backend thread; the trampoline lives as the library.
    unsafe {
        RUN.install("ExecutorRun", pg_sys::ExecutorRun_hook, handler)?;
        pg_sys::ExecutorRun_hook = Some(run_trampoline);
    }
    Ok(())
}

unsafe extern "C-unwind" fn run_trampoline(
    query_desc: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    execute_once: bool,
) {
    let mut call = ExecutorRunCall {
        query_desc,
        direction,
        count,
        execute_once,
        _call: PhantomData,
    };
    // The handler is there whenever the trampoline is.
    guard(|| match RUN.handler() {
        Some(handler) => handler(&mut call),
        None => {
            call.proceed();
            Ok(())
        }
    });
}
