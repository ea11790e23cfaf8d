//! The syncers: see [`crate::files::sync_queue`].

use pg_lakebase_core::background;
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::files::sync_queue;

/// A syncer's main function; the argument is its number.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_iceberg_syncer_main(argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    BackgroundWorker::connect_worker_to_spi(None, None);
    background::override_setting(c"transaction_timeout", c"0");
    sync_queue::serve(argument.value());
}
