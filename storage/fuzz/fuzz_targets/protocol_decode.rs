//! Frames from an untrusted peer. `cargo +nightly fuzz run protocol_decode` in `storage/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pg_lakebase_storage::protocol::fuzz_decode(bytes));
