//! Statements that change, merge and lock rows of the tables under test.
//!
//! They go for rows that other sessions go for as well: `hot` ones, whose ids are known from the statement that
//! inserted them. Where a statement comes to several rows it does so in the order of `id`: by a merge join, which
//! is the only join there is for it, or by ORDER BY. Which rows those without an order had come to before they waited or
//! failed is not the same on both sides ([`Kind::AnyOrder`]).

use super::statement::{Generator, Kind, Statement, TABLES};

/// Rows of the tables under test at the beginning, by `id`.
pub const HOT_ROWS: u64 = 5;
/// `id`s of the rows that an INSERT of many makes are larger.
const MANY: u64 = 1_000_000;
/// What an `id` is multiplied by to tell rows that MERGE inserts from all others.
const MERGED: u64 = 10_000_000;

const STRENGTHS: [&str; 4] = ["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"];
const WAITS: [&str; 5] = ["", "", "", " NOWAIT", " SKIP LOCKED"];

/// `id`s of rows that sessions meet at, of each table.
pub struct Hot([Vec<u64>; TABLES.len()]);

impl Hot {
    pub fn new() -> Self {
        Self(TABLES.map(|_| (1..=HOT_ROWS).collect()))
    }

    fn of(&self, table: &str) -> &[u64] {
        TABLES
            .iter()
            .zip(&self.0)
            .find(|(name, _)| **name == table)
            .map_or(&[], |(_, ids)| ids)
    }

    /// A row of `table` takes another's place, whether it will be committed or not.
    pub fn replace(&mut self, table: &str, place: u64, id: u64) {
        let ids = TABLES.iter().zip(&mut self.0);
        for (_, ids) in ids.filter(|(name, _)| **name == table) {
            let place = usize::try_from(place).unwrap_or(0) % ids.len().max(1);
            if let Some(known) = ids.get_mut(place) {
                *known = id;
            }
        }
    }
}

impl Generator {
    fn hot(&mut self, table: &str) -> u64 {
        let ids = self.hot.of(table).to_vec();
        self.random().pick(&ids).copied().unwrap_or(1)
    }

    /// Two ids of hot rows, the smaller first.
    fn range(&mut self, table: &str) -> (u64, u64) {
        let (one, other) = (self.hot(table), self.hot(table));
        (one.min(other), one.max(other))
    }

    /// A few ids from that of a hot row.
    fn few(&mut self, table: &str) -> (u64, u64) {
        let low = self.hot(table);
        (low, low + self.random().between(1, 6))
    }

    fn lock(&mut self) -> String {
        let strength = self.random().pick(&STRENGTHS).copied();
        let wait = self.random().pick(&WAITS).copied();
        format!(
            "FOR {}{}",
            strength.unwrap_or(STRENGTHS[0]),
            wait.unwrap_or("")
        )
    }

    /// A cursor whose row can be changed, and that locks what it comes to.
    pub(super) fn updatable_cursor(&mut self) -> Statement {
        let table = self.table();
        let (low, high) = self.range(table);
        let lock = self.random().pick(&["", " FOR UPDATE", " FOR SHARE"]);
        let lock = lock.copied().unwrap_or("");
        // Without a lock it has to be simple to be updatable; then it finds one row.
        let query = match lock {
            "" => format!("SELECT * FROM {table} WHERE id = {low}"),
            _ => {
                format!("SELECT * FROM {table} WHERE id BETWEEN {low} AND {high} ORDER BY id{lock}")
            }
        };
        let sql = format!("DECLARE c NO SCROLL CURSOR FOR {query}");
        Statement::new(Kind::Declare(Some(table)), sql)
    }

    /// Changes the row that the cursor is at.
    pub(super) fn change_current(&mut self, table: &str) -> Statement {
        let v = self.random().between(1, 9);
        let sql = match self.random().chance(70) {
            true => format!("UPDATE {table} SET v = v + {v} WHERE CURRENT OF c RETURNING *"),
            false => format!("DELETE FROM {table} WHERE CURRENT OF c"),
        };
        Statement::new(Kind::Other, sql)
    }

    /// Changes or locks rows of the tables under test.
    pub(super) fn change(&mut self) -> Statement {
        let sql = match self.random().between(1, 100) {
            1..=34 => self.update(),
            35..=46 => self.delete(),
            47..=64 => self.merge(),
            65..=86 => self.row_lock(),
            87..=92 => self.block(),
            _ => return self.in_any_order(),
        };
        Statement::new(Kind::Other, sql)
    }

    fn update(&mut self) -> String {
        let table = self.table();
        let k = self.hot(table);
        let v = self.random().between(1, 9);
        let by = self.number();
        let (low, high) = self.range(table);
        match self.random().between(1, 100) {
            1..=34 => format!("UPDATE {table} SET v = v + {v} WHERE id = {k}"),
            35..=44 => {
                format!("UPDATE {table} SET v = {v}, s = 'by {by}' WHERE id = {k} RETURNING *")
            }
            45..=50 => {
                format!("UPDATE {table} SET v = v + 1, s = NULL WHERE id = {k} AND v < {v}0")
            }
            51..=57 => {
                self.make_hot(table, by);
                format!("UPDATE {table} SET id = {by} WHERE id = {k}")
            }
            58..=75 => format!(
                "UPDATE {table} x SET v = x.v + 1 FROM generate_series({low}::bigint, {high}) g WHERE x.id = g RETURNING x.*"
            ),
            76..=84 => {
                let other = self.table();
                let k2 = self.hot(other);
                format!(
                    "UPDATE {table} x SET v = x.v + y.v, s = y.s FROM {other} y WHERE x.id = {k} AND y.id = {k2} RETURNING x.*, y.*"
                )
            }
            // Changed twice by one statement: once.
            85..=88 => format!(
                "WITH w AS (UPDATE {table} SET v = v + 1 WHERE id = {k} RETURNING id) \
                 UPDATE {table} x SET v = x.v + 10 FROM w WHERE x.id = w.id"
            ),
            89..=93 => format!(
                "WITH l AS (SELECT id FROM {table} WHERE id BETWEEN {low} AND {high} ORDER BY id LIMIT 3 FOR UPDATE SKIP LOCKED) \
                 UPDATE {table} x SET v = 0 FROM l WHERE x.id = l.id RETURNING x.*"
            ),
            _ => format!(
                "UPDATE {table} x SET v = x.v + 1 FROM {table} y \
                 WHERE x.id = y.id AND y.id > {MANY} AND y.v <> {v} AND y.id % 3 = 0"
            ),
        }
    }

    fn delete(&mut self) -> String {
        let table = self.table();
        let k = self.hot(table);
        let v = self.random().between(1, 9);
        let (low, high) = self.few(table);
        match self.random().between(1, 100) {
            1..=40 => format!("DELETE FROM {table} WHERE id = {k}"),
            41..=50 => format!("DELETE FROM {table} WHERE id = {k} AND v > {v} RETURNING *"),
            51..=68 => format!(
                "DELETE FROM {table} x USING generate_series({low}::bigint, {high}) g WHERE x.id = g AND x.v % 3 = 1 RETURNING x.*"
            ),
            69..=84 => {
                let id = self.number();
                let other = self.table();
                self.make_hot(other, id);
                format!(
                    "WITH d AS (DELETE FROM {table} WHERE id = {k} RETURNING *) INSERT INTO {other} SELECT {id}, v, s FROM d"
                )
            }
            _ => format!(
                "DELETE FROM {table} x USING {table} y WHERE x.id = y.id AND y.id > {MANY} AND x.v = {v}"
            ),
        }
    }

    fn merge(&mut self) -> String {
        let table = self.table();
        let k = self.hot(table);
        let v = self.random().between(1, 9);
        let (low, high) = self.few(table);
        let new = self.number() * MERGED;
        let several = format!(
            "MERGE INTO {table} x USING generate_series({low}::bigint, {high}) g ON x.id = g"
        );
        match self.random().between(1, 100) {
            1..=25 => format!(
                "MERGE INTO {table} x USING (VALUES ({k}::bigint, {v})) y (id, v) ON x.id = y.id \
                 WHEN MATCHED AND x.v > 60 THEN DELETE WHEN MATCHED THEN UPDATE SET v = x.v + y.v \
                 WHEN NOT MATCHED THEN INSERT VALUES ({new}, y.v, 'merged')"
            ),
            26..=50 => format!(
                "{several} WHEN MATCHED AND x.v > 50 THEN DELETE WHEN MATCHED AND x.v % 4 = 0 THEN DO NOTHING \
                 WHEN MATCHED THEN UPDATE SET v = x.v + {v}, s = 'merged' \
                 WHEN NOT MATCHED AND g % 4 = 0 THEN INSERT VALUES ({new} + g, {v}, NULL) WHEN NOT MATCHED THEN DO NOTHING \
                 RETURNING merge_action(), x.*"
            ),
            51..=65 => format!(
                "{several} WHEN MATCHED THEN UPDATE SET v = x.v + 1 \
                 WHEN NOT MATCHED BY SOURCE AND x.v = {v} AND x.id < {MANY} THEN UPDATE SET v = 0 \
                 WHEN NOT MATCHED BY SOURCE AND x.v = {v} + 10 AND x.id < {MANY} THEN DELETE"
            ),
            66..=75 => format!(
                "{several} WHEN MATCHED AND x.v = {v} THEN DELETE WHEN NOT MATCHED BY TARGET AND g % 3 = 0 \
                 THEN INSERT (id, v) VALUES ({new} + g, {v})"
            ),
            76..=90 => {
                let other = self.table();
                let k2 = self.hot(other);
                format!(
                    "MERGE INTO {table} x USING (SELECT * FROM {other} WHERE id IN ({k2}, {k})) y ON x.id = y.id \
                     WHEN MATCHED THEN UPDATE SET v = y.v + 1 \
                     WHEN NOT MATCHED THEN INSERT VALUES ({new} + y.id % 1000000, y.v, y.s)"
                )
            }
            // The second row of the source comes to a row that the first has changed.
            _ => format!(
                "MERGE INTO {table} x USING (VALUES ({k}::bigint), ({k})) y (id) ON x.id = y.id \
                 WHEN MATCHED THEN UPDATE SET v = x.v + 1"
            ),
        }
    }

    fn row_lock(&mut self) -> String {
        let table = self.table();
        let k = self.hot(table);
        let (low, high) = self.range(table);
        let lock = self.lock();
        match self.random().between(1, 100) {
            1..=50 => format!("SELECT * FROM {table} WHERE id = {k} {lock}"),
            51..=72 => format!(
                "SELECT * FROM {table} WHERE id BETWEEN {low} AND {high} ORDER BY id {lock}"
            ),
            73..=82 => {
                format!("SELECT id, v FROM {table} WHERE id >= {low} ORDER BY id LIMIT 2 {lock}")
            }
            83..=92 => {
                let k2 = self.hot("u");
                let k = self.hot("t");
                let lock = lock
                    .replace(" NOWAIT", " OF t NOWAIT")
                    .replace(" SKIP", " OF u SKIP");
                format!("SELECT * FROM t, u WHERE t.id = {k} AND u.id = {k2} {lock}")
            }
            _ => format!(
                "SELECT count(*) FROM (SELECT FROM {table} WHERE id > {MANY} ORDER BY id {lock}) l"
            ),
        }
    }

    /// A block of PL/pgSQL, with a subtransaction of its own or row by row.
    fn block(&mut self) -> String {
        let table = self.table();
        let k = self.hot(table);
        let k2 = self.hot(table);
        let (low, high) = self.range(table);
        match self.random().between(1, 3) {
            1 => format!(
                "DO $$ BEGIN UPDATE {table} SET v = v + 1 WHERE id = {k}; \
                 BEGIN DELETE FROM {table} WHERE id IN ({k}, {k}); UPDATE {table} SET v = v + 1 WHERE id = {k2}; PERFORM 1 / 0; \
                 EXCEPTION WHEN division_by_zero THEN NULL; END; UPDATE {table} SET v = v + 2 WHERE id = {k}; END $$"
            ),
            2 => format!(
                "DO $$ BEGIN PERFORM FROM {table} WHERE id = {k} FOR UPDATE NOWAIT; UPDATE {table} SET v = v + 1 WHERE id = {k}; \
                 EXCEPTION WHEN lock_not_available OR serialization_failure THEN \
                 PERFORM FROM {table} WHERE id = {k2} FOR SHARE SKIP LOCKED; END $$"
            ),
            _ => format!(
                "DO $$ DECLARE c CURSOR FOR SELECT * FROM {table} WHERE id BETWEEN {low} AND {high} ORDER BY id FOR UPDATE; \
                 BEGIN FOR r IN c LOOP IF r.v % 5 = 4 THEN DELETE FROM {table} WHERE CURRENT OF c; \
                 ELSE UPDATE {table} SET v = v + 1 WHERE CURRENT OF c; END IF; END LOOP; END $$"
            ),
        }
    }

    fn in_any_order(&mut self) -> Statement {
        let table = self.table();
        let v = self.random().between(1, 9);
        let (low, high) = self.range(table);
        let sql = match self.random().between(1, 5) {
            1 => format!("UPDATE {table} SET v = v + 1 WHERE id BETWEEN {low} AND {high}"),
            2 => format!("UPDATE {table} SET v = v + 1 WHERE v = {v} RETURNING id, v"),
            3 => format!("DELETE FROM {table} WHERE v = {v} RETURNING *"),
            4 => format!("DELETE FROM {table} WHERE id > {MANY} AND id % 5 = {v} % 5"),
            _ => format!("UPDATE {table} SET s = 'by {low}', v = v + 1"),
        };
        Statement::new(Kind::AnyOrder, sql)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn changes(seed: u64) -> Vec<String> {
        let mut generator = Generator::new(Random::for_part(seed, &[0]));
        (0..500).map(|_| generator.change().sql).collect()
    }

    #[test]
    fn a_seed_repeats_its_statements() {
        assert_eq!(changes(1), changes(1));
        assert_ne!(changes(1), changes(2));
    }

    #[test]
    fn every_strength_and_clause_occurs() {
        let all = changes(3).join("\n");
        let clauses = [
            "NOWAIT",
            "SKIP LOCKED",
            "WHEN MATCHED",
            "WHEN NOT MATCHED",
            "NOT MATCHED BY SOURCE",
            "DO NOTHING",
            "CURRENT OF",
        ];
        let strengths = STRENGTHS.map(|strength| format!("FOR {strength}"));
        for wanted in clauses
            .iter()
            .copied()
            .chain(strengths.iter().map(|s| &**s))
        {
            assert!(all.contains(wanted), "{wanted}");
        }
    }

    #[test]
    fn a_hot_row_takes_the_place_of_another_in_its_table_alone() {
        let mut hot = Hot::new();
        hot.replace("u", HOT_ROWS + 1, 99);
        assert!(!hot.of("t").contains(&99));
        assert_eq!(hot.of("u").iter().filter(|id| **id == 99).count(), 1);
        assert_eq!(hot.of("u").len() as u64, HOT_ROWS);
    }
}
