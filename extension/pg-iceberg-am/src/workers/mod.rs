//! The main functions of background workers.

mod launcher;
mod merging;
mod ordered;
mod publisher;
mod storage;
mod syncer;
mod upkeep;
