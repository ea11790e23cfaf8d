//! Rust values that a resource owner releases.
//!
//! A memory context drops its values when memory goes, late in an abort. A resource owner releases
//! when resources go: at the end of a query's portal, of a subtransaction or transaction, with locks
//! still held. Values that nobody forgot are released with PostgreSQL's WARNING on commit, silently
//! on abort.

use std::any::Any;
use std::ffi::c_char;
use std::ptr::NonNull;

use pgrx::pg_sys;

use crate::error::catch_and_warn;

/// A resource owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceOwner {
    raw: NonNull<pg_sys::ResourceOwnerData>,
}

/// A value that a resource owner will drop. The handle is a plain pointer.
#[derive(Debug, Clone, Copy)]
pub struct Remembered {
    owner: ResourceOwner,
    value: NonNull<Held>,
}

/// What the owner is given: a thin pointer to a value of any type.
struct Held {
    value: Box<dyn Any>,
}

/// A descriptor in static memory.
#[repr(transparent)]
struct Descriptor(pg_sys::ResourceOwnerDesc);

// SAFETY: the descriptor is constant.
unsafe impl Sync for Descriptor {}

static DESCRIPTOR: Descriptor = Descriptor(pg_sys::ResourceOwnerDesc {
    name: c"pg-lakebase resource".as_ptr(),
    release_phase: pg_sys::ResourceReleasePhase::RESOURCE_RELEASE_BEFORE_LOCKS,
    release_priority: pg_sys::RELEASE_PRIO_FIRST,
    ReleaseResource: Some(release),
    DebugPrint: None::<unsafe extern "C-unwind" fn(pg_sys::Datum) -> *mut c_char>,
});

impl ResourceOwner {
    /// `CurrentResourceOwner`, if there is one.
    pub fn current() -> Option<Self> {
        // SAFETY: reads the backend's own variable.
        NonNull::new(unsafe { pg_sys::CurrentResourceOwner }).map(|raw| Self { raw })
    }

    /// The top-level transaction's owner, if a transaction is in progress.
    pub fn top_transaction() -> Option<Self> {
        // SAFETY: reads the backend's own variable.
        NonNull::new(unsafe { pg_sys::TopTransactionResourceOwner }).map(|raw| Self { raw })
    }

    /// Gives `value` to the owner, which drops it when it releases its resources.
    pub fn remember<T: 'static>(self, value: T) -> Remembered {
        // Making room may raise; after it, remembering cannot.
        // SAFETY: the owner is live: it is current, or the transaction's.
        unsafe { pg_sys::ResourceOwnerEnlarge(self.raw.as_ptr()) }
        let held = Box::new(Held {
            value: Box::new(value),
        });
        let value = NonNull::from(Box::leak(held));
        // SAFETY: as above; the descriptor is static.
        unsafe {
            pg_sys::ResourceOwnerRemember(
                self.raw.as_ptr(),
                pg_sys::Datum::from(value.as_ptr()),
                &raw const DESCRIPTOR.0,
            );
        }
        Remembered { owner: self, value }
    }
}

impl Remembered {
    /// Takes the value back from the owner; `None` if it is not a `T`, in which case it is dropped.
    ///
    /// # Safety
    ///
    /// The owner has not released its resources, and the value was not forgotten before.
    pub unsafe fn forget<T: 'static>(self) -> Option<T> {
        // SAFETY: the caller says that the owner still holds the value; the box is ours again then.
        let held = unsafe {
            pg_sys::ResourceOwnerForget(
                self.owner.raw.as_ptr(),
                pg_sys::Datum::from(self.value.as_ptr()),
                &raw const DESCRIPTOR.0,
            );
            Box::from_raw(self.value.as_ptr())
        };
        held.value.downcast::<T>().ok().map(|value| *value)
    }
}

/// The release callback. It must not raise: a failing destructor becomes a WARNING.
unsafe extern "C-unwind" fn release(value: pg_sys::Datum) {
    // SAFETY: the owner gives back, once, what `remember` leaked.
    let held = unsafe { Box::from_raw(value.cast_mut_ptr::<Held>()) };
    catch_and_warn(|| {
        drop(held);
        Ok(())
    });
}
