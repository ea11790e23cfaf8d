//! A status in Prometheus' text format, version 0.0.4.

use std::fmt::Write;

use crate::protocol::{OperationCounts, Status, StoreOperation, StoreStatus};

/// How a metric is named: its name after the prefix, its type and what it means.
type Head = (&'static str, &'static str, &'static str);

/// A metric of things that there are several of.
struct Metric<T>(Head, fn(&T) -> u64);

const STORE: [Metric<StoreStatus>; 4] = [
    Metric(
        (
            "cache_hits_total",
            "counter",
            "Requests for ranges that were answered from the cache alone.",
        ),
        |store| store.hits,
    ),
    Metric(
        (
            "cache_misses_total",
            "counter",
            "Requests for ranges that needed the store.",
        ),
        |store| store.misses,
    ),
    Metric(
        (
            "store_cached_files",
            "gauge",
            "Objects of the store in the cache.",
        ),
        |store| store.cached_files,
    ),
    Metric(
        (
            "store_cached_bytes",
            "gauge",
            "Bytes on disk of the store's cached objects.",
        ),
        |store| store.cached_bytes,
    ),
];

const OPERATION: [Metric<OperationCounts>; 3] = [
    Metric(
        (
            "store_requests_total",
            "counter",
            "Operations of the store that ended; repeated attempts are one.",
        ),
        |counts| counts.requests,
    ),
    Metric(
        (
            "store_errors_total",
            "counter",
            "Operations of the store that failed.",
        ),
        |counts| counts.errors,
    ),
    Metric(
        (
            "store_bytes_total",
            "counter",
            "Bytes of objects that were read or written.",
        ),
        |counts| counts.bytes,
    ),
];

const SECONDS: Head = (
    "store_seconds_total",
    "counter",
    "Seconds that the store's operations took together.",
);

/// The text of a page of metrics.
pub fn metrics_text(status: &Status) -> String {
    let mut text = Text::default();
    text.head((
        "info",
        "gauge",
        "The service's version; its value is always 1.",
    ));
    text.line("info", &[("version", &status.version)], "1");
    let cache = status.cache;
    for (head, value) in [
        (
            (
                "cache_capacity_bytes",
                "gauge",
                "Bytes that the cache may have on disk.",
            ),
            cache.capacity,
        ),
        (
            ("cache_bytes", "gauge", "Bytes that the cache has on disk."),
            cache.bytes,
        ),
        (
            ("cache_files", "gauge", "Objects in the cache."),
            cache.files,
        ),
        (
            (
                "cache_evictions_total",
                "counter",
                "Objects removed from the cache to make room.",
            ),
            cache.evictions,
        ),
    ] {
        text.head(head);
        text.line(head.0, &[], &value.to_string());
    }
    text.head((
        "uptime_seconds",
        "gauge",
        "Seconds since the service began.",
    ));
    let uptime = decimal(status.uptime_milliseconds, 1000);
    text.line("uptime_seconds", &[], &uptime);
    for Metric(head, value) in STORE {
        text.head(head);
        for store in &status.stores {
            let labels = [("store", store.store.as_str())];
            text.line(head.0, &labels, &value(store).to_string());
        }
    }
    for Metric(head, value) in OPERATION {
        text.operations(status, head, |counts| value(counts).to_string());
    }
    text.operations(status, SECONDS, |counts| {
        decimal(counts.microseconds, 1_000_000)
    });
    text.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn push(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.0.write_fmt(line);
    }

    fn head(&mut self, (name, kind, help): Head) {
        self.push(format_args!("# HELP pg_lakebase_storage_{name} {help}\n"));
        self.push(format_args!("# TYPE pg_lakebase_storage_{name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        self.push(format_args!("pg_lakebase_storage_{name}"));
        for (index, (label, text)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            self.push(format_args!("{open}{label}=\"{}\"", escaped(text)));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        self.push(format_args!("{close} {value}\n"));
    }

    fn operations(
        &mut self,
        status: &Status,
        head: Head,
        value: impl Fn(&OperationCounts) -> String,
    ) {
        self.head(head);
        for store in &status.stores {
            for (operation, counts) in StoreOperation::ALL.into_iter().zip(&store.operations) {
                let labels = [
                    ("store", store.store.as_str()),
                    ("operation", operation.as_str()),
                ];
                self.line(head.0, &labels, &value(counts));
            }
        }
    }
}

/// A label's value as the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// `count` parts of one, of which `parts` are one, in decimal.
fn decimal(count: u64, parts: u64) -> String {
    let width = parts.ilog10() as usize;
    format!("{}.{:0width$}", count / parts, count % parts)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::protocol::{CacheStatus, StoreId};

    #[test]
    fn the_text_names_each_metric_once_and_escapes_names_of_stores() {
        let mut operations = [OperationCounts::default(); StoreOperation::ALL.len()];
        operations[1] = OperationCounts {
            requests: 3,
            errors: 1,
            bytes: 70,
            microseconds: 1_002_003,
        };
        let store = |name: &str| StoreStatus {
            store: StoreId::new(name).unwrap(),
            identity: "memory".into(),
            hits: 5,
            misses: 2,
            cached_files: 1,
            cached_bytes: 4096,
            operations,
        };
        let text = metrics_text(&Status {
            version: "0.1.0".into(),
            uptime_milliseconds: 61_050,
            cache: CacheStatus {
                capacity: 1 << 30,
                files: 2,
                bytes: 8192,
                evictions: 9,
            },
            stores: vec![store("lake"), store("the \"big\\lake\"")],
        });
        for line in [
            "pg_lakebase_storage_info{version=\"0.1.0\"} 1",
            "pg_lakebase_storage_uptime_seconds 61.050",
            "pg_lakebase_storage_cache_capacity_bytes 1073741824",
            "pg_lakebase_storage_cache_evictions_total 9",
            "pg_lakebase_storage_cache_hits_total{store=\"lake\"} 5",
            "pg_lakebase_storage_store_cached_bytes{store=\"lake\"} 4096",
            "pg_lakebase_storage_store_requests_total{store=\"lake\",operation=\"get\"} 3",
            "pg_lakebase_storage_store_errors_total{store=\"lake\",operation=\"get\"} 1",
            "pg_lakebase_storage_store_bytes_total{store=\"lake\",operation=\"get\"} 70",
            "pg_lakebase_storage_store_seconds_total{store=\"lake\",operation=\"get\"} 1.002003",
            r#"pg_lakebase_storage_cache_misses_total{store="the \"big\\lake\""} 2"#,
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        let mut heads: Vec<&str> = (text.lines())
            .filter(|line| line.starts_with("# TYPE"))
            .collect();
        let all = heads.len();
        heads.dedup();
        assert_eq!(heads.len(), all);
        assert!(text.ends_with('\n'));
    }
}
