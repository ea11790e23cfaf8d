//! Memory contexts, and Rust values that live and die with one.

use std::ffi::{CString, c_void};
use std::ptr::NonNull;

use pgrx::pg_sys;

use crate::error::catch_and_warn;

/// A memory context that someone else owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryContext {
    raw: NonNull<pg_sys::MemoryContextData>,
}

/// How large a context's blocks are (`ALLOCSET_*_SIZES`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllocSetSizes {
    /// Blocks from 8 kB to 8 MB.
    Default,
    /// Blocks from 1 kB to 8 kB: for contexts that hold little.
    Small,
}

impl MemoryContext {
    /// Wraps a C pointer.
    ///
    /// # Safety
    ///
    /// `raw` is a valid context for as long as the handle is used.
    #[inline]
    pub unsafe fn from_raw(raw: pg_sys::MemoryContext) -> Self {
        debug_assert!(!raw.is_null());
        Self {
            // SAFETY: the caller says that the pointer is valid.
            raw: unsafe { NonNull::new_unchecked(raw) },
        }
    }

    /// `CurrentMemoryContext`.
    #[inline]
    pub fn current() -> Self {
        // SAFETY: there is always a current context in a backend.
        unsafe { Self::from_raw(pg_sys::CurrentMemoryContext) }
    }

    /// `TopMemoryContext`, which lives as long as the process.
    pub fn top() -> Self {
        // SAFETY: always there in a backend.
        unsafe { Self::from_raw(pg_sys::TopMemoryContext) }
    }

    /// `TopTransactionContext`, which lives as long as the top-level transaction.
    pub fn top_transaction() -> Self {
        // SAFETY: there inside a transaction, where this crate's callbacks run.
        unsafe { Self::from_raw(pg_sys::TopTransactionContext) }
    }

    /// The C pointer.
    #[inline]
    pub fn as_ptr(self) -> pg_sys::MemoryContext {
        self.raw.as_ptr()
    }

    /// Creates an AllocSet context below `parent`. Deleting the parent deletes it.
    pub fn create_alloc_set(parent: Self, name: &str, sizes: AllocSetSizes) -> Self {
        let (min, init, max) = match sizes {
            AllocSetSizes::Default => (
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            ),
            AllocSetSizes::Small => (
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
            ),
        };
        // A context keeps the pointer to its name, which must be constant: the given name becomes
        // the context's identifier, which the context itself can hold.
        let identifier = CString::new(name.replace('\0', " ")).unwrap_or_default();
        // SAFETY: the parent is valid; the static name outlives the context; the identifier is
        // copied into the context itself. The calls raise or succeed.
        unsafe {
            let raw = pg_sys::AllocSetContextCreateInternal(
                parent.as_ptr(),
                c"pg-lakebase".as_ptr(),
                min,
                init,
                max,
            );
            pg_sys::MemoryContextSetIdentifier(
                raw,
                pg_sys::MemoryContextStrdup(raw, identifier.as_ptr()),
            );
            Self::from_raw(raw)
        }
    }

    /// Frees all that was allocated in the context and its children (`MemoryContextReset`).
    ///
    /// # Safety
    ///
    /// Nothing allocated in the context, and no child context, is used afterwards.
    pub unsafe fn reset(self) {
        // SAFETY: the context is valid; the rest is the caller's promise.
        unsafe { pg_sys::MemoryContextReset(self.as_ptr()) }
    }

    /// Deletes the context and its children.
    ///
    /// # Safety
    ///
    /// Neither the context, nor what was allocated in it, nor its children are used afterwards.
    pub unsafe fn delete(self) {
        // SAFETY: the context is valid; the rest is the caller's promise.
        unsafe { pg_sys::MemoryContextDelete(self.as_ptr()) }
    }

    /// Runs `body` with this as the current context. The previous one is current again afterwards,
    /// also when `body` unwinds.
    #[inline]
    pub fn switch_to<R>(self, body: impl FnOnce() -> R) -> R {
        struct Restore(pg_sys::MemoryContext);
        impl Drop for Restore {
            fn drop(&mut self) {
                // SAFETY: plain assignment of the context that was current before.
                unsafe { pg_sys::CurrentMemoryContext = self.0 }
            }
        }
        // SAFETY: plain reads and writes of the backend's own variable; the context is valid.
        let _restore = unsafe {
            let previous = Restore(pg_sys::CurrentMemoryContext);
            pg_sys::CurrentMemoryContext = self.as_ptr();
            previous
        };
        body()
    }

    /// Allocates `size` zeroed bytes in the context, aligned to 8.
    pub fn alloc_zeroed(self, size: usize) -> NonNull<u8> {
        // SAFETY: raises or gives that much memory, never null.
        unsafe {
            NonNull::new_unchecked(pg_sys::MemoryContextAllocZero(self.as_ptr(), size).cast::<u8>())
        }
    }

    /// The bytes that the context and its children hold from the operating system.
    pub fn mem_allocated(self) -> usize {
        // SAFETY: the context is valid.
        unsafe { pg_sys::MemoryContextMemAllocated(self.as_ptr(), true) as usize }
    }
}

/// A context that this handle deletes when dropped.
///
/// When a parent context may be deleted first, as on abort, do not keep the handle in a place that
/// outlives the parent: the drop would delete a context that is gone.
#[derive(Debug)]
pub struct OwnedContext {
    context: MemoryContext,
}

impl OwnedContext {
    /// Creates an AllocSet context below `parent`.
    pub fn create(parent: MemoryContext, name: &str, sizes: AllocSetSizes) -> Self {
        Self {
            context: MemoryContext::create_alloc_set(parent, name, sizes),
        }
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
        // SAFETY: the caller's promise.
        unsafe { self.context.reset() }
    }
}

impl Drop for OwnedContext {
    fn drop(&mut self) {
        // SAFETY: created by this handle and deleted once; nothing may outlive the handle.
        unsafe { self.context.delete() }
    }
}

/// What a reset callback points to: the callback, then the value.
#[repr(C)]
struct Droppable<T> {
    callback: pg_sys::MemoryContextCallback,
    value: Option<Box<T>>,
}

/// A Rust value owned by a memory context, which drops it when it is reset or deleted.
///
/// The handle is a plain pointer: it may be copied, dropped and kept in C structs at will.
pub struct ContextOwned<T: 'static> {
    raw: NonNull<Droppable<T>>,
}

impl<T: 'static> Clone for ContextOwned<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: 'static> Copy for ContextOwned<T> {}

impl<T: 'static> ContextOwned<T> {
    /// Moves `value` into the context.
    pub fn new(context: MemoryContext, value: T) -> Self {
        let value = Box::new(value);
        // The allocation may raise: `value` is then dropped by unwinding, and nothing is registered.
        let raw = context
            .alloc_zeroed(size_of::<Droppable<T>>())
            .cast::<Droppable<T>>();
        // SAFETY: fresh memory of the right size and alignment. The callback is registered last,
        // when all is in place, and lives in the memory of the context that calls it.
        unsafe {
            raw.write(Droppable {
                callback: pg_sys::MemoryContextCallback {
                    func: Some(drop_value::<T>),
                    arg: raw.as_ptr().cast(),
                    next: std::ptr::null_mut(),
                },
                value: Some(value),
            });
            pg_sys::MemoryContextRegisterResetCallback(
                context.as_ptr(),
                &raw mut (*raw.as_ptr()).callback,
            );
        }
        Self { raw }
    }

    /// The value; `None` when it was taken already.
    ///
    /// # Safety
    ///
    /// The context has not been reset since, and no other reference to the value is alive.
    pub unsafe fn get_mut<'a>(self) -> Option<&'a mut T> {
        // SAFETY: the caller's promise.
        unsafe { (*self.raw.as_ptr()).value.as_deref_mut() }
    }

    /// Takes the value out, ahead of the context's end.
    ///
    /// # Safety
    ///
    /// As [`ContextOwned::get_mut`].
    pub unsafe fn take(self) -> Option<T> {
        // SAFETY: the caller's promise.
        unsafe { (*self.raw.as_ptr()).value.take().map(|value| *value) }
    }

    /// The value's address, valid until it is taken or the context is reset.
    pub fn as_ptr(self) -> *mut T {
        // SAFETY: computing the address of a field of a live allocation; a taken value gives null.
        unsafe {
            (*self.raw.as_ptr())
                .value
                .as_deref_mut()
                .map_or(std::ptr::null_mut(), |value| &raw mut *value)
        }
    }
}

/// The reset callback. It must not raise: a failing destructor becomes a WARNING.
unsafe extern "C-unwind" fn drop_value<T>(arg: *mut c_void) {
    // SAFETY: `arg` is the `Droppable` that registered the callback; its memory is freed only after
    // the callback ran, and the value is taken out before its destructor can see it.
    let value = unsafe { (*arg.cast::<Droppable<T>>()).value.take() };
    if let Some(value) = value {
        catch_and_warn(|| {
            drop(value);
            Ok(())
        });
    }
}

/// Moves `value` into the context, which drops it when it is reset or deleted, and returns the
/// value's address. To drop it earlier, keep a [`ContextOwned`] instead.
pub fn alloc_with_drop<T: 'static>(context: MemoryContext, value: T) -> *mut T {
    ContextOwned::new(context, value).as_ptr()
}
