//! Where the daemon listens and how long the client waits.

use std::{path::PathBuf, time::Duration};

use crate::protocol::answer_limit;

/// Settings of a client.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The daemon's socket.
    pub socket: PathBuf,
    /// Users that the daemon may run as, besides root and the client's own.
    pub trusted_uids: Vec<u32>,
    /// Longest wait for the answer to a request that moves so many bytes, connecting included.
    pub limit: fn(bytes: u64) -> Duration,
    /// Longest time between two questions for interrupts.
    pub poll_interval: Duration,
}

impl ClientConfig {
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            trusted_uids: Vec::new(),
            limit: answer_limit,
            poll_interval: Duration::from_millis(100),
        }
    }
}
