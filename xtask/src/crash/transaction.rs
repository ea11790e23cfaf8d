//! What a client does next: the steps of a transaction, drawn from the client's random numbers and
//! nothing else, and their SQL.
//!
//! Steps do not depend on what is in the database, so that a plan can be made ahead of it: a table
//! is created where it does not exist and dropped where it does.

use super::change::{Change, Isolation};
use super::random::Random;
use super::tables::{COLUMNS, create_table, mirror};

/// The tables a client may touch.
#[derive(Clone, Debug)]
pub struct Targets {
    /// Everybody's.
    pub shared: Vec<String>,
    /// Everybody's, on the disk that runs full.
    pub small: Option<String>,
    /// Everybody's, of which some are logged and others are not.
    pub changing: Vec<String>,
    /// Created and dropped by this client alone: a logged one and an unlogged one.
    pub own: [String; 2],
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    Transaction(Transaction),
    /// VACUUM FULL, which is a transaction of its own.
    Rewrite(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    pub isolation: Isolation,
    pub steps: Vec<Step>,
    pub ending: Ending,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Insert {
        table: String,
        rows: Rows,
    },
    Copy {
        table: String,
        rows: Rows,
    },
    Change {
        table: String,
        change: Change,
    },
    Truncate {
        table: String,
    },
    Create {
        table: String,
    },
    Drop {
        table: String,
    },
    /// A rewrite, to a logged table or to an unlogged one.
    SetLogged {
        table: String,
        logged: bool,
    },
    Savepoint,
    RollbackTo,
    Release,
}

/// `count` rows that follow from `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    pub first: u64,
    pub count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Commit,
    Rollback,
    Prepare(Afterwards),
}

/// What becomes of a prepared transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    Commit,
    Rollback,
    /// It stays for later, perhaps for after a crash.
    Leave,
}

/// A statement, with its data where it is a COPY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    Sql(String),
    Copy { sql: String, data: String },
}

impl Transaction {
    /// Whether it locks readers out of a table while it is prepared.
    pub fn is_exclusive(&self) -> bool {
        self.steps.iter().any(|step| {
            matches!(
                step,
                Step::Truncate { .. }
                    | Step::Create { .. }
                    | Step::Drop { .. }
                    | Step::SetLogged { .. }
            )
        })
    }
}

pub fn next(random: &mut Random, targets: &Targets) -> Work {
    if random.chance(2)
        && let Some(table) = random.pick(&targets.shared)
    {
        return Work::Rewrite(table.clone());
    }
    let mut steps = Vec::new();
    for _ in 0..random.between(1, 3) {
        let nested = random.chance(25);
        if nested {
            steps.push(Step::Savepoint);
        }
        add_change(random, targets, &mut steps);
        if nested {
            steps.push(if random.chance(50) {
                Step::RollbackTo
            } else {
                Step::Release
            });
        }
    }
    let ending = match random.between(1, 100) {
        1..=73 => Ending::Commit,
        74..=85 => Ending::Rollback,
        86..=90 => Ending::Prepare(Afterwards::Commit),
        91..=93 => Ending::Prepare(Afterwards::Rollback),
        _ => Ending::Prepare(Afterwards::Leave),
    };
    let isolation = match random.between(1, 100) {
        1..=60 => Isolation::ReadCommitted,
        _ => Isolation::RepeatableRead,
    };
    Work::Transaction(Transaction {
        isolation,
        steps,
        ending,
    })
}

fn add_change(random: &mut Random, targets: &Targets, steps: &mut Vec<Step>) {
    match random.between(1, 100) {
        1..=5 => {
            if let Some(table) = random.pick(&targets.shared).cloned() {
                steps.push(Step::Truncate { table });
            }
        }
        6..=11 => {
            if let Some(table) = random.pick(&targets.own).cloned() {
                steps.push(Step::Drop { table });
            }
        }
        12..=21 => {
            let Some(table) = random.pick(&targets.own).cloned() else {
                return;
            };
            if random.chance(30) {
                steps.push(Step::Drop {
                    table: table.clone(),
                });
            }
            steps.push(Step::Create {
                table: table.clone(),
            });
            let rows = rows(random);
            steps.push(Step::Insert { table, rows });
        }
        22..=23 => {
            if let Some(table) = random.pick(&targets.changing).cloned() {
                let logged = random.chance(50);
                steps.push(Step::SetLogged { table, logged });
            }
        }
        24..=33 if targets.small.is_some() => {
            if let Some(table) = targets.small.clone() {
                let mut rows = rows(random);
                rows.count = rows.count.min(2_000);
                steps.push(Step::Insert { table, rows });
            }
        }
        34..=63 => {
            let tables = match random.chance(90) {
                true => random.pick(&targets.shared),
                false => targets.small.as_ref(),
            };
            if let Some(table) = tables.cloned() {
                let change = Change::next(random);
                steps.push(Step::Change { table, change });
            }
        }
        64..=75 => {
            if let Some(table) = random.pick(&targets.shared).cloned() {
                let mut rows = rows(random);
                rows.count = rows.count.min(10_000);
                steps.push(Step::Copy { table, rows });
            }
        }
        _ => {
            if let Some(table) = random.pick(&targets.shared).cloned() {
                let rows = rows(random);
                steps.push(Step::Insert { table, rows });
            }
        }
    }
}

/// Mostly few rows; now and then more than the 64 Ki that a transaction keeps in memory.
fn rows(random: &mut Random) -> Rows {
    let count = match random.between(1, 100) {
        1..=50 => 1,
        51..=80 => random.between(2, 200),
        81..=97 => random.between(1_000, 6_000),
        _ => random.between(20_000, 80_000),
    };
    Rows {
        first: random.between(0, 1 << 40),
        count,
    }
}

impl Step {
    /// The statements of this step, for the Iceberg table and then for its mirror.
    pub fn statements(&self, isolation: Isolation) -> Vec<Statement> {
        let both = |table: &str, make: &dyn Fn(&str, bool) -> Statement| {
            vec![make(table, true), make(&mirror(table), false)]
        };
        let sql = |text: String| Statement::Sql(text);
        match self {
            Self::Insert { table, rows } => both(table, &|table, _| {
                sql(format!(
                    "INSERT INTO {table} SELECT {} + g, (g % 5)::int, \
                     CASE WHEN g % 7 = 0 THEN NULL ELSE 'note ' || g END \
                     FROM generate_series(1, {}) g",
                    rows.first, rows.count
                ))
            }),
            Self::Copy { table, rows } => {
                let data = rows.as_copy_text();
                both(table, &|table, _| Statement::Copy {
                    sql: format!("COPY {table} FROM STDIN"),
                    data: data.clone(),
                })
            }
            Self::Change { table, change } => change
                .statements(table, isolation)
                .into_iter()
                .map(sql)
                .collect(),
            Self::Truncate { table } => both(table, &|table, _| sql(format!("TRUNCATE {table}"))),
            Self::Create { table } => both(table, &|table, iceberg| {
                let method = if iceberg { "iceberg" } else { "heap" };
                let create = create_table(table);
                sql(format!(
                    "{create} IF NOT EXISTS {table} ({COLUMNS}) USING {method}"
                ))
            }),
            Self::SetLogged { table, logged } => both(table, &|table, _| {
                let persistence = if *logged { "LOGGED" } else { "UNLOGGED" };
                sql(format!("ALTER TABLE {table} SET {persistence}"))
            }),
            Self::Drop { table } => both(table, &|table, _| {
                sql(format!("DROP TABLE IF EXISTS {table}"))
            }),
            Self::Savepoint => vec![sql("SAVEPOINT s".to_owned())],
            Self::RollbackTo => vec![sql("ROLLBACK TO s".to_owned())],
            Self::Release => vec![sql("RELEASE s".to_owned())],
        }
    }
}

impl Rows {
    fn as_copy_text(self) -> String {
        (1..=self.count)
            .map(|g| {
                let note = if g % 7 == 0 {
                    "\\N".to_owned()
                } else {
                    format!("copied {g}")
                };
                format!("{}\t{}\t{note}\n", self.first + g, g % 5)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Targets {
        Targets {
            shared: vec!["t0".to_owned(), "t1".to_owned()],
            small: Some("t9".to_owned()),
            changing: vec!["u0".to_owned()],
            own: ["t10", "u10"].map(str::to_owned),
        }
    }

    fn plan(seed: u64) -> Vec<Work> {
        let mut random = Random::for_part(seed, &[1, 2]);
        (0..500).map(|_| next(&mut random, &targets())).collect()
    }

    #[test]
    fn a_seed_makes_one_plan() {
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn every_step_and_ending_occurs_and_savepoints_are_closed() {
        let mut seen = std::collections::BTreeSet::new();
        for work in plan(3) {
            let Work::Transaction(transaction) = work else {
                seen.insert("rewrite".to_owned());
                continue;
            };
            let mut depth = 0;
            for step in &transaction.steps {
                let name = format!("{step:?}");
                let end = name.find(' ').unwrap_or(name.len());
                seen.insert(name.get(..end).unwrap_or_default().to_owned());
                match step {
                    Step::Savepoint => depth += 1,
                    Step::RollbackTo | Step::Release => depth -= 1,
                    _ => {}
                }
            }
            assert_eq!(depth, 0);
            seen.insert(format!("{:?}", transaction.ending));
        }
        assert_eq!(seen.len(), 1 + 10 + 5, "{seen:?}");
    }

    #[test]
    fn both_tables_get_the_same_rows() {
        let step = Step::Copy {
            table: "t0".to_owned(),
            rows: Rows {
                first: 10,
                count: 2,
            },
        };
        let copy = |table: &str| Statement::Copy {
            sql: format!("COPY {table} FROM STDIN"),
            data: "11\t1\tcopied 1\n12\t2\tcopied 2\n".to_owned(),
        };
        assert_eq!(
            step.statements(Isolation::ReadCommitted),
            [copy("t0"), copy("t0_heap")]
        );
    }

    #[test]
    fn what_locks_readers_out_is_known() {
        let of = |steps: Vec<Step>| Transaction {
            isolation: Isolation::ReadCommitted,
            steps,
            ending: Ending::Commit,
        };
        let table = "t0".to_owned();
        assert!(of(vec![Step::Savepoint, Step::Truncate { table }]).is_exclusive());
        assert!(!of(vec![Step::Savepoint, Step::RollbackTo]).is_exclusive());
    }
}
