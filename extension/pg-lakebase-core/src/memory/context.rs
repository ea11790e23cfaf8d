//! Memory contexts that someone else owns.

use std::ffi::CString;
use std::ptr::NonNull;

use pgrx::pg_sys;

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
}
