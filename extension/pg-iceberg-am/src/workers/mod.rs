//! The main functions of background workers.

mod launcher;
mod merging;
mod ordered;
mod publisher;
mod storage;
mod storage_service;
mod syncer;
mod upkeep;
