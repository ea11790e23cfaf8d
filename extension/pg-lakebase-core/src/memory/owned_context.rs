//! Memory contexts that a Rust value owns.

use std::cell::Cell;
use std::ffi::c_void;
use std::rc::Rc;

use pgrx::pg_sys;

use super::{AllocSetSizes, MemoryContext};

/// A context that this handle deletes when dropped, unless its parent took it along before.
///
/// On abort PostgreSQL deletes whole trees of contexts, children first: a Rust value that is dropped
/// by its own context's end may hold handles of contexts that are gone already.
#[derive(Debug)]
pub struct OwnedContext {
    context: MemoryContext,
    /// Whether the context exists. Shared with its reset callback.
    alive: Rc<Cell<bool>>,
}

impl OwnedContext {
    /// Creates an AllocSet context below `parent`.
    pub fn create(parent: MemoryContext, name: &str, sizes: AllocSetSizes) -> Self {
        let owned = Self {
            context: MemoryContext::create_alloc_set(parent, name, sizes),
            alive: Rc::new(Cell::new(true)),
        };
        owned.watch();
        owned
    }

    /// The handle.
    #[inline]
    pub fn context(&self) -> MemoryContext {
        self.context
    }

    /// Frees all that was allocated in the context.
    ///
    /// # Safety
    ///
    /// As [`MemoryContext::reset`].
    pub unsafe fn reset(&mut self) {
        if !self.alive.get() {
            return;
        }
        // SAFETY: the context is alive; the rest is the caller's promise.
        unsafe { self.context.reset() }
        self.alive.set(true);
        self.watch();
    }

    /// Registers the callback by which the context tells that it is reset or deleted. Its memory is
    /// the context's own.
    fn watch(&self) {
        let callback = self
            .context
            .alloc_zeroed(size_of::<pg_sys::MemoryContextCallback>())
            .cast::<pg_sys::MemoryContextCallback>();
        // SAFETY: fresh memory of the right size; the callback takes over one count of `alive`.
        unsafe {
            callback.write(pg_sys::MemoryContextCallback {
                func: Some(gone),
                arg: Rc::into_raw(Rc::clone(&self.alive)).cast_mut().cast(),
                next: std::ptr::null_mut(),
            });
            pg_sys::MemoryContextRegisterResetCallback(self.context.as_ptr(), callback.as_ptr());
        }
    }
}

impl Drop for OwnedContext {
    fn drop(&mut self) {
        if self.alive.get() {
            // SAFETY: created by this handle and still alive; nothing may outlive the handle.
            unsafe { self.context.delete() }
        }
    }
}

/// The reset callback, called once for each `watch`.
unsafe extern "C-unwind" fn gone(arg: *mut c_void) {
    // SAFETY: `arg` is the count that `watch` gave away.
    let alive = unsafe { Rc::from_raw(arg.cast_const().cast::<Cell<bool>>()) };
    alive.set(false);
}
