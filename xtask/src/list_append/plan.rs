//! What transactions do, from the seed alone: steps with places of keys ([`super::keys`]), and their SQL.

use super::history::{Element, Key, TABLES};
use super::keys::{Place, SLOTS};
use super::level::{LEVELS, Level};
use crate::random::Random;
use std::collections::BTreeSet;

/// Which levels the transactions of a round have.
#[derive(Clone, Copy, Debug)]
pub enum Mixture {
    All(Level),
    Any,
}

impl Mixture {
    pub fn draw(random: &mut Random) -> Self {
        match random.between(0, 4) {
            0 => Self::All(Level::ReadCommitted),
            1 => Self::All(Level::RepeatableRead),
            2 => Self::All(Level::Serializable),
            _ => Self::Any,
        }
    }

    fn level(self, random: &mut Random) -> Level {
        match self {
            Self::All(level) => level,
            Self::Any => random.pick(&LEVELS).copied().unwrap_or(LEVELS[0]),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub level: Level,
    pub read_only: bool,
    pub steps: Vec<Step>,
    pub ending: Ending,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Read {
        places: Vec<Place>,
        lock: &'static str,
    },
    Append {
        places: Vec<Place>,
        way: Way,
        /// Whether the statement returns the lists.
        returning: bool,
    },
    /// Steps in a savepoint, which may be rolled back.
    Savepoint { steps: Vec<Step>, keep: bool },
    /// Milliseconds.
    Pause(u64),
}

/// The statement that appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Update,
    Merge,
    /// The row is deleted and inserted again.
    Move,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Commit,
    RollBack,
    /// PREPARE TRANSACTION, and what follows.
    Prepare(Afterwards),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    Commit,
    RollBack,
    /// For later, perhaps after a crash.
    Leave,
}

impl Plan {
    pub fn draw(random: &mut Random, mixture: Mixture) -> Self {
        let level = mixture.level(random);
        let read_only = random.chance(12);
        let steps = steps(random, read_only, 0);
        let ending = match random.between(1, 100) {
            1..=80 => Ending::Commit,
            81..=87 => Ending::RollBack,
            88..=94 => Ending::Prepare(Afterwards::Commit),
            95..=96 => Ending::Prepare(Afterwards::RollBack),
            _ => Ending::Prepare(Afterwards::Leave),
        };
        Self {
            level,
            read_only,
            steps,
            ending,
        }
    }
}

fn steps(random: &mut Random, read_only: bool, depth: u64) -> Vec<Step> {
    let count = random.between(1, 4 - depth);
    let mut steps = Vec::new();
    for _ in 0..count {
        if random.chance(15) {
            steps.push(Step::Pause(random.between(1, 4)));
        }
        steps.push(match random.between(1, 100) {
            1..=40 => read(random, read_only),
            41..=88 if !read_only => append(random),
            89..=100 if depth < 2 && !read_only => Step::Savepoint {
                steps: self::steps(random, read_only, depth + 1),
                keep: random.chance(60),
            },
            _ => read(random, read_only),
        });
    }
    steps
}

fn read(random: &mut Random, read_only: bool) -> Step {
    let lock = match random.between(1, 100) {
        _ if read_only => "",
        1..=82 => "",
        83..=89 => " FOR UPDATE",
        90..=95 => " FOR NO KEY UPDATE",
        _ => " FOR SHARE",
    };
    let count = random.between(1, 4);
    // Rows of both tables cannot be locked by one statement of this form.
    let table = match lock {
        "" => None,
        _ => Some(table(random)),
    };
    Step::Read {
        places: places(random, count, table),
        lock,
    }
}

fn append(random: &mut Random) -> Step {
    let way = match random.between(1, 100) {
        1..=55 => Way::Update,
        56..=85 => Way::Merge,
        _ => Way::Move,
    };
    let count = match way {
        Way::Move => 1,
        Way::Update | Way::Merge => random.between(1, 5).saturating_sub(2).max(1),
    };
    let table = table(random);
    Step::Append {
        places: places(random, count, Some(table)),
        way,
        returning: random.chance(50),
    }
}

fn table(random: &mut Random) -> usize {
    usize::from(random.chance(50))
}

/// Different ones, all of `table` if it is told.
fn places(random: &mut Random, count: u64, table: Option<usize>) -> Vec<Place> {
    let mut places = BTreeSet::new();
    for _ in 0..count {
        let table = table.unwrap_or_else(|| self::table(random));
        let slot = u32::try_from(random.between(0, u64::from(SLOTS) - 1)).unwrap_or(0);
        places.insert((table, slot));
    }
    let mut places: Vec<_> = places.into_iter().collect();
    random.shuffle(&mut places);
    places
}

/// Reads these keys with one snapshot. Columns: table, key, list.
pub fn select(keys: &[Key], lock: &str) -> String {
    let parts: Vec<String> = TABLES
        .iter()
        .enumerate()
        .filter_map(|(table, name)| {
            let numbers: Vec<String> = keys
                .iter()
                .filter(|key| key.table == table)
                .map(|key| key.number.to_string())
                .collect();
            let numbers = numbers.join(", ");
            (!numbers.is_empty()).then(|| {
                format!("SELECT '{name}', key, value FROM {name} WHERE key IN ({numbers}){lock}")
            })
        })
        .collect();
    parts.join(" UNION ALL ")
}

/// Appends to keys of one table. Columns: as of [`select`], the list NULL unless it is wanted.
pub fn append_sql(appends: &[(Key, Element)], way: Way, returning: bool) -> String {
    let Some((first, element)) = appends.first() else {
        return String::new();
    };
    let name = first.table_name();
    let list = |column| match returning {
        true => column,
        false => "NULL",
    };
    let values: Vec<String> = appends
        .iter()
        .map(|(key, element)| format!("({}, {element})", key.number))
        .collect();
    let values = format!("(VALUES {}) AS n (key, element)", values.join(", "));
    match way {
        Way::Update if appends.len() == 1 => format!(
            "UPDATE {name} SET value = value || {element} WHERE key = {} RETURNING '{name}', key, {}",
            first.number,
            list("value")
        ),
        Way::Update => format!(
            "UPDATE {name} t SET value = t.value || n.element FROM {values} WHERE t.key = n.key \
             RETURNING '{name}', t.key, {}",
            list("t.value")
        ),
        Way::Merge => format!(
            "MERGE INTO {name} t USING {values} ON t.key = n.key \
             WHEN MATCHED THEN UPDATE SET value = t.value || n.element RETURNING '{name}', t.key, {}",
            list("t.value")
        ),
        Way::Move => format!(
            "WITH gone AS (DELETE FROM {name} WHERE key = {} RETURNING key, value) \
             INSERT INTO {name} SELECT key, value || {element} FROM gone RETURNING '{name}', key, {}",
            first.number,
            list("value")
        ),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn key(table: usize, number: u32) -> Key {
        Key { table, number }
    }

    #[test]
    fn a_seed_makes_one_plan_and_plans_hold_everything() {
        let plans = |seed| -> Vec<Plan> {
            let mut random = Random::for_part(seed, &[1]);
            (0..400)
                .map(|_| Plan::draw(&mut random, Mixture::Any))
                .collect()
        };
        assert_eq!(plans(1), plans(1));
        assert_ne!(plans(1), plans(2));
        let text = format!("{:?}", plans(1));
        for wanted in [
            "ReadCommitted",
            "RepeatableRead",
            "Serializable",
            "Update",
            "Merge",
            "Move",
            "Savepoint",
            "FOR SHARE",
            "Prepare(Leave)",
        ] {
            assert!(text.contains(wanted), "{wanted}");
        }
    }

    #[test]
    fn one_statement_reads_both_tables_and_a_locking_one_does_not() {
        let sql = select(&[key(1, 7), key(0, 2), key(0, 3)], "");
        assert_eq!(
            sql,
            "SELECT 'a', key, value FROM a WHERE key IN (2, 3) UNION ALL \
             SELECT 'b', key, value FROM b WHERE key IN (7)"
        );
        let mut random = Random::for_part(1, &[]);
        for _ in 0..200 {
            if let Step::Read { places, lock } = read(&mut random, false)
                && !lock.is_empty()
            {
                let first = places.first().unwrap().0;
                assert!(places.iter().all(|place| place.0 == first));
            }
        }
    }

    #[test]
    fn appends_of_many_name_every_element() {
        let appends = [(key(0, 1), 10), (key(0, 2), 11)];
        for way in [Way::Update, Way::Merge] {
            let sql = append_sql(&appends, way, true);
            assert!(sql.contains("(1, 10), (2, 11)") && sql.ends_with("t.value"));
        }
        assert!(append_sql(&appends, Way::Merge, false).ends_with("NULL"));
    }
}
