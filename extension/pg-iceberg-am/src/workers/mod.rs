//! The main functions of background workers.

mod publisher;
mod syncer;
