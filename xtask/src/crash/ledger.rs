//! What one client knows about its transactions, and so what the database must and must not hold.
//!
//! A transaction's number goes into the table `acks` within the transaction. It is *acknowledged*
//! once the server said so, and *in doubt* from the moment COMMIT is sent until an answer comes: after
//! a crash both outcomes are right for it. Everything else must not be there.

use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    last: i64,
    acknowledged: BTreeSet<i64>,
    in_doubt: BTreeSet<i64>,
    prepared: BTreeMap<String, Prepared>,
}

/// A prepared transaction that is not known to be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    pub sequence: i64,
    /// It locks readers out.
    pub exclusive: bool,
    state: State,
}

/// What a client knows of how a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Committed,
    InDoubt,
    NotCommitted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// PREPARE TRANSACTION was sent, and no answer came.
    Preparing,
    Prepared,
    /// COMMIT PREPARED or ROLLBACK PREPARED was sent, and no answer came.
    Committing,
    RollingBack,
}

impl Ledger {
    /// The number of a new transaction.
    pub fn begin(&mut self) -> i64 {
        self.last += 1;
        self.last
    }

    pub fn committing(&mut self, sequence: i64) {
        self.in_doubt.insert(sequence);
    }

    pub fn committed(&mut self, sequence: i64) {
        self.in_doubt.remove(&sequence);
        self.acknowledged.insert(sequence);
    }

    /// The server said that it did not commit.
    pub fn not_committed(&mut self, sequence: i64) {
        self.in_doubt.remove(&sequence);
    }

    pub fn preparing(&mut self, gid: &str, sequence: i64, exclusive: bool) {
        let prepared = Prepared {
            sequence,
            exclusive,
            state: State::Preparing,
        };
        self.prepared.insert(gid.to_owned(), prepared);
    }

    pub fn is_prepared(&mut self, gid: &str) {
        self.set(gid, State::Prepared);
    }

    pub fn not_prepared(&mut self, gid: &str) {
        self.prepared.remove(gid);
    }

    pub fn resolving(&mut self, gid: &str, commit: bool) {
        self.set(
            gid,
            if commit {
                State::Committing
            } else {
                State::RollingBack
            },
        );
    }

    /// The server said that the transaction was resolved as asked for.
    pub fn resolved(&mut self, gid: &str, commit: bool) {
        if let Some(prepared) = self.prepared.remove(gid)
            && commit
        {
            self.acknowledged.insert(prepared.sequence);
        }
    }

    /// The prepared transactions that can be resolved.
    pub fn pending(&self) -> impl Iterator<Item = (&str, &Prepared)> {
        self.prepared
            .iter()
            .filter(|(_, prepared)| prepared.state == State::Prepared)
            .map(|(gid, prepared)| (gid.as_str(), prepared))
    }

    /// How a transaction ended, once no prepared one is left.
    pub fn ending(&self, sequence: i64) -> Ending {
        if self.acknowledged.contains(&sequence) {
            Ending::Committed
        } else if self.in_doubt.contains(&sequence) {
            Ending::InDoubt
        } else {
            Ending::NotCommitted
        }
    }

    /// After a restart: `present` are the prepared transactions of this client that the server
    /// has. What was in doubt about them is settled.
    pub fn settle_prepared(&mut self, present: &BTreeSet<String>) -> Result<()> {
        if let Some(gid) = present.iter().find(|gid| !self.prepared.contains_key(*gid)) {
            bail!("prepared transaction {gid} came back, though it was resolved or never prepared");
        }
        for (gid, mut prepared) in std::mem::take(&mut self.prepared) {
            if present.contains(&gid) {
                prepared.state = State::Prepared;
                self.prepared.insert(gid, prepared);
                continue;
            }
            match prepared.state {
                State::Prepared => bail!("prepared transaction {gid} is lost"),
                // Being gone, it was committed.
                State::Committing => {
                    self.acknowledged.insert(prepared.sequence);
                }
                State::Preparing | State::RollingBack => {}
            }
        }
        Ok(())
    }

    /// Compares with `found`, the numbers in `acks`, once no prepared transaction is left. What was
    /// in doubt is settled.
    pub fn check(&mut self, client: usize, found: &BTreeSet<i64>) -> Result<()> {
        if let Some(lost) = self.acknowledged.difference(found).next() {
            bail!("client {client}: transaction {lost} was acknowledged and is lost");
        }
        if let Some(risen) = found
            .difference(&self.acknowledged)
            .find(|sequence| !self.in_doubt.contains(sequence))
        {
            bail!("client {client}: transaction {risen} did not commit and is there");
        }
        self.acknowledged.clone_from(found);
        self.in_doubt.clear();
        Ok(())
    }

    fn set(&mut self, gid: &str, state: State) {
        if let Some(prepared) = self.prepared.get_mut(gid) {
            prepared.state = state;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn set(numbers: &[i64]) -> BTreeSet<i64> {
        numbers.iter().copied().collect()
    }

    fn gids(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn three() -> Ledger {
        let mut ledger = Ledger::default();
        for _ in 0..3 {
            ledger.begin();
        }
        ledger.committing(1);
        ledger.committed(1);
        ledger.committing(2);
        ledger.not_committed(2);
        ledger.committing(3);
        ledger
    }

    #[test]
    fn what_is_in_doubt_may_be_there_or_not() {
        three().check(0, &set(&[1])).unwrap();
        three().check(0, &set(&[1, 3])).unwrap();
    }

    #[test]
    fn a_lost_commit_and_a_risen_rollback_are_found() {
        assert!(three().check(0, &set(&[3])).is_err());
        assert!(three().check(0, &set(&[1, 2])).is_err());
        assert!(three().check(0, &set(&[1, 4])).is_err());
    }

    #[test]
    fn each_transaction_has_its_ending() {
        let endings = [1, 2, 3].map(|sequence| three().ending(sequence));
        let expected = [Ending::Committed, Ending::NotCommitted, Ending::InDoubt];
        assert_eq!(endings, expected);
    }

    #[test]
    fn doubt_ends_with_the_check() {
        let mut ledger = three();
        ledger.check(0, &set(&[1])).unwrap();
        assert!(ledger.check(0, &set(&[1, 3])).is_err());
    }

    #[test]
    fn a_prepared_transaction_must_survive() {
        let mut ledger = Ledger::default();
        ledger.preparing("a", 1, false);
        ledger.is_prepared("a");
        assert!(ledger.clone().settle_prepared(&gids(&[])).is_err());
        ledger.settle_prepared(&gids(&["a"])).unwrap();
        ledger.resolving("a", true);
        // The answer was lost, the commit was not.
        ledger.settle_prepared(&gids(&[])).unwrap();
        assert!(ledger.check(0, &set(&[])).is_err());
        ledger.check(0, &set(&[1])).unwrap();
    }

    #[test]
    fn a_transaction_being_prepared_may_be_gone_but_not_committed() {
        let mut ledger = Ledger::default();
        ledger.preparing("a", 1, false);
        let mut present = ledger.clone();
        ledger.settle_prepared(&gids(&[])).unwrap();
        assert!(ledger.check(0, &set(&[1])).is_err());
        present.settle_prepared(&gids(&["a"])).unwrap();
        assert_eq!(present.pending().count(), 1);
        assert!(present.settle_prepared(&gids(&["a", "b"])).is_err());
    }
}
