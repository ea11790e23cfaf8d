//! Shared memory: when it is made, which is at the server's start and again after a backend's crash, and texts in it.

use std::sync::OnceLock;

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
