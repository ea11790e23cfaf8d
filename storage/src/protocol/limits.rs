//! How long a request may take. A client says with each request how long it waits; the service takes less, so that it gives
//! up before its client does, and says why.

use std::time::Duration;

/// A request that moves no object.
const REQUEST: Duration = Duration::from_secs(60);
/// Bytes a second that a store is expected to move at least.
const LEAST_RATE: u64 = 1024 * 1024;
/// Beyond so many bytes the time grows no more.
const MOST_BYTES: u64 = 1 << 40;
/// What a client waits longer than the service; a quarter of what it waits, if that is less.
const GRACE: Duration = Duration::from_secs(1);

/// How long a client waits for the answer to a request that moves so many bytes, if nobody says otherwise.
pub fn answer_limit(bytes: u64) -> Duration {
    REQUEST + Duration::from_secs(bytes.min(MOST_BYTES) / LEAST_RATE)
}

/// Longest time that the service takes for a request whose client waits so long.
pub fn service_limit(client: Duration) -> Duration {
    client.saturating_sub(GRACE.min(client / 4))
}
