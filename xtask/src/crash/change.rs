//! UPDATE, DELETE, MERGE and row locks of a table and its mirror, so that both come to the same rows whatever others
//! commit meanwhile: either two statements of a transaction with one snapshot, or one statement that
//! does to the mirror what it has done to the table, in which rows may be new versions that others have just committed.

use super::random::Random;
use super::tables::mirror;

/// How a transaction sees what others commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadCommitted,
    RepeatableRead,
}

impl Isolation {
    pub fn begin(self) -> &'static str {
        match self {
            Self::ReadCommitted => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Self::RepeatableRead => "BEGIN ISOLATION LEVEL REPEATABLE READ",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Update,
    Delete,
    /// Updates, deletes and inserts.
    Merge,
    /// Row locks only, which a prepared transaction keeps.
    Lock,
}

/// What is done to up to `count` rows, which `draw` picks from all over the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub kind: Kind,
    pub count: u64,
    pub draw: u64,
}

/// Smaller ids may be those of several rows.
const FIRST_ID: u64 = 1_000;

impl Change {
    pub fn next(random: &mut Random) -> Self {
        Self {
            kind: match random.between(1, 100) {
                1..=45 => Kind::Update,
                46..=65 => Kind::Delete,
                66..=90 => Kind::Merge,
                _ => Kind::Lock,
            },
            count: match random.between(1, 100) {
                1..=45 => 1,
                46..=80 => random.between(2, 200),
                _ => random.between(1_000, 6_000),
            },
            draw: random.between(1, 1 << 40),
        }
    }

    /// The statements of a transaction of this isolation.
    pub fn statements(&self, table: &str, isolation: Isolation) -> Vec<String> {
        match isolation {
            Isolation::RepeatableRead => [table, &mirror(table)]
                .map(|table| self.statement(table, ""))
                .into(),
            Isolation::ReadCommitted if self.kind == Kind::Lock => vec![self.statement(table, "")],
            Isolation::ReadCommitted => vec![self.statement_for_both(table)],
        }
    }

    fn statement_for_both(&self, table: &str) -> String {
        let returning = match self.kind {
            Kind::Merge => " RETURNING merge_action() AS done, x.*",
            Kind::Update | Kind::Delete | Kind::Lock => " RETURNING x.*",
        };
        let changed = self.statement(table, returning);
        let mirror = mirror(table);
        let repeated = match self.kind {
            Kind::Update => format!(
                "UPDATE {mirror} x SET part = c.part, note = c.note FROM changed c WHERE x.id = c.id"
            ),
            Kind::Delete => format!("DELETE FROM {mirror} x USING changed c WHERE x.id = c.id"),
            Kind::Merge => format!(
                "MERGE INTO {mirror} x USING changed c ON x.id = c.id \
                 WHEN MATCHED AND c.done = 'DELETE' THEN DELETE \
                 WHEN MATCHED THEN UPDATE SET part = c.part, note = c.note \
                 WHEN NOT MATCHED THEN INSERT VALUES (c.id, c.part, c.note)"
            ),
            Kind::Lock => "TABLE changed".to_owned(),
        };
        format!("WITH changed AS ({changed}) {repeated}")
    }

    fn statement(&self, table: &str, returning: &str) -> String {
        let Self { kind, count, draw } = *self;
        let multiplier = draw % 10_007 + 1;
        let ids = format!(
            "SELECT id FROM {table} WHERE id >= {FIRST_ID} ORDER BY id % 10007 * {multiplier} % 10007, id LIMIT {count}"
        );
        match kind {
            Kind::Update => format!(
                "UPDATE {table} x SET part = (x.part + 1) % 5, note = 'changed ' || x.id % 100 WHERE id IN ({ids}){returning}"
            ),
            Kind::Delete => format!("DELETE FROM {table} x WHERE id IN ({ids}){returning}"),
            Kind::Merge => format!(
                "MERGE INTO {table} x USING (({ids}) UNION SELECT {draw} + g FROM generate_series(1000, 1000 + {count} / 4) g) y \
                 ON x.id = y.id WHEN MATCHED AND x.part = 0 THEN DELETE \
                 WHEN MATCHED AND x.part = 1 THEN DO NOTHING \
                 WHEN MATCHED THEN UPDATE SET part = x.part - 1, note = NULL \
                 WHEN NOT MATCHED THEN INSERT VALUES (y.id, 3, 'merged'){returning}"
            ),
            Kind::Lock => {
                let strength = if draw % 2 == 0 { "UPDATE" } else { "SHARE" };
                format!(
                    "SELECT count(*) FROM (SELECT FROM {table} WHERE id IN ({ids}) FOR {strength}) x"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_one_snapshot_the_mirror_has_a_statement_of_its_own() {
        let change = Change {
            kind: Kind::Delete,
            count: 3,
            draw: 7,
        };
        let apart = change.statements("t0", Isolation::RepeatableRead);
        assert_eq!(apart.len(), 2);
        assert!(apart[1].starts_with("DELETE FROM t0_heap x WHERE id IN (SELECT id FROM t0_heap "));
        let together = change.statements("t0", Isolation::ReadCommitted);
        assert_eq!(together.len(), 1);
        assert!(together[0].ends_with("DELETE FROM t0_heap x USING changed c WHERE x.id = c.id"));
    }
}
