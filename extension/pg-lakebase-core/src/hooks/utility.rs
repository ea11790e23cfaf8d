//! Utility statements: everything that is not planned.

use std::ffi::{CStr, c_char};
use std::marker::PhantomData;

use pgrx::pg_sys;

use super::registry::Registry;
use crate::error::PgResult;
use crate::guard::{call_c, guard};

type Raw = unsafe extern "C-unwind" fn(
    *mut pg_sys::PlannedStmt,
    *const c_char,
    bool,
    pg_sys::ProcessUtilityContext::Type,
    pg_sys::ParamListInfo,
    *mut pg_sys::QueryEnvironment,
    *mut pg_sys::DestReceiver,
    *mut pg_sys::QueryCompletion,
);
type Handler = fn(&mut UtilityCall<'_>) -> PgResult<()>;

static REGISTRY: Registry<Raw, Handler> = Registry::new();

unsafe extern "C-unwind" {
    /// Past pgrx's guard, which would strip errors of what it does not know.
    #[link_name = "standard_ProcessUtility"]
    fn standard_process_utility(
        pstmt: *mut pg_sys::PlannedStmt,
        query_string: *const c_char,
        read_only_tree: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        params: pg_sys::ParamListInfo,
        query_env: *mut pg_sys::QueryEnvironment,
        dest: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

/// Where a utility statement comes from (`ProcessUtilityContext`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UtilityContext {
    /// From the client.
    TopLevel,
    /// A complete query, but not from the client.
    Query,
    /// The same in a context where transactions may be controlled.
    QueryNonAtomic,
    /// A part of another statement.
    Subcommand,
}

/// A utility statement about to be executed.
pub struct UtilityCall<'a> {
    pstmt: *mut pg_sys::PlannedStmt,
    query_string: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    query_env: *mut pg_sys::QueryEnvironment,
    dest: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
    _call: PhantomData<&'a ()>,
}

impl UtilityCall<'_> {
    /// The statement, whose node tag tells what it is. It must not be changed, see
    /// [`UtilityCall::statement_to_change`].
    pub fn statement(&self) -> *mut pg_sys::Node {
        // SAFETY: the statement is valid during the call.
        unsafe { (*self.pstmt).utilityStmt }
    }

    /// The statement for changing: a copy, if the tree belongs to a plan cache.
    pub fn statement_to_change(&mut self) -> *mut pg_sys::Node {
        if self.read_only_tree {
            // SAFETY: the statement is valid; copying raises or gives a copy in the current context.
            self.pstmt = unsafe { pg_sys::copyObjectImpl(self.pstmt.cast()).cast() };
            self.read_only_tree = false;
        }
        self.statement()
    }

    /// The text of the whole query string.
    pub fn query_string(&self) -> &str {
        // SAFETY: PostgreSQL's query strings are terminated and live as long as the call; they are
        // in the server's encoding, and what is not UTF-8 is cut off.
        let bytes = unsafe { CStr::from_ptr(self.query_string) };
        match bytes.to_str() {
            Ok(text) => text,
            Err(error) => {
                std::str::from_utf8(&bytes.to_bytes()[..error.valid_up_to()]).unwrap_or_default()
            }
        }
    }

    /// Where the statement comes from.
    pub fn context(&self) -> UtilityContext {
        match self.context {
            pg_sys::ProcessUtilityContext::PROCESS_UTILITY_TOPLEVEL => UtilityContext::TopLevel,
            pg_sys::ProcessUtilityContext::PROCESS_UTILITY_QUERY => UtilityContext::Query,
            pg_sys::ProcessUtilityContext::PROCESS_UTILITY_QUERY_NONATOMIC => {
                UtilityContext::QueryNonAtomic
            }
            _ => UtilityContext::Subcommand,
        }
    }

    /// Executes the statement: by whoever had the hook before, or PostgreSQL.
    pub fn proceed(&mut self) {
        let (pstmt, query_string, read_only_tree, context) = (
            self.pstmt,
            self.query_string,
            self.read_only_tree,
            self.context,
        );
        let (params, query_env, dest, completion) =
            (self.params, self.query_env, self.dest, self.completion);
        // SAFETY: the arguments are PostgreSQL's own, or a copy of the statement; guarded.
        unsafe {
            match REGISTRY.previous() {
                Some(previous) => call_c!(
                    previous,
                    pstmt,
                    query_string,
                    read_only_tree,
                    context,
                    params,
                    query_env,
                    dest,
                    completion,
                ),
                None => call_c!(
                    standard_process_utility,
                    pstmt,
                    query_string,
                    read_only_tree,
                    context,
                    params,
                    query_env,
                    dest,
                    completion,
                ),
            }
        }
    }
}

/// Registers a handler that stands around every utility statement, and calls
/// [`UtilityCall::proceed`] to have it executed.
pub fn register_process_utility(handler: Handler) -> PgResult<()> {
    // SAFETY: reads and sets the hook on the backend thread; the trampoline lives as the library.
    unsafe {
        REGISTRY.install("ProcessUtility", pg_sys::ProcessUtility_hook, handler)?;
        pg_sys::ProcessUtility_hook = Some(trampoline);
    }
    Ok(())
}

unsafe extern "C-unwind" fn trampoline(
    pstmt: *mut pg_sys::PlannedStmt,
    query_string: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    query_env: *mut pg_sys::QueryEnvironment,
    dest: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    guard(|| {
        let mut call = UtilityCall {
            pstmt,
            query_string,
            read_only_tree,
            context,
            params,
            query_env,
            dest,
            completion,
            _call: PhantomData,
        };
        match REGISTRY.handler() {
            Some(handler) => handler(&mut call),
            None => {
                call.proceed();
                Ok(())
            }
        }
    })
}
