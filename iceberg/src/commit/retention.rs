//! Which snapshots a table keeps: a pure function of its metadata, the time and the rules.
//!
//! History is thinned by time: beyond the newest snapshots, one is kept of each minute, later of each hour,
//! then of each day. It is the first of its minute, hour or day, and the first of a day is the first of its hour and
//! minute too: so whatever the snapshots were thinned to before, the same ones stay, and how often and when
//! history is thinned makes no difference to what it becomes.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::update::TableUpdate;
use crate::spec::{
    MAIN_BRANCH, SnapshotReference, SnapshotRetention, StoredSnapshot, TableMetadata,
};

const MAX_SNAPSHOT_AGE_MS: &str = "history.expire.max-snapshot-age-ms";
const MIN_SNAPSHOTS_TO_KEEP: &str = "history.expire.min-snapshots-to-keep";
const MAX_REF_AGE_MS: &str = "history.expire.max-ref-age-ms";

const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How history is thinned and when it ends.
///
/// What the specification says of branches and tags (section "Snapshot Retention Policy") holds: a
/// branch's own settings go before these, and these before the table's properties. Only branch `main` is thinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// So many of the newest snapshots of `main` are not thinned; they expire by age.
    pub newest: usize,
    /// How older ones are spaced, by ascending age. Each interval is to be a multiple of the one before it.
    pub spacing: Vec<Spacing>,
    /// Age in milliseconds at which snapshots expire; the table's property
    /// `history.expire.max-snapshot-age-ms` if `None`.
    pub max_snapshot_age_ms: Option<i64>,
    /// Snapshots of a branch that are kept whatever their age; the table's property
    /// `history.expire.min-snapshots-to-keep` if `None`.
    pub min_snapshots_to_keep: Option<i32>,
}

/// One snapshot is kept of each interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spacing {
    /// The interval in milliseconds, counted from 1970-01-01 UTC.
    pub interval_ms: i64,
    /// Snapshots up to this age are spaced so.
    pub max_age_ms: i64,
}

impl Default for Retention {
    /// The hundred newest, then one of each minute for an hour, of each hour for a day, and of each day.
    fn default() -> Self {
        let spacing = |interval_ms, max_age_ms| Spacing {
            interval_ms,
            max_age_ms,
        };
        Self {
            newest: 100,
            spacing: vec![
                spacing(MINUTE_MS, HOUR_MS),
                spacing(HOUR_MS, DAY_MS),
                spacing(DAY_MS, i64::MAX),
            ],
            max_snapshot_age_ms: None,
            min_snapshots_to_keep: None,
        }
    }
}

impl Retention {
    /// Nothing is thinned: snapshots go by age alone.
    pub fn by_age() -> Self {
        Self {
            newest: usize::MAX,
            spacing: Vec::new(),
            max_snapshot_age_ms: None,
            min_snapshots_to_keep: None,
        }
    }

    /// The most snapshots of `main` that can be left if none older than `max_age_ms` are.
    pub fn most_snapshots(&self, max_age_ms: i64) -> usize {
        let mut from = 0;
        let mut most = self.newest;
        for spacing in &self.spacing {
            let to = spacing.max_age_ms.min(max_age_ms);
            if to > from {
                // A span that is no whole number of intervals, or begins within one, touches two more.
                let intervals = (to - from) / spacing.interval_ms.max(1) + 2;
                most = most.saturating_add(usize::try_from(intervals).unwrap_or(usize::MAX));
                from = to;
            }
        }
        most
    }

    /// The interval that a snapshot of this age is to have for itself. `None` if it is to go.
    fn interval(&self, age_ms: i64) -> Option<i64> {
        self.spacing
            .iter()
            .find(|spacing| age_ms <= spacing.max_age_ms)
            .map(|spacing| spacing.interval_ms.max(1))
    }
}

/// Snapshots that somebody still needs, whatever the rules say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldSnapshots {
    /// These.
    pub snapshot_ids: BTreeSet<i64>,
    /// Those that were current at this time or later, in milliseconds from 1970-01-01 UTC.
    pub since_ms: Option<i64>,
}

/// What expires.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expiry {
    /// Snapshots, in the order of the metadata.
    pub snapshot_ids: Vec<i64>,
    /// Branches and tags.
    pub refs: Vec<String>,
}

impl Expiry {
    /// Whether nothing expires.
    pub fn is_empty(&self) -> bool {
        self.snapshot_ids.is_empty() && self.refs.is_empty()
    }

    /// The updates of metadata that drop what expires.
    pub fn updates(&self) -> Vec<TableUpdate> {
        let refs = self.refs.iter().cloned();
        let mut updates: Vec<_> = refs.map(TableUpdate::RemoveSnapshotRef).collect();
        if !self.snapshot_ids.is_empty() {
            updates.push(TableUpdate::RemoveSnapshots(self.snapshot_ids.clone()));
        }
        updates
    }
}

/// What expires at `now_ms`.
pub fn plan_expiry(
    base: &TableMetadata,
    retention: &Retention,
    held: &HeldSnapshots,
    now_ms: i64,
) -> Expiry {
    let mut plan = Plan::new(base, retention, now_ms);
    let mut dropped = Vec::new();
    for (name, reference) in &base.refs {
        if name != MAIN_BRANCH && plan.ref_expires(reference) {
            dropped.push(name.clone());
            continue;
        }
        plan.kept.insert(reference.snapshot_id);
        match reference.retention {
            SnapshotRetention::Branch { .. } if name != MAIN_BRANCH => plan.keep_branch(reference),
            _ => {}
        }
    }
    if let Some(main) = base.refs.get(MAIN_BRANCH) {
        plan.thin_main(main);
    }
    plan.kept.extend(&held.snapshot_ids);
    plan.keep_since(held.since_ms);
    let ids = base.snapshots.iter().map(|snapshot| snapshot.snapshot_id);
    Expiry {
        snapshot_ids: ids.filter(|&id| plan.expires(id)).collect(),
        refs: dropped,
    }
}

struct Plan<'a> {
    base: &'a TableMetadata,
    retention: &'a Retention,
    now_ms: i64,
    by_id: HashMap<i64, &'a StoredSnapshot>,
    kept: HashSet<i64>,
    /// Snapshots that some branch decides about.
    decided: HashSet<i64>,
}

/// How long snapshots of a branch are kept.
struct BranchRules {
    max_age_ms: i64,
    min_count: i64,
}

impl<'a> Plan<'a> {
    fn new(base: &'a TableMetadata, retention: &'a Retention, now_ms: i64) -> Self {
        let by_id = base.snapshots.iter();
        Self {
            base,
            retention,
            now_ms,
            by_id: by_id
                .map(|snapshot| (snapshot.snapshot_id, &**snapshot))
                .collect(),
            kept: HashSet::new(),
            decided: HashSet::new(),
        }
    }

    fn age(&self, snapshot: &StoredSnapshot) -> i64 {
        self.now_ms.saturating_sub(snapshot.timestamp_ms)
    }

    fn default_max_age(&self) -> i64 {
        self.retention
            .max_snapshot_age_ms
            .unwrap_or_else(|| self.base.property_number(MAX_SNAPSHOT_AGE_MS, 5 * DAY_MS))
    }

    fn rules(&self, reference: &SnapshotReference) -> BranchRules {
        let (min_count, max_age_ms) = match reference.retention {
            SnapshotRetention::Branch {
                min_snapshots_to_keep,
                max_snapshot_age_ms,
                ..
            } => (min_snapshots_to_keep, max_snapshot_age_ms),
            SnapshotRetention::Tag { .. } => (None, None),
        };
        let min_count = min_count.or(self.retention.min_snapshots_to_keep);
        let property = || self.base.property_number(MIN_SNAPSHOTS_TO_KEEP, 1);
        BranchRules {
            max_age_ms: max_age_ms.unwrap_or_else(|| self.default_max_age()),
            min_count: min_count.map_or_else(property, i64::from),
        }
    }

    fn ref_expires(&self, reference: &SnapshotReference) -> bool {
        let own = match reference.retention {
            SnapshotRetention::Branch { max_ref_age_ms, .. }
            | SnapshotRetention::Tag { max_ref_age_ms } => max_ref_age_ms,
        };
        let max_age = own.unwrap_or_else(|| self.base.property_number(MAX_REF_AGE_MS, i64::MAX));
        self.by_id
            .get(&reference.snapshot_id)
            .is_none_or(|snapshot| self.age(snapshot) > max_age)
    }

    /// A snapshot and those before it, as far as they are still there.
    fn ancestors(&self, head: i64) -> Vec<&'a StoredSnapshot> {
        let mut seen = HashSet::new();
        let mut line = Vec::new();
        let mut next = self.by_id.get(&head);
        while let Some(&snapshot) = next {
            if !seen.insert(snapshot.snapshot_id) {
                break;
            }
            line.push(snapshot);
            next = snapshot
                .parent_snapshot_id
                .and_then(|parent| self.by_id.get(&parent));
        }
        line
    }

    fn keep_branch(&mut self, reference: &SnapshotReference) {
        let rules = self.rules(reference);
        let line = self.ancestors(reference.snapshot_id);
        for (rank, snapshot) in (0..).zip(line) {
            self.decided.insert(snapshot.snapshot_id);
            if rank < rules.min_count || self.age(snapshot) <= rules.max_age_ms {
                self.kept.insert(snapshot.snapshot_id);
            }
        }
    }

    fn thin_main(&mut self, main: &SnapshotReference) {
        let rules = self.rules(main);
        let line = self.main_line(main.snapshot_id);
        let mut taken = HashSet::new();
        for (rank, snapshot) in line.iter().enumerate().rev() {
            self.decided.insert(snapshot.snapshot_id);
            let age = self.age(snapshot);
            // The first of a shorter interval may be that of a longer one, so all have to be looked at.
            let mut is_first = |spacing: &Spacing| {
                let interval = spacing.interval_ms.max(1);
                taken.insert((interval, snapshot.timestamp_ms.div_euclid(interval)))
            };
            let first_of: Vec<i64> = (self.retention.spacing.iter())
                .filter_map(|spacing| is_first(spacing).then_some(spacing.interval_ms.max(1)))
                .collect();
            let is_spaced = rank < self.retention.newest
                || self
                    .retention
                    .interval(age)
                    .is_some_and(|interval| first_of.contains(&interval));
            let must_stay = i64::try_from(rank).is_ok_and(|rank| rank < rules.min_count);
            if must_stay || (is_spaced && age <= rules.max_age_ms) {
                self.kept.insert(snapshot.snapshot_id);
            }
        }
    }

    /// The snapshots of `main`, newest first.
    ///
    /// Behind the first one that was thinned out the chain of parents is cut. What is older than that, and on no
    /// other branch, was on `main` once.
    fn main_line(&self, head: i64) -> Vec<&'a StoredSnapshot> {
        let mut line = self.ancestors(head);
        let Some(oldest) = line.last().map(|snapshot| order(snapshot)) else {
            return line;
        };
        let mut earlier: Vec<&StoredSnapshot> =
            (self.base.snapshots.iter().map(|snapshot| &**snapshot))
                .filter(|snapshot| order(snapshot) < oldest)
                .filter(|snapshot| !self.decided.contains(&snapshot.snapshot_id))
                .collect();
        earlier.sort_by_key(|snapshot| std::cmp::Reverse(order(snapshot)));
        line.extend(earlier);
        line
    }

    fn keep_since(&mut self, since_ms: Option<i64>) {
        let Some(since) = since_ms else { return };
        let snapshots = &self.base.snapshots;
        let later = snapshots
            .iter()
            .filter(|snapshot| snapshot.timestamp_ms >= since);
        self.kept.extend(later.map(|snapshot| snapshot.snapshot_id));
        // What was current at that time was made before it. Of several made in the same millisecond the last
        // was.
        let before = snapshots
            .iter()
            .filter(|snapshot| snapshot.timestamp_ms < since);
        let current = before.max_by_key(|snapshot| order(snapshot));
        self.kept
            .extend(current.map(|snapshot| snapshot.snapshot_id));
    }

    fn expires(&self, id: i64) -> bool {
        let is_old = || {
            let snapshot = self.by_id.get(&id);
            snapshot.is_none_or(|snapshot| self.age(snapshot) > self.default_max_age())
        };
        !self.kept.contains(&id) && (self.decided.contains(&id) || is_old())
    }
}

/// What orders snapshots by when they were made; version 1 has no sequence numbers.
fn order(snapshot: &StoredSnapshot) -> (i64, i64) {
    (snapshot.sequence_number, snapshot.timestamp_ms)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
#[path = "retention_tests.rs"]
mod tests;
