//! How long a request may take: both ends reckon alike, so that the daemon gives up before its client does, and says why.

use std::time::Duration;

/// A request that moves no object.
const REQUEST: Duration = Duration::from_secs(50);
/// Bytes a second that a store is expected to move at least.
const LEAST_RATE: u64 = 1024 * 1024;
/// Beyond so many bytes the time grows no more.
const MOST_BYTES: u64 = 1 << 40;
/// What a client waits longer than the daemon.
const GRACE: Duration = Duration::from_secs(10);

/// Longest time that the daemon takes for a request that moves so many bytes.
pub fn request_limit(bytes: u64) -> Duration {
    REQUEST + Duration::from_secs(bytes.min(MOST_BYTES) / LEAST_RATE)
}

/// Longest time that a client waits for the answer.
pub fn answer_limit(bytes: u64) -> Duration {
    request_limit(bytes) + GRACE
}
