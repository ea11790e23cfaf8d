//! The injection points of the extension, and how often each was reached.
//!
//! All of them carry the action `notice` while clients work, so that every passage is counted; a
//! fault replaces one point's action. Shared memory, and the actions in it, are gone after a crash.

use std::sync::atomic::{AtomicU64, Ordering};

/// In the order in which a transaction passes them.
pub const POINTS: [&str; 13] = [
    "iceberg-directory-created",
    "iceberg-file-created",
    "iceberg-file-finished",
    "iceberg-inline-committed",
    "iceberg-manifests-written",
    "iceberg-pointer-locked",
    "iceberg-metadata-written",
    "iceberg-pointer-replaced",
    "iceberg-files-logged",
    "iceberg-synced",
    "iceberg-committed",
    "iceberg-directory-half-removed",
    "iceberg-directory-removed",
];

/// Points behind the commit record, where an error can no longer undo anything and becomes a PANIC:
/// the server may be killed there, but no error injected.
pub const AFTER_COMMIT: [&str; 3] = [
    "iceberg-committed",
    "iceberg-directory-half-removed",
    "iceberg-directory-removed",
];

const NOTICE: &str = "notice triggered for injection point ";
const ERROR: &str = "error triggered for injection point ";

/// Whether a server's error is one that was injected.
pub fn is_injected(message: &str) -> bool {
    message.contains(ERROR)
}

/// How often each point was passed, and how often the server or a transaction ended there.
#[derive(Debug, Default)]
pub struct Hits {
    passed: [AtomicU64; POINTS.len()],
    struck: [AtomicU64; POINTS.len()],
}

impl Hits {
    /// Counts what a notice or an error of an injection point tells; other messages count nothing.
    pub fn count_message(&self, message: &str) {
        // An error may come wrapped in what it made impossible.
        if let Some((_, point)) = message.split_once(ERROR) {
            self.count_struck(name_before(point));
        } else if let Some(point) = message.strip_prefix(NOTICE) {
            count(&self.passed, name_before(point));
        }
    }

    pub fn count_struck(&self, point: &str) {
        count(&self.passed, point);
        count(&self.struck, point);
    }

    /// How often the server or a transaction ended at `point`.
    pub fn struck(&self, point: &str) -> u64 {
        self.all()
            .find(|(name, _, _)| *name == point)
            .map_or(0, |(_, _, struck)| struck)
    }

    /// Name, passages, and those of them that ended there.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let loaded = |counters: &[AtomicU64]| -> Vec<u64> {
            counters
                .iter()
                .map(|counter| counter.load(Ordering::Relaxed))
                .collect()
        };
        POINTS
            .into_iter()
            .zip(loaded(&self.passed))
            .zip(loaded(&self.struck))
            .map(|((name, passed), struck)| (name, passed, struck))
    }

    pub fn never_hit(&self) -> Vec<&'static str> {
        self.all()
            .filter(|(_, passed, _)| *passed == 0)
            .map(|(name, _, _)| name)
            .collect()
    }
}

/// The name at the beginning of `text`.
fn name_before(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)));
    text.get(..end.unwrap_or(text.len())).unwrap_or(text)
}

fn count(counters: &[AtomicU64], point: &str) {
    if let Some((_, counter)) = POINTS
        .iter()
        .zip(counters)
        .find(|(name, _)| **name == point)
    {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_points_are_counted_and_others_are_not() {
        let hits = Hits::default();
        hits.count_message("notice triggered for injection point iceberg-synced");
        hits.count_message("error triggered for injection point iceberg-synced");
        hits.count_message("error triggered for injection point of-somebody-else");
        hits.count_message("cannot: error triggered for injection point iceberg-committed: why");
        hits.count_message("table \"t\" does not exist, skipping");
        let synced = hits.all().find(|(name, _, _)| *name == "iceberg-synced");
        assert_eq!(synced, Some(("iceberg-synced", 2, 1)));
        assert_eq!(hits.struck("iceberg-synced"), 1);
        assert_eq!(hits.struck("iceberg-committed"), 1);
        assert_eq!(hits.never_hit().len(), POINTS.len() - 2);
    }

    #[test]
    fn points_after_commit_are_points() {
        assert!(AFTER_COMMIT.iter().all(|point| POINTS.contains(point)));
    }
}
