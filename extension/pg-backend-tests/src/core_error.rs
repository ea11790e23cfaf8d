//! Errors, interrupts and threads.

use pg_lakebase_core::error::PgError;
use pg_lakebase_core::interrupt;
use pgrx::prelude::*;

/// Raises an error with every field set.
#[pg_extern]
fn core_raise() {
    PgError::new(PgSqlErrorCode::ERRCODE_DISK_FULL, "no room 100% sure")
        .with_detail("There is 0% left.")
        .with_hint("Make %s room.")
        .raise()
}

/// Reports the same as a WARNING.
#[pg_extern]
fn core_warn() {
    PgError::new(PgSqlErrorCode::ERRCODE_DISK_FULL, "no room").warn();
}

/// Sleeps until interrupted.
#[pg_extern]
fn core_sleep(seconds: f64) {
    interrupt::sleep(std::time::Duration::from_secs_f64(seconds));
}

#[pg_schema]
mod tests {
    use pg_lakebase_core::error::{PgError, catch, catch_and_warn};
    use pg_lakebase_core::{interrupt, thread};
    use pgrx::pg_sys;
    use pgrx::prelude::*;
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    #[pg_test]
    fn state_message_detail_and_hint_arrive() {
        Spi::run("CREATE TABLE got (d text)").unwrap();
        Spi::run(
            "DO $$ DECLARE d text; h text;
             BEGIN PERFORM core_raise();
             EXCEPTION WHEN disk_full THEN
               GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
               INSERT INTO got VALUES (concat_ws('|', SQLSTATE, SQLERRM, d, h));
             END $$",
        )
        .unwrap();
        assert_eq!(
            Spi::get_one::<String>("SELECT d FROM got")
                .unwrap()
                .unwrap(),
            "53100|no room 100% sure|There is 0% left.|Make %s room."
        );
    }

    #[pg_test]
    fn warnings_do_not_raise() {
        Spi::run("SELECT core_warn()").unwrap();
        assert!(!catch_and_warn(|| Err(PgError::internal("on purpose"))));
        assert!(!catch_and_warn(|| panic!("on purpose")));
        assert!(catch_and_warn(|| Ok(())));
    }

    #[pg_test]
    fn errors_of_postgresql_and_panics_are_caught_as_values() {
        // SAFETY: raises for want of such a type.
        let error =
            catch(|| unsafe { pg_sys::get_typlenbyval(0.into(), &mut 0, &mut false) }).unwrap_err();
        assert_eq!(error.message, "cache lookup failed for type 0");
        assert_eq!(error.sqlstate, PgSqlErrorCode::ERRCODE_INTERNAL_ERROR);
        let error = catch(|| {
            PgError::feature_not_supported("not here")
                .with_detail("d")
                .with_hint("h")
                .raise()
        })
        .map(|(): ()| ())
        .unwrap_err();
        assert_eq!(
            error,
            PgError::feature_not_supported("not here")
                .with_detail("d")
                .with_hint("h")
        );
        let error = catch(|| panic!("{}", 42)).map(|(): ()| ()).unwrap_err();
        assert_eq!(error.message, "42");
    }

    #[pg_test]
    fn files_give_the_sqlstates_of_postgresql() {
        let source = std::io::Error::from_raw_os_error(2);
        let error = PgError::file_access("open file", "a/b", &source);
        assert_eq!(error.sqlstate, PgSqlErrorCode::ERRCODE_UNDEFINED_FILE);
        assert!(error.message.starts_with("could not open file \"a/b\": "));
    }

    #[pg_test]
    fn cancelling_ends_a_sleep_at_once() {
        let started = Instant::now();
        Spi::run(
            "DO $$ BEGIN
               PERFORM pg_cancel_backend(pg_backend_pid());
               PERFORM core_sleep(30);
               RAISE EXCEPTION 'slept on';
             EXCEPTION WHEN query_canceled THEN NULL;
             END $$",
        )
        .unwrap();
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[pg_test]
    fn held_interrupts_wait() {
        let held = interrupt::hold();
        Spi::run("SELECT pg_cancel_backend(pg_backend_pid())").unwrap();
        interrupt::sleep(Duration::from_millis(50));
        interrupt::check();
        drop(held);
        let error = catch(interrupt::check).unwrap_err();
        assert_eq!(error.sqlstate, PgSqlErrorCode::ERRCODE_QUERY_CANCELED);
        // SAFETY: reads the backend's counter.
        assert_eq!(unsafe { pg_sys::InterruptHoldoffCount }, 0);
    }

    #[pg_test]
    fn an_error_under_held_interrupts_leaves_no_hold() {
        // SAFETY: raises for want of such a type.
        let error = catch(|| unsafe {
            let _held = interrupt::hold();
            pg_sys::get_typlenbyval(0.into(), &mut 0, &mut false);
        });
        assert!(error.is_err());
        // SAFETY: reads the backend's counter.
        assert_eq!(unsafe { pg_sys::InterruptHoldoffCount }, 0);
    }

    #[pg_test]
    fn worker_threads_get_no_signals() {
        let blocked = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let mask = status
                .lines()
                .find_map(|line| line.strip_prefix("SigBlk:"))
                .unwrap()
                .trim()
                .to_owned();
            u64::from_str_radix(&mask, 16).unwrap()
        };
        let before = blocked();
        let worker = thread::spawn_with_signals_blocked("test", blocked).unwrap();
        let in_worker = worker.join().unwrap();
        for signal in [1, 2, 10, 12, 14, 15] {
            assert_ne!(in_worker & (1 << (signal - 1)), 0, "signal {signal}");
        }
        assert_eq!(blocked(), before, "the backend's own mask is as it was");
    }

    #[pg_test]
    fn messages_of_threads_are_received_until_all_are_gone() {
        let (sender, receiver) = mpsc::channel();
        let worker = thread::spawn_with_signals_blocked("test", move || {
            for n in 0..3 {
                std::thread::sleep(Duration::from_millis(30));
                sender.send(n).unwrap();
            }
        })
        .unwrap();
        let received: Vec<i32> = std::iter::from_fn(|| interrupt::recv(&receiver)).collect();
        assert_eq!(received, [0, 1, 2]);
        worker.join().unwrap();
    }

    #[pg_test]
    fn waits_have_a_limit() {
        let started = Instant::now();
        let nothing = interrupt::poll_until::<()>(Some(Duration::from_millis(60)), |tick| {
            std::thread::sleep(tick);
            None
        });
        assert!(nothing.is_none());
        assert!(started.elapsed() >= Duration::from_millis(60));
    }
}
