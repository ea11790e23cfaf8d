//! Metadata files.

#![no_main]

#[allow(dead_code, reason = "each target runs one entry")]
#[path = "../entry.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::metadata_json(bytes));
