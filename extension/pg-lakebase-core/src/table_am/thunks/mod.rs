//! The functions that PostgreSQL calls, one a callback, in the order of `access/tableam.h`.
//!
//! Each turns pointers into handles, calls one method under the guard, and turns the result back.
//! What they rely on is PostgreSQL's side of the contract: pointers are valid for the call, and
//! relations stay open as long as a scan of them.

pub(super) mod ddl;
pub(super) mod index;
pub(super) mod modify;
pub(super) mod relation;
pub(super) mod scan;
