//! Transaction callbacks: when they run, and that those after the fact cannot fail.

use std::cell::{Cell, RefCell};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::xact::TransactionCallbacks;
use pgrx::pg_sys::SubTransactionId;
use pgrx::prelude::*;

thread_local! {
    static EVENTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static RECORDING: Cell<bool> = const { Cell::new(false) };
    static PANIC_AT: Cell<&'static str> = const { Cell::new("") };
}

/// Records what happens while recording is on.
pub struct Recorder;

fn record(event: &str, nesting: Option<(SubTransactionId, SubTransactionId)>) {
    if !RECORDING.get() {
        return;
    }
    EVENTS.with_borrow_mut(|events| {
        events.push(match nesting {
            Some((me, parent)) => format!("{event} {me} {parent}"),
            None => event.to_owned(),
        });
    });
    if PANIC_AT.get() == event {
        PANIC_AT.set("");
        panic!("a panic at {event}");
    }
}

impl TransactionCallbacks for Recorder {
    fn pre_commit() -> PgResult<()> {
        let refuse = PANIC_AT.get() == "refuse";
        record("pre_commit", None);
        if RECORDING.get() && refuse {
            PANIC_AT.set("");
            return Err(PgError::new(
                PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
                "not this time",
            ));
        }
        Ok(())
    }
    fn commit() {
        record("commit", None);
    }
    fn abort() {
        record("abort", None);
    }
    fn pre_prepare() -> PgResult<()> {
        record("pre_prepare", None);
        Ok(())
    }
    fn prepare() {
        record("prepare", None);
    }
    fn sub_start(me: SubTransactionId, parent: SubTransactionId) {
        record("sub_start", Some((me, parent)));
    }
    fn sub_pre_commit(me: SubTransactionId, parent: SubTransactionId) -> PgResult<()> {
        record("sub_pre_commit", Some((me, parent)));
        Ok(())
    }
    fn sub_commit(me: SubTransactionId, parent: SubTransactionId) {
        record("sub_commit", Some((me, parent)));
    }
    fn sub_abort(me: SubTransactionId, parent: SubTransactionId) {
        record("sub_abort", Some((me, parent)));
    }
}

/// Starts recording; the named callback will panic once, or `refuse` the next commit.
#[pg_extern]
fn core_record_events(panic_at: default!(&str, "''")) {
    EVENTS.with_borrow_mut(Vec::clear);
    RECORDING.set(true);
    PANIC_AT.set(match panic_at {
        "commit" => "commit",
        "abort" => "abort",
        "sub_abort" => "sub_abort",
        "refuse" => "refuse",
        _ => "",
    });
}

/// Stops recording, and returns what was recorded.
#[pg_extern]
fn core_recorded_events() -> String {
    RECORDING.set(false);
    EVENTS.with_borrow_mut(|events| std::mem::take(events).join(", "))
}

#[pg_schema]
mod tests {
    use super::{core_record_events, core_recorded_events};
    use pg_lakebase_core::xact;
    use pgrx::prelude::*;

    #[pg_test]
    fn subtransactions_are_told_inside_out() {
        core_record_events("");
        Spi::run(
            "DO $$ BEGIN
               BEGIN
                 BEGIN PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN NULL; END;
               EXCEPTION WHEN OTHERS THEN NULL;
               END;
             END $$",
        )
        .unwrap();
        let events = core_recorded_events();
        let ids: Vec<&str> = events
            .split(", ")
            .next()
            .unwrap()
            .split(' ')
            .skip(1)
            .collect();
        let outer: u32 = ids[0].parse().unwrap();
        let inner = outer + 1;
        let top = ids[1];
        assert_eq!(
            events,
            format!(
                "sub_start {outer} {top}, sub_start {inner} {outer}, sub_abort {inner} {outer}, \
                 sub_pre_commit {outer} {top}, sub_commit {outer} {top}"
            )
        );
    }

    #[pg_test]
    fn a_panic_in_sub_abort_becomes_a_warning() {
        core_record_events("sub_abort");
        Spi::run("DO $$ BEGIN PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN NULL; END $$").unwrap();
        assert!(core_recorded_events().contains("sub_abort"));
        assert_eq!(Spi::get_one::<i32>("SELECT 1").unwrap(), Some(1));
    }

    #[pg_test]
    fn state_of_the_transaction_is_told() {
        assert!(xact::is_in_progress());
        assert_eq!(xact::nest_level(), 1);
        assert_eq!(xact::current_subxact_id(), 1);
        let before = xact::current_command_id(true);
        Spi::run("CREATE TABLE next_command ()").unwrap();
        assert!(xact::current_command_id(false) > before);
    }

    #[pg_test]
    fn framework_is_ready_for_clients() {}
}

/// Whole transactions, from a client.
#[cfg(test)]
mod client_tests {
    /// Runs SQL on a connection of its own; an error is its SQLSTATE and message.
    type Connection = Box<dyn FnMut(&str) -> Result<(), String>>;

    fn connect() -> Connection {
        pgrx_tests::run_test(
            "framework_is_ready_for_clients",
            None,
            crate::pg_test::postgresql_conf_options(),
        )
        .unwrap();
        let (mut client, _session) = pgrx_tests::client().unwrap();
        Box::new(move |sql| {
            client.batch_execute(sql).map_err(|error| {
                let error = error.as_db_error().expect("the server is up");
                format!("{} {}", error.code().code(), error.message())
            })
        })
    }

    /// The recorded events, as the message of an error.
    fn events(connection: &mut Connection) -> String {
        let error = connection(
            "DO $$ BEGIN
               RAISE EXCEPTION USING ERRCODE = 'ZZ000', MESSAGE = core_recorded_events();
             END $$",
        );
        error.unwrap_err().replacen("ZZ000 ", "", 1)
    }

    #[test]
    fn commit_and_abort_are_told_once() {
        let mut connection = connect();
        connection("SELECT core_record_events()").unwrap();
        connection("BEGIN; CREATE TABLE told (); ROLLBACK").unwrap();
        connection("BEGIN; SELECT 1; COMMIT").unwrap();
        // The first transaction that ends is the one that turned recording on.
        assert_eq!(
            events(&mut connection),
            "pre_commit, commit, abort, pre_commit, commit"
        );
    }

    #[test]
    fn a_panic_in_commit_becomes_a_warning() {
        let mut connection = connect();
        connection("SELECT core_record_events('commit')").unwrap();
        assert_eq!(events(&mut connection), "pre_commit, commit");
        connection("SELECT 1").unwrap();
    }

    #[test]
    fn a_panic_in_abort_becomes_a_warning() {
        let mut connection = connect();
        connection("SELECT core_record_events('abort')").unwrap();
        assert_eq!(
            connection("SELECT 1 / 0").unwrap_err(),
            "22012 division by zero"
        );
        assert_eq!(events(&mut connection), "pre_commit, commit, abort");
    }

    #[test]
    fn an_error_in_pre_commit_aborts_the_transaction() {
        let mut connection = connect();
        assert_eq!(
            connection("SELECT core_record_events('refuse')").unwrap_err(),
            "40001 not this time"
        );
        assert_eq!(events(&mut connection), "pre_commit, abort");
    }
}
