//! Catalog objects coming and going.

use std::ffi::{c_int, c_void};

use pgrx::pg_sys;

use super::registry::Registry;
use crate::error::PgResult;
use crate::guard::{call_c, guard};

type Raw = unsafe extern "C-unwind" fn(
    pg_sys::ObjectAccessType::Type,
    pg_sys::Oid,
    pg_sys::Oid,
    c_int,
    *mut c_void,
);
type Handler = fn(&ObjectAccessEvent) -> PgResult<()>;

static REGISTRY: Registry<Raw, Handler> = Registry::new();

/// PostgreSQL's `PERFORM_DELETION_*` flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropFlags(i32);

impl DropFlags {
    /// The C bits.
    pub const fn bits(self) -> i32 {
        self.0
    }

    /// Whether the drop is a side effect of something else, not asked for by the user.
    pub const fn is_internal(self) -> bool {
        self.0 & pg_sys::PERFORM_DELETION_INTERNAL as i32 != 0
    }
}

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectAccess {
    /// The object was made; its catalog rows are not visible yet.
    PostCreate { is_internal: bool },
    /// The object is about to be dropped; its catalog rows are still there.
    Drop { flags: DropFlags },
    /// The object was altered; the change is not visible yet.
    PostAlter {
        auxiliary_id: pg_sys::Oid,
        is_internal: bool,
    },
    /// The table is about to be truncated.
    Truncate,
}

/// An object, and what happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectAccessEvent {
    /// The catalog that the object is in.
    pub class_id: pg_sys::Oid,
    /// The object.
    pub object_id: pg_sys::Oid,
    /// A part of it, a column; 0 for all.
    pub sub_id: i32,
    /// What happens.
    pub access: ObjectAccess,
}

/// Registers a handler that is told of objects being created, altered, truncated and dropped. Schema
/// searches and function executions are left out.
pub fn register_object_access(handler: Handler) -> PgResult<()> {
    // SAFETY: reads and sets the hook on the backend thread; the trampoline lives as the library.
    unsafe {
        REGISTRY.install("object_access", pg_sys::object_access_hook, handler)?;
        pg_sys::object_access_hook = Some(trampoline);
    }
    Ok(())
}

/// # Safety
///
/// `arg` is what PostgreSQL passes with an event of this type.
unsafe fn typed(access: pg_sys::ObjectAccessType::Type, arg: *mut c_void) -> Option<ObjectAccess> {
    // SAFETY: the caller's promise; a missing argument stands for zeros.
    unsafe {
        match access {
            pg_sys::ObjectAccessType::OAT_POST_CREATE => Some(ObjectAccess::PostCreate {
                is_internal: arg
                    .cast::<pg_sys::ObjectAccessPostCreate>()
                    .as_ref()
                    .is_some_and(|arg| arg.is_internal),
            }),
            pg_sys::ObjectAccessType::OAT_DROP => Some(ObjectAccess::Drop {
                flags: DropFlags(
                    arg.cast::<pg_sys::ObjectAccessDrop>()
                        .as_ref()
                        .map_or(0, |arg| arg.dropflags),
                ),
            }),
            pg_sys::ObjectAccessType::OAT_POST_ALTER => {
                let arg = arg.cast::<pg_sys::ObjectAccessPostAlter>().as_ref();
                Some(ObjectAccess::PostAlter {
                    auxiliary_id: arg.map_or(pg_sys::InvalidOid, |arg| arg.auxiliary_id),
                    is_internal: arg.is_some_and(|arg| arg.is_internal),
                })
            }
            pg_sys::ObjectAccessType::OAT_TRUNCATE => Some(ObjectAccess::Truncate),
            _ => None,
        }
    }
}

unsafe extern "C-unwind" fn trampoline(
    access: pg_sys::ObjectAccessType::Type,
    class_id: pg_sys::Oid,
    object_id: pg_sys::Oid,
    sub_id: c_int,
    arg: *mut c_void,
) {
    guard(|| {
        if let Some(previous) = REGISTRY.previous() {
            // SAFETY: the arguments are PostgreSQL's own; guarded.
            unsafe { call_c!(previous, access, class_id, object_id, sub_id, arg) }
        }
        // SAFETY: the argument belongs to the event.
        match (REGISTRY.handler(), unsafe { typed(access, arg) }) {
            (Some(handler), Some(access)) => handler(&ObjectAccessEvent {
                class_id,
                object_id,
                sub_id,
                access,
            }),
            _ => Ok(()),
        }
    })
}
