//! Memory contexts: making one current, and owning one.

use pgrx::pg_sys::{self, MemoryContext};
use std::ffi::CStr;

/// Makes a memory context current, and the one before it current again on drop.
pub(crate) struct ContextSwitch(MemoryContext);

impl ContextSwitch {
    /// # Safety
    ///
    /// `context` is a valid memory context for the life of the value.
    pub(crate) unsafe fn to(context: MemoryContext) -> Self {
        // SAFETY: the caller vouches for the context; only this thread uses the global.
        unsafe {
            let previous = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = context;
            Self(previous)
        }
    }
}

impl Drop for ContextSwitch {
    fn drop(&mut self) {
        // SAFETY: it was current when this value was made, and outer code keeps it.
        unsafe { pg_sys::CurrentMemoryContext = self.0 }
    }
}

/// A memory context that is deleted on drop.
pub(crate) struct OwnedContext(MemoryContext);

impl OwnedContext {
    /// # Safety
    ///
    /// `parent` is a valid memory context that outlives the value: neither deleted nor reset before.
    pub(crate) unsafe fn new(parent: MemoryContext, name: &'static CStr) -> Self {
        // SAFETY: the caller vouches for the parent; the name is a static C string.
        Self(unsafe {
            pg_sys::AllocSetContextCreateInternal(
                parent,
                name.as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        })
    }

    pub(crate) fn get(&self) -> MemoryContext {
        self.0
    }

    /// Frees what was allocated in the context; nothing may refer to it any more.
    pub(crate) fn reset(&self) {
        // SAFETY: the context is ours. What is in it is freed; that nobody refers to it is what the
        // callers, all in this crate, see to.
        unsafe { pg_sys::MemoryContextReset(self.0) }
    }
}

impl Drop for OwnedContext {
    fn drop(&mut self) {
        // SAFETY: the context is ours, and not current: whoever switches to it has switched back.
        unsafe { pg_sys::MemoryContextDelete(self.0) }
    }
}
