//! What measures may be at any length of time: constants, and what the data needs.
//!
//! History is thinned to the newest hundred snapshots, one a minute for an hour, one an hour for a day, and one a
//! day for five days. Small files merge in tiers. What is no longer needed is removed a minute later.

use super::sample::{Sample, StoreSample, TableSample};
use super::tables::TABLES;
use crate::bench::median;

/// 100 + 60 + 24 + 5, and as many more as come before history is looked at again.
const SNAPSHOTS: f64 = 189.0 + 100.0;
/// Each snapshot, its entry in the snapshot log, and one of the metadata log, take less than that in a metadata file
/// together; so does, once, the rest of the file.
const METADATA_BYTES_A_SNAPSHOT: f64 = 1500.0;
/// Files that wait for others of their tier: there are some seven tiers, each with fewer than eighty.
const SMALL_FILES: f64 = 400.0;
/// Data files of this size stay as they are.
const LARGE_FILE_BYTES: f64 = 192.0 * 1024.0 * 1024.0;
/// A manifest is merged with others until it has 8 MB: once there are a hundred, and commits come meanwhile.
const SMALL_MANIFESTS: f64 = 150.0;
/// A data file's entry takes less in a manifest.
const MANIFEST_ENTRY_BYTES: f64 = 1024.0;
const MANIFEST_BYTES: f64 = 8.0 * 1024.0 * 1024.0;
/// Ten metadata files a second at the most, and what they replace stays for a minute, and until somebody comes by.
const REPLACED: f64 = 10.0 * (60.0 + 30.0);
/// A snapshot brings a metadata file, a manifest list, and manifests: its own and what comes of merging.
const METADATA_FILES_A_SNAPSHOT: f64 = 4.0;
/// Data files that an old snapshot alone needs.
const FILES_OF_AN_OLD_SNAPSHOT: f64 = 10.0;
/// What VACUUM leaves in the catalog's tables as room for what comes.
const CATALOG_ROOM: f64 = 64.0 * 1024.0 * 1024.0;
/// What an inline commit of a small transaction takes, and a version of a pointer row, with their entries in indexes.
const INLINE_COMMIT_BYTES: f64 = 1024.0;
const POINTER_BYTES: f64 = 512.0;
/// Between a row version's end and VACUUM's taking it away, beside the age of the oldest snapshot.
const VACUUM_LAG_SECONDS: f64 = 60.0;
/// A small INSERT at the end may cost so many times what it did at the beginning.
const INSERT_RATIO: f64 = 1.2;
/// The beginning and the end are medians of so many samples.
const WINDOW: usize = 3;
/// Nobody waits longer, in milliseconds, beside what the machine makes everybody wait.
const WAIT_MS: f64 = 1000.0;
/// What the storage service may take of memory, and of descriptors: it has some threads, a connection to each session, and to
/// the store one for each request under way and some for those to come.
const SERVICE_BYTES: f64 = 512.0 * 1024.0 * 1024.0;
const SERVICE_DESCRIPTORS: f64 = 256.0;
/// Every five seconds a metadata file of each table, with what it names, and what bulk loads, merges and removals add to that.
const REQUESTS_A_MINUTE: f64 = 2000.0;
/// Of the writers' processor time, what the workers may take.
const WORKERS_SHARE: f64 = 0.25;

/// A value and its limit, of the samples so far and the last of them.
type Measure = dyn Fn(&[Sample], &Sample) -> (f64, f64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    AtTheEnd,
}

/// A measure and what it may be, over the time.
pub struct Bound {
    pub name: String,
    /// Minutes and values.
    pub values: Vec<(f64, f64)>,
    pub limits: Vec<(f64, f64)>,
    when: When,
    /// Whether it tells of how fast the machine is.
    pub is_timed: bool,
}

impl Bound {
    fn new(
        name: impl Into<String>,
        when: When,
        samples: &[Sample],
        of: impl Fn(&[Sample], &Sample) -> (f64, f64),
    ) -> Self {
        let mut bound = Self {
            name: name.into(),
            values: Vec::new(),
            limits: Vec::new(),
            when,
            is_timed: false,
        };
        for index in 1..=samples.len() {
            let so_far = samples.get(..index).unwrap_or_default();
            if let Some(sample) = so_far.last() {
                let (value, limit) = of(so_far, sample);
                bound.values.push((sample.minutes, value));
                bound.limits.push((sample.minutes, limit));
            }
        }
        bound
    }

    /// The value and its limit that count: where they are least apart, or farthest the wrong way.
    pub fn worst(&self) -> Option<(f64, f64)> {
        let pairs = || {
            self.values
                .iter()
                .zip(&self.limits)
                .map(|((_, value), (_, limit))| (*value, *limit))
        };
        match self.when {
            When::Always => pairs().max_by(|a, b| (a.0 - a.1).total_cmp(&(b.0 - b.1))),
            When::AtTheEnd => pairs().next_back(),
        }
    }

    pub fn is_met(&self) -> bool {
        self.worst().is_none_or(|(value, limit)| value <= limit)
    }
}

pub fn all(samples: &[Sample]) -> Vec<Bound> {
    let mut bounds = Vec::new();
    for (index, table) in TABLES.iter().enumerate() {
        let mut add = |name: &str, of: fn(&TableSample) -> (f64, f64)| {
            bounds.push(Bound::new(
                format!("{table}: {name}"),
                When::Always,
                samples,
                |_, sample| sample.tables.get(index).map_or((0.0, 0.0), of),
            ));
        };
        add("data files", |table| (table.data_files, data_files(table)));
        add("manifests", |table| (table.manifests, manifests(table)));
        add("snapshots", |table| (table.snapshots, SNAPSHOTS));
        add("bytes of the metadata file", |table| {
            let limit = (SNAPSHOTS + 1.0) * METADATA_BYTES_A_SNAPSHOT;
            (table.metadata_file_bytes, limit)
        });
        add("data files on disk", |table| {
            let limit = data_files(table) + REPLACED + SNAPSHOTS * FILES_OF_AN_OLD_SNAPSHOT;
            (table.data_files_on_disk, limit)
        });
        add("metadata files on disk", |table| {
            let limit = (SNAPSHOTS + REPLACED) * METADATA_FILES_A_SNAPSHOT + manifests(table);
            (table.metadata_files_on_disk, limit)
        });
    }
    let inline_commits = |so_far: &[Sample], sample: &Sample| {
        let rate = largest(so_far, |sample| sample.rate);
        let limit = CATALOG_ROOM + rate * needed_seconds(so_far) * INLINE_COMMIT_BYTES;
        (sample.inline_commit_bytes, limit)
    };
    let pointers = |so_far: &[Sample], sample: &Sample| {
        let rate = 10.0 * TABLES.len() as f64;
        let limit = CATALOG_ROOM + rate * needed_seconds(so_far) * POINTER_BYTES;
        (sample.pointer_bytes, limit)
    };
    let inserts = |so_far: &[Sample], _: &Sample| (insert_ratio(so_far), INSERT_RATIO);
    let waits =
        |_: &[Sample], sample: &Sample| (sample.longest_ms, WAIT_MS + sample.longest_heap_ms);
    let locks = |_: &[Sample], sample: &Sample| (sample.lock_waits, 0.0);
    let workers = |_: &[Sample], sample: &Sample| {
        let used = sample.used;
        (used.workers, used.writers * WORKERS_SHARE)
    };
    let of = |name: &str, when, of: &Measure| Bound::new(name, when, samples, of);
    let timed = |name: &str, when, measure: &Measure| Bound {
        is_timed: true,
        ..of(name, when, measure)
    };
    bounds.extend([
        of(
            "bytes of lakebase.inline_commit",
            When::Always,
            &inline_commits,
        ),
        of("bytes of lakebase.iceberg_pointer", When::Always, &pointers),
        timed(
            "cost of a small INSERT, times the beginning's",
            When::AtTheEnd,
            &inserts,
        ),
        timed("longest small statement, ms", When::Always, &waits),
        timed("waits for locks of 1 s and more", When::Always, &locks),
        timed(
            "seconds of processor time of workers",
            When::AtTheEnd,
            &workers,
        ),
    ]);
    if samples.iter().any(|sample| sample.store.is_some()) {
        let mut add = |name: &str, of: fn(&StoreSample) -> (f64, f64)| {
            bounds.push(Bound::new(name, When::Always, samples, |_, sample| {
                sample.store.as_ref().map_or((0.0, 0.0), of)
            }));
        };
        add("bytes of the storage service", |store| {
            (store.memory, SERVICE_BYTES)
        });
        add("descriptors of the storage service", |store| {
            (store.descriptors, SERVICE_DESCRIPTORS)
        });
        add("requests to the store a minute", |store| {
            (store.requests, REQUESTS_A_MINUTE)
        });
        add("bytes of the cache", |store| {
            (store.cached_bytes, store.cache_capacity)
        });
    }
    bounds
}

fn data_files(table: &TableSample) -> f64 {
    SMALL_FILES + table.bytes / LARGE_FILE_BYTES
}

fn manifests(table: &TableSample) -> f64 {
    SMALL_MANIFESTS + data_files(table) * MANIFEST_ENTRY_BYTES / MANIFEST_BYTES
}

/// For how long row versions of the catalog have been needed.
fn needed_seconds(so_far: &[Sample]) -> f64 {
    largest(so_far, |sample| sample.oldest_snapshot) + VACUUM_LAG_SECONDS
}

fn largest(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    samples.iter().map(of).fold(0.0, f64::max)
}

/// The cost of an INSERT, in heap's at the same time, at the end of `samples` and at their beginning: how many times.
fn insert_ratio(samples: &[Sample]) -> f64 {
    let costs: Vec<f64> = samples
        .iter()
        .map(|sample| sample.insert_ms / sample.heap_insert_ms.max(f64::MIN_POSITIVE))
        .collect();
    let window = WINDOW.min(costs.len());
    let of = |part: Option<&[f64]>| part.and_then(median).unwrap_or(1.0);
    of(costs.get(costs.len() - window..)) / of(costs.get(..window))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn sample(minutes: f64) -> Sample {
        Sample {
            minutes,
            insert_ms: 2.0,
            heap_insert_ms: 1.0,
            ..Sample::default()
        }
    }

    fn missed(samples: &[Sample]) -> Vec<String> {
        all(samples)
            .into_iter()
            .filter(|bound| !bound.is_met())
            .map(|bound| bound.name)
            .collect()
    }

    #[test]
    fn nothing_is_within_all_bounds() {
        assert!(missed(&[]).is_empty());
        assert!(missed(&[sample(1.0), sample(2.0)]).is_empty());
    }

    #[test]
    fn what_grows_is_found_even_if_it_shrinks_again() {
        let mut grown = sample(2.0);
        grown.tables[1].snapshots = 1000.0;
        grown.longest_ms = 3000.0;
        grown.longest_heap_ms = 1500.0;
        assert_eq!(
            missed(&[sample(1.0), grown, sample(3.0)]),
            ["facts: snapshots", "longest small statement, ms"]
        );
    }

    #[test]
    fn old_snapshots_may_keep_rows_of_the_catalog() {
        let mut held = sample(1.0);
        held.rate = 5000.0;
        held.inline_commit_bytes = 500e6;
        assert_eq!(missed(&[held]), ["bytes of lakebase.inline_commit"]);
        held.oldest_snapshot = 60.0;
        assert!(missed(&[held, sample(2.0)]).is_empty());
    }

    #[test]
    fn what_the_service_takes_counts_where_there_is_one() {
        let store = |memory| Sample {
            store: Some(StoreSample {
                memory,
                ..StoreSample::default()
            }),
            ..sample(1.0)
        };
        assert_eq!(all(&[store(0.0)]).len(), all(&[sample(1.0)]).len() + 4);
        assert!(missed(&[store(300e6)]).is_empty());
        assert_eq!(missed(&[store(600e6)]), ["bytes of the storage service"]);
    }

    #[test]
    fn an_insert_is_compared_with_the_beginning_and_with_heap() {
        let slow = |insert_ms, heap_insert_ms| Sample {
            insert_ms,
            heap_insert_ms,
            ..sample(5.0)
        };
        let beginning = [sample(1.0), sample(2.0), sample(3.0)];
        let with = |end: Sample| insert_ratio(&[&beginning[..], &[end; 3]].concat());
        assert!((with(slow(3.0, 1.0)) - 1.5).abs() < 1e-9);
        // The machine has become slower, and that is all.
        assert!((with(slow(6.0, 3.0)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_worst_is_told() {
        let mut late = sample(2.0);
        late.lock_waits = 2.0;
        let bound = all(&[sample(1.0), late])
            .into_iter()
            .find(|bound| bound.name.contains("locks"))
            .unwrap();
        assert_eq!(bound.worst(), Some((2.0, 0.0)));
    }
}
