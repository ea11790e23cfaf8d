//! The service's status for Prometheus: the text, and a small HTTP server on a Unix domain socket or a loopback port.

mod server;
mod text;

pub use server::{MetricsAddress, MetricsListener, serve_metrics};
pub use text::metrics_text;
