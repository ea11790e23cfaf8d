//! The main functions of background workers.

mod launcher;
mod publisher;
mod syncer;
