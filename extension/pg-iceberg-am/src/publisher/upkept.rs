//! How it went when tables were last kept in order, in shared memory: what users look at, and what keeps workers from
//! trying the same in vain again and again.

use std::time::Duration;

use pg_lakebase_core::error::PgError;
use pg_lakebase_core::shmem::Message;
use pg_lakebase_core::xact::clock_timestamp;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_guard, pg_shmem_init, pg_sys};

use super::rest::Rest;
use super::slot::Storage;

/// Tables of all databases that are remembered: those that something was done for last.
const TABLES: usize = 512;

// SAFETY: no other lock has the name.
static UPKEPT: PgLwLock<Board> = unsafe { PgLwLock::new(c"pg_iceberg_upkept") };

/// What is done for a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Putting inline commits into the metadata.
    Publishing,
    /// Dropping history.
    History,
    /// Merging files.
    Merging,
    /// Removing files that nobody needs.
    Removal,
    /// Looking for orphans.
    Orphans,
}

const WORKS: usize = Work::Orphans as usize + 1;

/// An error that ended an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: pg_sys::TimestampTz,
    /// Its message.
    pub message: Message,
}

/// What is known of a table.
#[derive(Clone, Copy, Debug)]
pub struct Upkept {
    database: pg_sys::Oid,
    /// The table.
    pub storage: Storage,
    /// When something was last noted.
    noted: pg_sys::TimestampTz,
    /// When something was last done for it, other than publishing.
    pub last_run: Option<pg_sys::TimestampTz>,
    /// What failed last.
    pub last_failure: Option<Failure>,
    /// What failed and was not done since is not tried again before these.
    rests: [Option<Rest>; WORKS],
}

impl Upkept {
    fn new(database: pg_sys::Oid, storage: Storage, now: pg_sys::TimestampTz) -> Self {
        Self {
            database,
            storage,
            noted: now,
            last_run: None,
            last_failure: None,
            rests: [None; WORKS],
        }
    }

    /// How long until what has failed is tried again; `None` where nothing has.
    pub fn next_try(&self, now: pg_sys::TimestampTz) -> Option<Duration> {
        let rests = self.rests.iter().flatten();
        rests.map(|rest| rest.left(now)).min()
    }
}

#[derive(Clone, Copy)]
struct Board([Option<Upkept>; TABLES]);

// SAFETY: plain data.
unsafe impl PGRXSharedMemory for Board {}

impl Default for Board {
    fn default() -> Self {
        Self([None; TABLES])
    }
}

impl Board {
    fn of(&self, database: pg_sys::Oid, storage: Storage) -> Option<&Upkept> {
        let mut known = self.0.iter().flatten();
        known.find(|table| table.database == database && table.storage == storage)
    }

    fn of_mut(&mut self, database: pg_sys::Oid, storage: Storage) -> Option<&mut Upkept> {
        let mut known = self.0.iter_mut().flatten();
        known.find(|table| table.database == database && table.storage == storage)
    }

    /// What is known of a table. Where nothing is, it takes the place of the one that was noted longest ago.
    fn of_or_new(
        &mut self,
        database: pg_sys::Oid,
        storage: Storage,
        now: pg_sys::TimestampTz,
    ) -> &mut Upkept {
        let is_it = |table: &Option<Upkept>| {
            table.is_some_and(|table| table.database == database && table.storage == storage)
        };
        let known = self.0.iter().position(is_it);
        let place = known.unwrap_or_else(|| {
            let by_age = (0..TABLES).min_by_key(|&place| self.0[place].map(|table| table.noted));
            by_age.unwrap_or(0)
        });
        if known.is_none() {
            self.0[place] = None;
        }
        let table = self.0[place].get_or_insert(Upkept::new(database, storage, now));
        table.noted = now;
        table
    }

    fn note_done(
        &mut self,
        database: pg_sys::Oid,
        storage: Storage,
        work: Work,
        now: pg_sys::TimestampTz,
    ) {
        let table = self.of_or_new(database, storage, now);
        table.rests[work as usize] = None;
        table.last_run = Some(now);
    }

    fn note_failure(
        &mut self,
        database: pg_sys::Oid,
        storage: Storage,
        work: Work,
        failure: Failure,
    ) {
        let table = self.of_or_new(database, storage, failure.at);
        let rest = &mut table.rests[work as usize];
        *rest = Some(Rest::after_failure(*rest, failure.at));
        table.last_failure = Some(failure);
    }
}

/// Asks for shared memory; called once, from `_PG_init`.
#[expect(
    unexpected_cfgs,
    reason = "pgrx's macro asks for versions of PostgreSQL by features"
)]
pub fn register() {
    pg_shmem_init!(UPKEPT = Board::default());
}

/// Notes that something was done for a table of this database.
pub fn note_done(storage: Storage, work: Work) {
    let mut board = UPKEPT.exclusive();
    board.note_done(this_database(), storage, work, clock_timestamp());
}

/// Notes that something could not be done for a table of this database. It is not to be tried again for a while, longer
/// with each failure that follows.
pub fn note_failure(storage: Storage, work: Work, error: &PgError) {
    let failure = Failure {
        at: clock_timestamp(),
        message: Message::new(&error.to_string()),
    };
    let mut board = UPKEPT.exclusive();
    board.note_failure(this_database(), storage, work, failure);
}

/// How long something is not to be tried for a table of this database, because it has failed.
pub fn rest_of(storage: Storage, work: Work) -> Duration {
    let now = clock_timestamp();
    let board = UPKEPT.share();
    let table = board.of(this_database(), storage);
    let rest = table.and_then(|table| table.rests[work as usize]);
    rest.map_or(Duration::ZERO, |rest| rest.left(now))
}

/// Notes that a table of this database was published, if that has failed before.
pub fn note_published(storage: Storage) {
    let has_failed = |board: &Board| {
        let table = board.of(this_database(), storage);
        table.is_some_and(|table| table.rests[Work::Publishing as usize].is_some())
    };
    if !has_failed(&UPKEPT.share()) {
        return;
    }
    if let Some(table) = UPKEPT.exclusive().of_mut(this_database(), storage) {
        table.rests[Work::Publishing as usize] = None;
    }
}

/// What is known of this database's tables.
pub fn in_this_database() -> Vec<Upkept> {
    let database = this_database();
    let board = UPKEPT.share();
    let known = board.0.iter().flatten();
    known
        .filter(|table| table.database == database)
        .copied()
        .collect()
}

fn this_database() -> pg_sys::Oid {
    // SAFETY: the database that the process is connected to.
    unsafe { pg_sys::MyDatabaseId }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const DATABASE: pg_sys::Oid = pg_sys::Oid::from_u32(5);
    const TABLE: Storage = (7, 0);

    fn failure(at: pg_sys::TimestampTz) -> Failure {
        Failure {
            at,
            message: Message::new("no space"),
        }
    }

    #[test]
    fn what_was_done_does_not_end_the_rest_of_something_else() {
        let mut board = Board::default();
        board.note_failure(DATABASE, TABLE, Work::Merging, failure(10));
        board.note_done(DATABASE, TABLE, Work::Removal, 20);
        let known = board.of(DATABASE, TABLE).unwrap();
        assert_eq!(known.last_run, Some(20));
        assert_eq!(known.last_failure.unwrap().at, 10);
        assert!(known.next_try(20).unwrap() > Duration::ZERO);
        board.note_done(DATABASE, TABLE, Work::Merging, 30);
        assert_eq!(board.of(DATABASE, TABLE).unwrap().next_try(30), None);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(Message::new(&"ä".repeat(240)).text(), "ä".repeat(120));
        assert_eq!(Message::new("short").text(), "short");
    }

    #[test]
    fn who_was_noted_longest_ago_makes_room() {
        let mut board = Board::default();
        for number in 0..TABLES as u32 {
            board.note_done(DATABASE, (number, 0), Work::History, number.into());
        }
        board.note_done(DATABASE, (0, 0), Work::History, 10_000);
        board.note_done(DATABASE, (9999, 0), Work::History, 10_001);
        assert!(board.of(DATABASE, (0, 0)).is_some());
        assert!(board.of(DATABASE, (1, 0)).is_none());
        assert!(board.of(DATABASE, (9999, 0)).is_some());
    }
}
