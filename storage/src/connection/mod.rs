//! One conversation with a client: its states and its requests in flight.
//!
//! A connection greets, then serves requests side by side; answers go out as they are ready, told
//! apart by request id. When the client goes away, whatever it waits for is dropped. When the daemon stops, requests under way may still end.

mod accept;
mod session;

pub use accept::serve;
pub use session::{ConnectionLimits, Session};
