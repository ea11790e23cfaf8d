//! How a waiting client learns that its caller wants it to stop.

/// The caller wants to stop: a query was cancelled, a session terminated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Asked between slices of every wait.
///
/// An implementation must return: it must not leave by a non-local jump. In PostgreSQL it tells
/// whether an interrupt is pending, and the caller processes it once the client has returned.
pub trait Interrupts {
    /// # Errors
    /// [`Interrupted`] ends the operation that is under way.
    fn check(&mut self) -> Result<(), Interrupted>;
}

impl<F: FnMut() -> Result<(), Interrupted>> Interrupts for F {
    fn check(&mut self) -> Result<(), Interrupted> {
        self()
    }
}

/// Never interrupts; waits still have their limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Uninterrupted;

impl Interrupts for Uninterrupted {
    fn check(&mut self) -> Result<(), Interrupted> {
        Ok(())
    }
}
