//! A proxy before a store's server that fails on command: latency, bandwidth, refusals, hangs, resets, lost, cut and altered
//! messages. It counts what passes.
//!
//! Requests go through as they came, byte by byte, the header `Host` included: it is signed. So a store is asked at the
//! proxy's address as at its own. What the proxy does is said to it over HTTP while it runs, at a path that no bucket can
//! have: see [`orders`].
//!
//! Of a network it has one delay for each exchange, one for each new connection, and one rate in each direction for all
//! connections together. It has no lost packets, and a black hole still accepts connections, since the kernel does.

mod connection;
mod control;
mod counts;
mod faults;
mod http_date;
mod kind;
mod link;
mod message;
mod orders;
mod server;
#[cfg(test)]
mod tests;

pub use control::tell;
pub use server::{Args, run};
