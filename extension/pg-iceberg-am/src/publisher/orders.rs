//! What sessions ask of their database's publisher and wait for, in shared memory: VACUUM and functions.

use pg_lakebase_core::shmem::Message;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_guard, pg_shmem_init, pg_sys};

use super::slot::Storage;

/// Orders of all databases at a time.
const ORDERS: usize = 64;

// SAFETY: no other lock has the name.
static BOARD: PgLwLock<Board> = unsafe { PgLwLock::new(c"pg_iceberg_orders") };

/// What is to be done to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Expire snapshots: those above an age in milliseconds, or what the rules say.
    Expire(Option<i64>),
    /// Merge small files: what is worth it, or everything.
    Compact { everything: bool },
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Snapshots that have expired.
    pub snapshots: u64,
    /// Data files that have been merged, their bytes, and what has become of them.
    pub merged_files: u64,
    pub merged_bytes: u64,
    pub new_files: u64,
    pub new_bytes: u64,
}

impl Summary {
    /// This and what was done besides.
    pub fn and(self, other: Self) -> Self {
        Self {
            snapshots: self.snapshots + other.snapshots,
            merged_files: self.merged_files + other.merged_files,
            merged_bytes: self.merged_bytes + other.merged_bytes,
            new_files: self.new_files + other.new_files,
            new_bytes: self.new_bytes + other.new_bytes,
        }
    }
}

/// How an order has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "in shared memory nothing can be boxed"
)]
pub enum Outcome {
    /// As asked.
    Done(Summary),
    /// The table, or its metadata, were locked all the time.
    Locked,
    /// With an error.
    Failed(Message),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "in shared memory nothing can be boxed"
)]
enum State {
    Free,
    Placed,
    Taken,
    Ended(Outcome),
}

#[derive(Clone, Copy)]
struct Order {
    state: State,
    number: u64,
    /// The session that waits.
    asker: i32,
    database: pg_sys::Oid,
    storage: Storage,
    task: Task,
    so_far: SoFar,
}

/// How far an order has been carried out, by whoever had taken it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoFar {
    /// What was done.
    pub summary: Summary,
    /// How often full tiers were merged.
    pub passes: usize,
}

#[derive(Clone, Copy)]
struct Board {
    orders: [Order; ORDERS],
    /// The number given out last.
    last: u64,
}

// SAFETY: plain data.
unsafe impl PGRXSharedMemory for Board {}

impl Default for Board {
    fn default() -> Self {
        let free = Order {
            state: State::Free,
            number: 0,
            asker: 0,
            database: pg_sys::InvalidOid,
            storage: (0, 0),
            task: Task::Expire(None),
            so_far: SoFar::default(),
        };
        Self {
            orders: [free; ORDERS],
            last: 0,
        }
    }
}

impl Board {
    fn place(
        &mut self,
        database: pg_sys::Oid,
        storage: Storage,
        task: Task,
        asker: i32,
        is_alive: impl Fn(i32) -> bool,
    ) -> Option<u64> {
        let number = self.last + 1;
        let free = (self.orders.iter()).position(|order| order.state == State::Free);
        // A session that is terminated while it waits leaves its order behind.
        let index = free.or_else(|| {
            let orders = &mut self.orders.iter();
            orders.position(|order| order.state != State::Taken && !is_alive(order.asker))
        })?;
        self.orders[index] = Order {
            state: State::Placed,
            number,
            asker,
            database,
            storage,
            task,
            so_far: SoFar::default(),
        };
        self.last = number;
        Some(number)
    }

    fn of(&mut self, number: u64) -> Option<&mut Order> {
        (self.orders.iter_mut()).find(|order| order.state != State::Free && order.number == number)
    }

    /// The oldest order of a database that nobody has taken.
    fn take(&mut self, database: pg_sys::Oid) -> Option<Taken> {
        let placed = (self.orders.iter_mut())
            .filter(|order| order.state == State::Placed && order.database == database);
        let order = placed.min_by_key(|order| order.number)?;
        order.state = State::Taken;
        Some(Taken {
            number: order.number,
            storage: order.storage,
            task: order.task,
            so_far: order.so_far,
        })
    }

    /// Nobody is at work in the database any more: another one will take what has not ended.
    fn put_back(&mut self, database: pg_sys::Oid) {
        for order in &mut self.orders {
            if order.state == State::Taken && order.database == database {
                order.state = State::Placed;
            }
        }
    }
}

/// Asks for shared memory; called once, from `_PG_init`.
#[expect(
    unexpected_cfgs,
    reason = "pgrx's macro asks for versions of PostgreSQL by features"
)]
pub fn register() {
    pg_shmem_init!(BOARD = Board::default());
}

/// An order that a session waits for; it is withdrawn when this is dropped.
pub struct Asked(u64);

impl Asked {
    /// Places an order in this database. `None` if there are too many.
    pub fn place(storage: Storage, task: Task) -> Option<Self> {
        // SAFETY: the session's own id, and the database that it is connected to.
        let (database, pid) = unsafe { (pg_sys::MyDatabaseId, pg_sys::MyProcPid) };
        // SAFETY: looks for a process by its id.
        let is_alive = |pid| unsafe { !pg_sys::BackendPidGetProc(pid).is_null() };
        let mut board = BOARD.exclusive();
        board
            .place(database, storage, task, pid, is_alive)
            .map(Self)
    }

    /// Whether somebody is at work on it.
    pub fn is_taken(&self) -> bool {
        let mut board = BOARD.exclusive();
        board
            .of(self.0)
            .is_some_and(|order| order.state == State::Taken)
    }

    /// How it has ended, if it has.
    pub fn outcome(&self) -> Option<Outcome> {
        match BOARD.exclusive().of(self.0)?.state {
            State::Ended(outcome) => Some(outcome),
            _ => None,
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(order) = BOARD.exclusive().of(self.0) {
            order.state = State::Free;
        }
    }
}

/// An order that a publisher carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    number: u64,
    /// Of what table.
    pub storage: Storage,
    /// What is to be done.
    pub task: Task,
    /// What others have done of it.
    pub so_far: SoFar,
}

impl Taken {
    /// The oldest order of this database that nobody has taken.
    pub fn next() -> Option<Self> {
        // SAFETY: the database that the process is connected to.
        let database = unsafe { pg_sys::MyDatabaseId };
        BOARD.exclusive().take(database)
    }

    /// Whether somebody still waits for it.
    pub fn is_wanted(&self) -> bool {
        BOARD.exclusive().of(self.number).is_some()
    }

    /// Notes how far it has got, for whoever takes it next.
    pub fn keep(&self, so_far: SoFar) {
        if let Some(order) = BOARD.exclusive().of(self.number) {
            order.so_far = so_far;
        }
    }

    /// Tells whoever waits.
    pub fn end(&self, outcome: Outcome) {
        if let Some(order) = BOARD.exclusive().of(self.number) {
            order.state = State::Ended(outcome);
        }
    }
}

/// The publisher of a database has ended.
pub fn put_back(database: pg_sys::Oid) {
    BOARD.exclusive().put_back(database);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const DATABASE: pg_sys::Oid = pg_sys::Oid::from_u32(5);

    fn place(board: &mut Board, database: pg_sys::Oid, asker: i32) -> Option<u64> {
        board.place(database, (2, 0), Task::Expire(None), asker, |pid| pid > 0)
    }

    #[test]
    fn the_oldest_order_of_the_database_is_taken() {
        let mut board = Board::default();
        place(&mut board, pg_sys::Oid::from_u32(4), 1).unwrap();
        let first = place(&mut board, DATABASE, 1).unwrap();
        let second = place(&mut board, DATABASE, 2).unwrap();
        assert_eq!(board.take(DATABASE).unwrap().number, first);
        assert_eq!(board.take(DATABASE).unwrap().number, second);
        assert_eq!(board.take(DATABASE), None);
    }

    /// Whoever waited for it would have waited for ever.
    #[test]
    fn an_order_is_taken_again_if_who_took_it_has_died() {
        let mut board = Board::default();
        let number = place(&mut board, DATABASE, 1).unwrap();
        board.take(DATABASE).unwrap();
        let done = SoFar {
            passes: 3,
            ..SoFar::default()
        };
        board.of(number).unwrap().so_far = done;
        board.put_back(DATABASE);
        let taken = board.take(DATABASE).unwrap();
        assert_eq!((taken.number, taken.so_far), (number, done));
        let order = board.of(number).unwrap();
        order.state = State::Ended(Outcome::Locked);
        board.put_back(DATABASE);
        assert_eq!(board.take(DATABASE), None);
    }

    /// Sessions that were terminated while they waited took all places in time.
    #[test]
    fn orders_of_sessions_that_are_gone_make_room() {
        let mut board = Board::default();
        for _ in 1..ORDERS {
            place(&mut board, DATABASE, 1).unwrap();
        }
        let left = place(&mut board, DATABASE, -1).unwrap();
        assert!(place(&mut board, DATABASE, 2).is_some());
        assert!(board.of(left).is_none());
        assert!(place(&mut board, DATABASE, 3).is_none());
    }
}
