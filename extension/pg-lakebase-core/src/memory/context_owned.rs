//! Rust values that a memory context owns.

use std::ffi::c_void;
use std::ptr::NonNull;

use pgrx::pg_sys;

use super::MemoryContext;
use crate::error::catch_and_warn;

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
