//! The executor's four steps.

use std::ffi::c_int;
use std::marker::PhantomData;

use pgrx::pg_sys;

use super::registry::Registry;
use crate::error::PgResult;
use crate::guard::{call_c, guard};
use crate::table_am::ScanDirection;

type RawStart = unsafe extern "C-unwind" fn(*mut pg_sys::QueryDesc, c_int);
type RawRun =
    unsafe extern "C-unwind" fn(*mut pg_sys::QueryDesc, pg_sys::ScanDirection::Type, u64, bool);
type RawDone = unsafe extern "C-unwind" fn(*mut pg_sys::QueryDesc);

static START: Registry<RawStart, fn(&mut ExecutorStartCall<'_>) -> PgResult<()>> = Registry::new();
static RUN: Registry<RawRun, fn(&mut ExecutorRunCall<'_>) -> PgResult<()>> = Registry::new();
static FINISH: Registry<RawDone, fn(&mut ExecutorFinishCall<'_>) -> PgResult<()>> = Registry::new();
static END: Registry<RawDone, fn(&mut ExecutorEndCall<'_>) -> PgResult<()>> = Registry::new();

unsafe extern "C-unwind" {
    // Past pgrx's guard, which would strip errors of what it does not know.
    #[link_name = "standard_ExecutorStart"]
    fn standard_start(query_desc: *mut pg_sys::QueryDesc, eflags: c_int);
    #[link_name = "standard_ExecutorRun"]
    fn standard_run(
        query_desc: *mut pg_sys::QueryDesc,
        direction: pg_sys::ScanDirection::Type,
        count: u64,
        execute_once: bool,
    );
    #[link_name = "standard_ExecutorFinish"]
    fn standard_finish(query_desc: *mut pg_sys::QueryDesc);
    #[link_name = "standard_ExecutorEnd"]
    fn standard_end(query_desc: *mut pg_sys::QueryDesc);
}

/// A plan about to be made ready.
pub struct ExecutorStartCall<'a> {
    /// The query.
    pub query_desc: *mut pg_sys::QueryDesc,
    /// PostgreSQL's `EXEC_FLAG_*` bits.
    pub eflags: i32,
    _call: PhantomData<&'a ()>,
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

/// A plan about to be run to its end: AFTER triggers fire.
pub struct ExecutorFinishCall<'a> {
    /// The query.
    pub query_desc: *mut pg_sys::QueryDesc,
    _call: PhantomData<&'a ()>,
}

/// A plan about to be closed.
pub struct ExecutorEndCall<'a> {
    /// The query.
    pub query_desc: *mut pg_sys::QueryDesc,
    _call: PhantomData<&'a ()>,
}

impl ExecutorStartCall<'_> {
    /// Goes on: by whoever had the hook before, or PostgreSQL.
    pub fn proceed(&mut self) {
        let (query_desc, eflags) = (self.query_desc, self.eflags);
        // SAFETY: the arguments are PostgreSQL's own; guarded. The same holds below.
        unsafe {
            match START.previous() {
                Some(previous) => call_c!(previous, query_desc, eflags),
                None => call_c!(standard_start, query_desc, eflags),
            }
        }
    }
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
        // SAFETY: see `ExecutorStartCall::proceed`.
        unsafe {
            match RUN.previous() {
                Some(previous) => call_c!(previous, query_desc, direction, count, execute_once),
                None => call_c!(standard_run, query_desc, direction, count, execute_once),
            }
        }
    }
}

impl ExecutorFinishCall<'_> {
    /// Goes on: by whoever had the hook before, or PostgreSQL.
    pub fn proceed(&mut self) {
        let query_desc = self.query_desc;
        // SAFETY: see `ExecutorStartCall::proceed`.
        unsafe {
            match FINISH.previous() {
                Some(previous) => call_c!(previous, query_desc),
                None => call_c!(standard_finish, query_desc),
            }
        }
    }
}

impl ExecutorEndCall<'_> {
    /// Goes on: by whoever had the hook before, or PostgreSQL.
    pub fn proceed(&mut self) {
        let query_desc = self.query_desc;
        // SAFETY: see `ExecutorStartCall::proceed`.
        unsafe {
            match END.previous() {
                Some(previous) => call_c!(previous, query_desc),
                None => call_c!(standard_end, query_desc),
            }
        }
    }
}

/// Registers a handler that stands around ExecutorStart.
pub fn register_executor_start(
    handler: fn(&mut ExecutorStartCall<'_>) -> PgResult<()>,
) -> PgResult<()> {
    // SAFETY: reads and sets the hook on the backend thread; the trampoline lives as the library.
    unsafe {
        START.install("ExecutorStart", pg_sys::ExecutorStart_hook, handler)?;
        pg_sys::ExecutorStart_hook = Some(start_trampoline);
    }
    Ok(())
}

/// Registers a handler that stands around ExecutorRun.
pub fn register_executor_run(
    handler: fn(&mut ExecutorRunCall<'_>) -> PgResult<()>,
) -> PgResult<()> {
    // SAFETY: as in `register_executor_start`.
    unsafe {
        RUN.install("ExecutorRun", pg_sys::ExecutorRun_hook, handler)?;
        pg_sys::ExecutorRun_hook = Some(run_trampoline);
    }
    Ok(())
}

/// Registers a handler that stands around ExecutorFinish.
pub fn register_executor_finish(
    handler: fn(&mut ExecutorFinishCall<'_>) -> PgResult<()>,
) -> PgResult<()> {
    // SAFETY: as in `register_executor_start`.
    unsafe {
        FINISH.install("ExecutorFinish", pg_sys::ExecutorFinish_hook, handler)?;
        pg_sys::ExecutorFinish_hook = Some(finish_trampoline);
    }
    Ok(())
}

/// Registers a handler that stands around ExecutorEnd. It does not run for queries that failed.
pub fn register_executor_end(
    handler: fn(&mut ExecutorEndCall<'_>) -> PgResult<()>,
) -> PgResult<()> {
    // SAFETY: as in `register_executor_start`.
    unsafe {
        END.install("ExecutorEnd", pg_sys::ExecutorEnd_hook, handler)?;
        pg_sys::ExecutorEnd_hook = Some(end_trampoline);
    }
    Ok(())
}

/// Runs the handler of a trampoline, which is there whenever the trampoline is.
fn run<C>(handler: Option<fn(&mut C) -> PgResult<()>>, mut call: C, proceed: fn(&mut C)) {
    guard(|| match handler {
        Some(handler) => handler(&mut call),
        None => {
            proceed(&mut call);
            Ok(())
        }
    });
}

unsafe extern "C-unwind" fn start_trampoline(query_desc: *mut pg_sys::QueryDesc, eflags: c_int) {
    let call = ExecutorStartCall {
        query_desc,
        eflags,
        _call: PhantomData,
    };
    run(START.handler(), call, ExecutorStartCall::proceed);
}

unsafe extern "C-unwind" fn run_trampoline(
    query_desc: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    execute_once: bool,
) {
    let call = ExecutorRunCall {
        query_desc,
        direction,
        count,
        execute_once,
        _call: PhantomData,
    };
    run(RUN.handler(), call, ExecutorRunCall::proceed);
}

unsafe extern "C-unwind" fn finish_trampoline(query_desc: *mut pg_sys::QueryDesc) {
    let call = ExecutorFinishCall {
        query_desc,
        _call: PhantomData,
    };
    run(FINISH.handler(), call, ExecutorFinishCall::proceed);
}

unsafe extern "C-unwind" fn end_trampoline(query_desc: *mut pg_sys::QueryDesc) {
    let call = ExecutorEndCall {
        query_desc,
        _call: PhantomData,
    };
    run(END.handler(), call, ExecutorEndCall::proceed);
}
