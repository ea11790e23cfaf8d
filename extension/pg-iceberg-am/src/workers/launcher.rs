//! The launcher: gives workers to the databases whose turn it is, see [`crate::publisher`].
//!
//! Sessions start workers themselves where there is room. The launcher starts them where nobody else is there to:
//! when a worker leaves and others wait, when it is time to try again, after recovery, and every hour.

use std::time::{Duration, Instant};

use pg_lakebase_core::background;
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::publisher::{Launcher, Thorough};
use crate::storage_service::supervision;
use crate::stores;

/// How often the launcher looks around when nobody wakes it.
const IDLE: Duration = Duration::from_secs(60);
/// How often it has all tables of all databases looked at,
const THOROUGH: Duration = Duration::from_secs(3600);
/// and once in so many times for orphans as well, the first time among them: a crash may have left some.
const ORPHANS_EVERY: u32 = 24;

/// The launcher's main function.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_iceberg_launcher_main(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    // For pg_stat_activity and pg_terminate_backend.
    BackgroundWorker::connect_worker_to_spi(None, None);
    let launcher = Launcher::take();
    let mut looked: Option<Instant> = None;
    let mut looked_at_stores: Option<Instant> = None;
    let mut times = 0;
    let interval_of_stores = || stores::look_interval().min(THOROUGH);
    loop {
        if looked.is_none_or(|looked| looked.elapsed() >= THOROUGH) {
            looked = Some(Instant::now());
            let thorough = match times % ORPHANS_EVERY {
                0 => Thorough::Orphans,
                _ => Thorough::History,
            };
            launcher.look_at_all(thorough, THOROUGH);
            times += 1;
        }
        // A standby, and a worker that there was no room for, may have left the storage service as it should not be; and
        // another server may have this one's identity.
        if (looked_at_stores).is_none_or(|looked| looked.elapsed() >= interval_of_stores()) {
            looked_at_stores = Some(Instant::now());
            supervision::look();
        }
        let pause = launcher.start_workers().unwrap_or(IDLE).min(IDLE);
        if !BackgroundWorker::wait_latch(Some(pause.max(Duration::from_millis(1)))) {
            break;
        }
        if background::reload_configuration_if_asked() {
            supervision::look();
        }
    }
    drop(launcher);
    // SAFETY: ends the process. The postmaster starts another one, unless the server is being shut down, because of
    // the code: with 0 it would not.
    unsafe { pg_sys::proc_exit(1) }
}
