//! What the sessions say next.
//!
//! `t` and `u` are the tables under test, `h` is a heap table on both sides. Their columns are `id`, unique by
//! the way rows are made, `v` and `s`. A statement finds its row of `h` by a constant, so that the plans of both
//! sides lock the same of `h` for serializable transactions.

use super::change::Hot;
use super::side::SIDE;
use crate::random::Random;

/// Tables under test.
pub const TABLES: [&str; 2] = ["t", "u"];
/// Rows of `h` at the beginning, by `id`.
pub const HEAP_ROWS: u64 = 8;

const LEVELS: [(&str, u64); 3] = [
    ("READ COMMITTED", 55),
    ("REPEATABLE READ", 30),
    ("SERIALIZABLE", 15),
];

/// The table whose row a cursor can change, if it can.
type Cursor = Option<&'static str>;

/// What a session is in the midst of.
#[derive(Clone, Debug, Default)]
pub struct SessionState {
    /// The isolation level of its transaction block.
    pub block: Option<&'static str>,
    /// Whether only a rollback is taken.
    pub failed: bool,
    pub savepoints: Vec<u64>,
    /// The cursor that it has open.
    pub cursor: Option<Cursor>,
}

impl SessionState {
    /// What the outcome of `statement` makes of the session's state.
    pub fn after(&mut self, statement: &Statement, succeeded: bool) {
        if !succeeded {
            // A block that could not be ended is none any more.
            if self.block.is_some() && !statement.ends_block() {
                self.failed = true;
            } else {
                *self = Self::default();
            }
            return;
        }
        match statement.kind {
            Kind::Begin(level) => self.block = Some(level),
            Kind::End => *self = Self::default(),
            Kind::Savepoint(number) => self.savepoints.push(number),
            Kind::RollbackTo(number) => {
                self.savepoints.retain(|known| *known <= number);
                self.failed = false;
                self.cursor = None;
            }
            Kind::Release(number) => self.savepoints.retain(|known| *known < number),
            Kind::Declare(cursor) => self.cursor = Some(cursor),
            Kind::Other | Kind::AnyOrder => {}
        }
    }
}

/// A statement, and what it does to its session.
#[derive(Clone, Debug)]
pub struct Statement {
    pub sql: String,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Begin(&'static str),
    /// Ends the block, whether it fails or not.
    End,
    Savepoint(u64),
    RollbackTo(u64),
    Release(u64),
    Declare(Cursor),
    /// Comes to several rows in an order that may be another one on the other side.
    AnyOrder,
    Other,
}

impl Statement {
    pub fn new(kind: Kind, sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            kind,
        }
    }

    pub fn rollback() -> Self {
        Self::new(Kind::End, "ROLLBACK")
    }

    pub fn ends_block(&self) -> bool {
        self.kind == Kind::End
    }
}

/// Draws statements.
pub struct Generator {
    random: Random,
    pub(super) hot: Hot,
    /// The last `id`, savepoint and name of a prepared transaction given out.
    last: u64,
    /// Transactions that are prepared.
    pub prepared: Vec<String>,
}

impl Generator {
    pub fn new(random: Random) -> Self {
        Self {
            random,
            hot: Hot::new(),
            last: 1000,
            prepared: Vec::new(),
        }
    }

    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// What a session in this state says next.
    pub fn next(&mut self, state: &SessionState, somebody_waits: bool) -> Statement {
        match (state.block, state.failed) {
            // It may be this one that is waited for.
            (Some(_), false) if somebody_waits && self.random.chance(12) => {
                let sql = if self.random.chance(60) {
                    "COMMIT"
                } else {
                    "ROLLBACK"
                };
                Statement::new(Kind::End, sql)
            }
            (None, _) => self.outside(),
            (Some(_), true) => self.after_a_failure(state),
            (Some(_), false) => self.inside(state),
        }
    }

    fn outside(&mut self) -> Statement {
        match self.random.between(1, 100) {
            1..=65 => {
                let level = self.level();
                Statement::new(Kind::Begin(level), format!("BEGIN ISOLATION LEVEL {level}"))
            }
            66..=72 if !self.prepared.is_empty() => {
                let index = self.random.between(0, self.prepared.len() as u64 - 1) as usize;
                let name = self.prepared.swap_remove(index);
                let verb = if self.random.chance(70) {
                    "COMMIT"
                } else {
                    "ROLLBACK"
                };
                Statement::new(Kind::Other, format!("{verb} PREPARED '{name}'"))
            }
            73 => Statement::new(Kind::Other, format!("VACUUM {}", self.table())),
            _ => self.work(),
        }
    }

    fn level(&mut self) -> &'static str {
        let mut drawn = self.random.between(1, 100);
        for (level, share) in LEVELS {
            if drawn <= share {
                return level;
            }
            drawn -= share;
        }
        LEVELS[0].0
    }

    fn after_a_failure(&mut self, state: &SessionState) -> Statement {
        match state.savepoints.last() {
            Some(&number) if self.random.chance(70) => {
                Statement::new(Kind::RollbackTo(number), format!("ROLLBACK TO s{number}"))
            }
            _ if self.random.chance(50) => Statement::new(Kind::End, "COMMIT"),
            _ => Statement::new(Kind::End, "ROLLBACK"),
        }
    }

    fn inside(&mut self, state: &SessionState) -> Statement {
        match self.random.between(1, 100) {
            1..=12 => Statement::new(Kind::End, "COMMIT"),
            13..=16 => Statement::new(Kind::End, "ROLLBACK"),
            17..=19 if state.cursor.is_none() => {
                let name = format!("p{} {SIDE}", self.number());
                self.prepared.push(name.clone());
                Statement::new(Kind::End, format!("PREPARE TRANSACTION '{name}'"))
            }
            20..=26 => {
                let number = self.number();
                Statement::new(Kind::Savepoint(number), format!("SAVEPOINT s{number}"))
            }
            27..=30 => match self.random.pick(&state.savepoints).copied() {
                Some(number) => {
                    Statement::new(Kind::RollbackTo(number), format!("ROLLBACK TO s{number}"))
                }
                None => self.work(),
            },
            31..=33 => match self.random.pick(&state.savepoints).copied() {
                Some(number) => Statement::new(Kind::Release(number), format!("RELEASE s{number}")),
                None => self.work(),
            },
            34..=36 if state.cursor.is_none() => {
                if self.random.chance(50) {
                    return self.updatable_cursor();
                }
                let table = self.table();
                Statement::new(
                    Kind::Declare(None),
                    format!("DECLARE c SCROLL CURSOR FOR SELECT * FROM {table} ORDER BY id"),
                )
            }
            34..=45 => match state.cursor {
                Some(cursor) => self.at_cursor(cursor),
                None => self.work(),
            },
            _ => self.work(),
        }
    }

    /// Moves the cursor, or changes its row.
    fn at_cursor(&mut self, cursor: Cursor) -> Statement {
        if let Some(table) = cursor
            && self.random.chance(50)
        {
            return self.change_current(table);
        }
        let directions: &[&str] = match cursor {
            Some(_) => &["NEXT", "NEXT", "NEXT", "FORWARD 3"],
            None => &["NEXT", "FORWARD 3", "BACKWARD 2", "FIRST", "LAST", "ALL"],
        };
        let direction = self.random.pick(directions).copied().unwrap_or("NEXT");
        Statement::new(Kind::Other, format!("FETCH {direction} FROM c"))
    }

    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Sessions will meet at this row of `table`.
    pub(super) fn make_hot(&mut self, table: &str, id: u64) {
        let place = self.random.draw();
        self.hot.replace(table, place, id);
    }

    pub(super) fn table(&mut self) -> &'static str {
        self.random.pick(&TABLES).copied().unwrap_or(TABLES[0])
    }

    /// A row of `h`, which rows of the tables under test may share the `id` of.
    fn heap_id(&mut self) -> u64 {
        self.random.between(1, HEAP_ROWS)
    }

    fn work(&mut self) -> Statement {
        if self.random.chance(60) {
            return self.change();
        }
        let table = self.table();
        let k = self.heap_id();
        let v = self.random.between(1, 9);
        let id = self.number();
        let sql = match self.random.between(1, 100) {
            1..=24 => {
                if self.random.chance(50) {
                    self.make_hot(table, id);
                }
                format!("INSERT INTO {table} VALUES ({id}, {v}, 'row {id}')")
            }
            25..=29 => format!(
                "INSERT INTO {table} SELECT {id} * 1000 + g, g % 10, repeat('x', g % 50) FROM generate_series(1, {}) g",
                self.random.between(2, 400)
            ),
            30..=33 => format!(
                "INSERT INTO {table} SELECT -{id} * 1000 - row_number() OVER (ORDER BY id), v + 1, s FROM {} ORDER BY id LIMIT 20",
                self.table()
            ),
            34..=37 => {
                format!("INSERT INTO {table} VALUES ({id}, {v}, NULL) RETURNING id, v, s")
            }
            38..=50 => format!(
                "SELECT count(*), sum(id), sum(v), count(s), max(s) FROM {table} WHERE v <> {v}"
            ),
            51..=54 => format!(
                "SELECT * FROM {table} WHERE id BETWEEN {} AND {id}",
                id.saturating_sub(30)
            ),
            55..=57 => "SELECT count(*), sum(t.v + u.v) FROM t JOIN u USING (v)".to_owned(),
            58..=60 => "SELECT * FROM h".to_owned(),
            61..=66 => format!("UPDATE h SET v = v + {v}, s = 'by {id}' WHERE id = {k}"),
            // The row of the table under test is the same one each time: the oldest of its kind.
            67..=72 => format!(
                "UPDATE h SET v = h.v + x.v, s = x.s FROM {table} x \
                 WHERE h.id = {k} AND x.id = (SELECT min(id) FROM {table} WHERE v = {v}) RETURNING h.*"
            ),
            73..=76 => format!(
                "SELECT h.*, x.* FROM h CROSS JOIN {table} x \
                 WHERE h.id = {k} AND x.id = (SELECT max(id) FROM {table} WHERE v = {k}) FOR UPDATE OF h{}",
                self.random
                    .pick(&["", "", " NOWAIT", " SKIP LOCKED"])
                    .copied()
                    .unwrap_or("")
            ),
            77..=80 => format!(
                "MERGE INTO h USING (SELECT * FROM {table} WHERE id = (SELECT max(id) FROM {table} WHERE v = {k})) x \
                 ON h.id = {k} WHEN MATCHED AND h.v > 500 THEN UPDATE SET v = 0 \
                 WHEN MATCHED THEN UPDATE SET v = h.v + x.v, s = x.s"
            ),
            81..=83 => format!(
                "WITH locked AS (SELECT * FROM h WHERE id = {k} FOR UPDATE) \
                 INSERT INTO {table} SELECT {id}, v, s FROM locked"
            ),
            84..=86 => format!(
                "DO $$ BEGIN INSERT INTO {table} VALUES ({id}, {v}, 'kept'); \
                 BEGIN INSERT INTO {table} VALUES (-{id}, {v}, 'lost'); PERFORM 1 / 0; \
                 EXCEPTION WHEN division_by_zero THEN NULL; END; END $$"
            ),
            87..=88 => format!(
                "INSERT INTO {table} SELECT {id}, 1 / (count(*) - count(*)), '' FROM {table}"
            ),
            89..=90 => format!("LOCK TABLE {table} IN {} MODE", self.lock_mode()),
            91..=92 => format!("TRUNCATE {table}"),
            93 => format!("TRUNCATE {table}, {}", self.table()),
            94..=95 => format!(
                "SELECT EXISTS (SELECT FROM {table} WHERE v = {v}), (SELECT count(*) FROM h WHERE v IN (SELECT v FROM {table}))"
            ),
            _ => format!("SELECT v, count(*), min(id), max(id) FROM {table} GROUP BY v"),
        };
        Statement::new(Kind::Other, sql)
    }

    fn lock_mode(&mut self) -> &'static str {
        self.random
            .pick(&["SHARE", "ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS SHARE"])
            .copied()
            .unwrap_or("SHARE")
    }
}
