//! Where a hook keeps this library's handler, and who had the hook before.

use std::cell::Cell;

use crate::error::{PgError, PgResult};

/// The state of one hook: `P` is PostgreSQL's pointer type, `H` the handler's.
pub(super) struct Registry<P: Copy, H: Copy> {
    previous: Cell<Option<P>>,
    handler: Cell<Option<H>>,
}

// SAFETY: hooks are registered and run on the backend thread only.
unsafe impl<P: Copy, H: Copy> Sync for Registry<P, H> {}

impl<P: Copy, H: Copy> Registry<P, H> {
    pub(super) const fn new() -> Self {
        Self {
            previous: Cell::new(None),
            handler: Cell::new(None),
        }
    }

    /// Remembers handler and predecessor; fails if this library has a handler already.
    pub(super) fn install(&self, name: &str, previous: Option<P>, handler: H) -> PgResult<()> {
        if self.handler.get().is_some() {
            return Err(PgError::internal(format!("{name} is hooked twice")));
        }
        self.handler.set(Some(handler));
        self.previous.set(previous);
        Ok(())
    }

    #[inline]
    pub(super) fn previous(&self) -> Option<P> {
        self.previous.get()
    }

    #[inline]
    pub(super) fn handler(&self) -> Option<H> {
        self.handler.get()
    }
}
