//! The result as a table and as CSV.

use super::bounds::Bound;
use super::sample::{Sample, StoreSample, TableSample};
use super::tables::TABLES;
use std::fmt::Write as _;

type Column<T> = (&'static str, fn(&T) -> f64);

const OF_TABLES: [Column<TableSample>; 10] = [
    ("rows", |table| table.rows),
    ("bytes", |table| table.bytes),
    ("data_files", |table| table.data_files),
    ("manifests", |table| table.manifests),
    ("snapshots", |table| table.snapshots),
    ("published_s_ago", |table| table.age),
    ("metadata_file_bytes", |table| table.metadata_file_bytes),
    ("data_files_on_disk", |table| table.data_files_on_disk),
    ("metadata_files_on_disk", |table| {
        table.metadata_files_on_disk
    }),
    ("metadata_bytes_on_disk", |table| {
        table.metadata_bytes_on_disk
    }),
];

const OF_ALL: [Column<Sample>; 28] = [
    ("inline_commits", |sample| sample.inline_commits),
    ("inline_commit_bytes", |sample| sample.inline_commit_bytes),
    ("pointer_bytes", |sample| sample.pointer_bytes),
    ("garbage", |sample| sample.garbage),
    ("oldest_snapshot_s", |sample| sample.oldest_snapshot),
    ("transactions_a_second", |sample| sample.rate),
    ("insert_ms", |sample| sample.insert_ms),
    ("heap_insert_ms", |sample| sample.heap_insert_ms),
    ("first_insert_ms", |sample| sample.first_insert_ms),
    ("longest_ms", |sample| sample.longest_ms),
    ("longest_heap_ms", |sample| sample.longest_heap_ms),
    ("lock_waits", |sample| sample.lock_waits),
    ("writers_cpu_s", |sample| sample.used.writers),
    ("workers_cpu_s", |sample| sample.used.workers),
    ("syncers_cpu_s", |sample| sample.used.syncers),
    ("snapshots_held", |sample| sample.snapshots_held),
    ("standby_reads", |sample| sample.standby_reads),
    ("standby_cancelled", |sample| sample.standby_cancelled),
    ("standby_lag_bytes", |sample| sample.standby_lag_bytes),
    ("read_by_others", |sample| sample.read_by_others),
    ("overtaken", |sample| sample.overtaken),
    ("objects", |sample| of_store(sample, |store| store.objects)),
    ("requests_a_minute", |sample| {
        of_store(sample, |store| store.requests)
    }),
    ("cached_files", |sample| {
        of_store(sample, |store| store.cached_files)
    }),
    ("cached_bytes", |sample| {
        of_store(sample, |store| store.cached_bytes)
    }),
    ("service_bytes", |sample| {
        of_store(sample, |store| store.memory)
    }),
    ("service_descriptors", |sample| {
        of_store(sample, |store| store.descriptors)
    }),
    ("minutes", |sample| sample.minutes),
];

/// 0 where the tables are on local disk.
fn of_store(sample: &Sample, of: fn(&StoreSample) -> f64) -> f64 {
    sample.store.as_ref().map_or(0.0, of)
}

/// Samples that are printed; all are in the CSV file.
const PRINTED: usize = 12;

/// All samples, a line each.
pub fn csv(samples: &[Sample]) -> String {
    let mut out = String::from("minutes");
    for table in TABLES {
        for (name, _) in OF_TABLES {
            let _ = write!(out, ",{table}.{name}");
        }
    }
    for (name, _) in columns() {
        let _ = write!(out, ",{name}");
    }
    out.push('\n');
    for sample in samples {
        let _ = write!(out, "{:.3}", sample.minutes);
        for table in &sample.tables {
            for (_, value) in OF_TABLES {
                let _ = write!(out, ",{}", plain(value(table)));
            }
        }
        for (_, value) in columns() {
            let _ = write!(out, ",{}", plain(value(sample)));
        }
        out.push('\n');
    }
    out
}

fn columns() -> impl Iterator<Item = &'static Column<Sample>> {
    OF_ALL.iter().filter(|(name, _)| *name != "minutes")
}

fn plain(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value}")
    } else {
        format!("{value:.3}")
    }
}

/// Measures down, samples across, some of them; then the bounds.
pub fn table(samples: &[Sample], bounds: &[Bound]) -> String {
    let step = samples.len().div_ceil(PRINTED).max(1);
    let mut shown: Vec<&Sample> = samples.iter().step_by(step).collect();
    if let (Some(last), Some(shown_last)) = (samples.last(), shown.last_mut()) {
        *shown_last = last;
    }
    let mut out = String::new();
    let mut line = |name: String, value: &dyn Fn(&Sample) -> f64| {
        let _ = write!(out, "{name:<32}");
        for sample in &shown {
            let _ = write!(out, "{:>9}", short(value(sample)));
        }
        out.push('\n');
    };
    line("minutes".to_owned(), &|sample| sample.minutes);
    for (index, table) in TABLES.iter().enumerate() {
        for (name, of) in OF_TABLES {
            line(format!("{table}.{name}"), &|sample| {
                sample.tables.get(index).map_or(0.0, of)
            });
        }
    }
    for (name, of) in columns() {
        line((*name).to_owned(), of);
    }
    let _ = writeln!(out, "\n{:<52}{:>9}{:>9}", "at its worst", "is", "may be");
    for bound in bounds {
        if let Some((value, limit)) = bound.worst() {
            let verdict = if bound.is_met() { "" } else { "  TOO MUCH" };
            let _ = writeln!(
                out,
                "{:<52}{:>9}{:>9}{verdict}",
                bound.name,
                short(value),
                short(limit)
            );
        }
    }
    out
}

/// Four digits before the point at the most, with the letter of a power of a thousand.
pub fn short(value: f64) -> String {
    let (mut value, mut letter) = (value, "");
    for next in ["k", "M", "G", "T"] {
        if value.abs() < 10_000.0 {
            break;
        }
        value /= 1000.0;
        letter = next;
    }
    if value.abs() < 100.0 && value.fract() != 0.0 {
        format!("{value:.2}{letter}")
    } else {
        format!("{value:.0}{letter}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::bounds;
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(short(0.0), "0");
        assert_eq!(short(1.234), "1.23");
        assert_eq!(short(9999.0), "9999");
        assert_eq!(short(43_000_000.0), "43M");
        assert_eq!(short(12_345_678_000.0), "12.35G");
    }

    #[test]
    fn a_line_of_csv_has_a_value_for_every_name() {
        let text = csv(&[Sample::default(), Sample::default()]);
        let fields: Vec<usize> = text.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(fields, [2 * OF_TABLES.len() + OF_ALL.len(); 3]);
    }

    #[test]
    fn first_and_last_samples_are_printed_and_bounds_follow() {
        let samples: Vec<Sample> = (0..100)
            .map(|minute| Sample {
                minutes: f64::from(minute),
                lock_waits: 1.0,
                ..Sample::default()
            })
            .collect();
        let text = table(&samples, &bounds::all(&samples));
        let first = text.lines().next().unwrap_or_default();
        assert!(first.ends_with(" 99") && first.contains(" 0 "));
        assert!(text.contains("TOO MUCH"));
    }
}
