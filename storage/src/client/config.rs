//! Where the daemon listens and how long the client waits.

use std::{path::PathBuf, time::Duration};

/// Settings of a client.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The daemon's socket.
    pub socket: PathBuf,
    /// Longest wait for one answer, connecting included.
    pub timeout: Duration,
    /// Longest wait for answers that come only when a whole object was moved: `Fetch` and the end
    /// of an upload.
    pub transfer_timeout: Duration,
    /// Longest time between two questions for interrupts.
    pub poll_interval: Duration,
}

impl ClientConfig {
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            timeout: Duration::from_secs(60),
            transfer_timeout: Duration::from_secs(600),
            poll_interval: Duration::from_millis(100),
        }
    }
}
