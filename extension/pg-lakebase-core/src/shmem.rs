//! Shared memory: when it is made, which is at the server's start and again after a backend's crash, large pieces of it, and
//! texts in it.

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use pgrx::pg_sys;

use crate::error::PgResult;
use crate::guard::{call_c, guard};

/// The most bytes of a [`Message`].
const MESSAGE: usize = 240;

/// An error's message, as far as there is room for it: plain data, for shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    bytes: [u8; MESSAGE],
    length: u8,
}

impl Message {
    /// The beginning of `text`.
    pub fn new(text: &str) -> Self {
        let length = text.floor_char_boundary(MESSAGE);
        let mut bytes = [0; MESSAGE];
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self {
            bytes,
            length: length as u8,
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes[..usize::from(self.length)]).into_owned()
    }
}

/// A piece of shared memory that begins as zeros, and may be too large for a stack, on which pgrx makes what it puts there.
pub struct Zeroed<T> {
    name: &'static CStr,
    place: AtomicPtr<T>,
}

/// What can be shared between processes, and begins as zeros.
///
/// # Safety
///
/// All bytes zero are a valid value, which holds no pointers, and may be used by several processes at a time.
pub unsafe trait SharedZeros: Sync + 'static {}

impl<T: SharedZeros> Zeroed<T> {
    /// Nothing yet; the name is one that no other shared memory has.
    pub const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            place: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Asks for it. Once, and only while the library is preloaded.
    pub fn register(&'static self) {
        let mut pieces = PIECES.lock().unwrap_or_else(PoisonError::into_inner);
        if pieces.is_empty() {
            // SAFETY: reads and sets the hooks while the postmaster loads libraries; the functions are those of a library
            // that stays loaded.
            unsafe {
                let before = (pg_sys::shmem_request_hook, pg_sys::shmem_startup_hook);
                if BEFORE_PIECES.set(before).is_ok() {
                    pg_sys::shmem_request_hook = Some(request_pieces);
                    pg_sys::shmem_startup_hook = Some(place_pieces);
                }
            }
        }
        pieces.push(self);
    }

    /// The memory; `None` before it is made.
    pub fn get(&self) -> Option<&T> {
        // SAFETY: null, or shared memory of this type that stays as long as the process.
        unsafe { self.place.load(Ordering::Relaxed).as_ref() }
    }
}

/// A [`Zeroed`] of any type.
trait Piece: Sync {
    fn bytes(&self) -> usize;

    /// # Safety
    ///
    /// In `shmem_startup_hook`.
    unsafe fn place(&self);
}

impl<T: SharedZeros> Piece for Zeroed<T> {
    fn bytes(&self) -> usize {
        size_of::<T>()
    }

    unsafe fn place(&self) {
        let mut found = false;
        // SAFETY: the caller's; the size is what was asked for, and shared memory is aligned to cache lines.
        unsafe {
            let place = pg_sys::ShmemInitStruct(self.name.as_ptr(), self.bytes(), &raw mut found);
            if !found {
                std::ptr::write_bytes(place.cast::<u8>(), 0, self.bytes());
            }
            self.place.store(place.cast(), Ordering::Relaxed);
        }
    }
}

static PIECES: Mutex<Vec<&'static dyn Piece>> = Mutex::new(Vec::new());
static BEFORE_PIECES: OnceLock<(Option<RawHook>, Option<RawHook>)> = OnceLock::new();

fn each_piece(work: impl FnMut(&&'static dyn Piece)) {
    let pieces = PIECES.lock().unwrap_or_else(PoisonError::into_inner);
    pieces.iter().for_each(work);
}

unsafe extern "C-unwind" fn request_pieces() {
    guard(|| {
        if let Some((Some(previous), _)) = BEFORE_PIECES.get() {
            // SAFETY: whoever had the hook before; guarded.
            unsafe { call_c!(previous,) };
        }
        // SAFETY: in the hook that is for this.
        each_piece(|piece| unsafe { pg_sys::RequestAddinShmemSpace(piece.bytes()) });
        Ok(())
    });
}

unsafe extern "C-unwind" fn place_pieces() {
    guard(|| {
        if let Some((_, Some(previous))) = BEFORE_PIECES.get() {
            // SAFETY: whoever had the hook before; guarded.
            unsafe { call_c!(previous,) };
        }
        /// `AddinShmemInitLock`.
        const LOCK: usize = 21;
        // SAFETY: in the hook that is for this, under the lock that is for this.
        unsafe {
            let lock = &raw mut (*pg_sys::MainLWLockArray.add(LOCK)).lock;
            pg_sys::LWLockAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
            each_piece(|piece| piece.place());
            pg_sys::LWLockRelease(lock);
        }
        Ok(())
    });
}

type RawHook = unsafe extern "C-unwind" fn();

type Startup = fn() -> PgResult<()>;

/// Whoever had the hook before, and our work.
static STARTUP: OnceLock<(Option<RawHook>, Startup)> = OnceLock::new();

/// Has `startup` run whenever shared memory was made, before recovery and before any backend
/// (`shmem_startup_hook`). Once, and only while the library is preloaded.
pub fn register_startup(startup: Startup) {
    // SAFETY: reads and sets the hook while the postmaster loads libraries; the function is that of a
    // library that stays loaded.
    unsafe {
        if STARTUP.set((pg_sys::shmem_startup_hook, startup)).is_ok() {
            pg_sys::shmem_startup_hook = Some(trampoline);
        }
    }
}

unsafe extern "C-unwind" fn trampoline() {
    guard(|| {
        let Some((previous, startup)) = STARTUP.get() else {
            return Ok(());
        };
        if let Some(previous) = previous {
            // SAFETY: whoever had the hook before; guarded.
            unsafe { call_c!(previous,) };
        }
        startup()
    });
}

/// Whether the server was not shut down in an orderly way, or was restored from a backup, so that
/// recovery will run. To be asked in the hook of [`register_startup`].
pub fn recovery_is_due() -> bool {
    let exists = |name: &str| std::path::Path::new(name).exists();
    let mut crc_ok = false;
    // SAFETY: reads the control file of the data directory, which is the working directory; the
    // result is palloc'd, or the function raises.
    let state = unsafe {
        let control = pg_sys::get_controlfile(c".".as_ptr(), &raw mut crc_ok);
        let state = (*control).state;
        pg_sys::pfree(control.cast());
        state
    };
    state != pg_sys::DBState::DB_SHUTDOWNED
        || ["backup_label", "standby.signal", "recovery.signal"]
            .iter()
            .any(|name| exists(name))
}
