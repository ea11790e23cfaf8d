//! The result: one row a step, as a table, as JSON and for the picture.

use super::machine::Machine;
use super::measure::{
    Files, GROWN_INSERTS, INSERTS, INSERTS_A_SESSION, Measurements, PAUSED_INSERTS, SESSIONS,
    STEPS, Step,
};
use super::statistics::median;
use std::fmt::Write as _;

/// What a step promises.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Iceberg's value divided by heap's is at most this.
    Ratio(f64),
    /// Iceberg's value alone is at most this many bytes.
    Bytes(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Seconds,
    Bytes,
}

#[derive(Clone, Debug, serde::Serialize)]
pub struct Row {
    pub name: String,
    pub unit: Unit,
    pub heap_median: f64,
    pub iceberg_median: f64,
    pub ratio: f64,
    pub target: Target,
    pub met: bool,
    pub heap: Vec<f64>,
    pub iceberg: Vec<f64>,
}

#[derive(Debug, serde::Serialize)]
pub struct Report {
    pub scale_factor: f64,
    pub repeats: u32,
    pub machine: Machine,
    pub postgresql: String,
    pub settings: Vec<(String, String)>,
    pub rows: Vec<Row>,
}

const MIB: f64 = 1024.0 * 1024.0;

impl Row {
    fn new(step: Step, measured: &Measurements) -> Option<Self> {
        let samples = measured.of(step);
        let (heap_median, iceberg_median) = (median(&samples.heap)?, median(&samples.iceberg)?);
        let ratio = iceberg_median / heap_median;
        let (name, unit, target) = describe(step);
        let met = match target {
            Target::Ratio(most) => ratio <= most,
            Target::Bytes(most) => iceberg_median <= most,
        };
        Some(Self {
            name,
            unit,
            heap_median,
            iceberg_median,
            ratio,
            target,
            met,
            heap: samples.heap.clone(),
            iceberg: samples.iceberg.clone(),
        })
    }

    /// How much of what is allowed is used: at most 1 when the target is met.
    pub fn used(&self) -> f64 {
        match self.target {
            Target::Ratio(most) => self.ratio / most,
            Target::Bytes(most) => self.iceberg_median / most,
        }
    }

    pub fn show(&self, value: f64) -> String {
        match self.unit {
            Unit::Seconds if value < 1.0 => format!("{:.0} ms", value * 1000.0),
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Bytes => format!("{:.1} MB", value / MIB),
        }
    }

    pub fn show_target(&self) -> String {
        match self.target {
            Target::Ratio(most) => format!("<= {most:.1} x heap"),
            Target::Bytes(most) => format!("<= {:.0} MB", most / MIB),
        }
    }
}

fn describe(step: Step) -> (String, Unit, Target) {
    let (name, unit, target) = match step {
        Step::Load => ("COPY from CSV", Unit::Seconds, Target::Ratio(1.0)),
        Step::Size => ("size on disk", Unit::Bytes, Target::Ratio(0.3)),
        Step::Memory => (
            "peak memory of COPY",
            Unit::Bytes,
            Target::Bytes(512.0 * MIB),
        ),
        Step::Sum => ("sum of 4 columns, WHERE", Unit::Seconds, Target::Ratio(1.0)),
        Step::SelectAll => ("SELECT * to the client", Unit::Seconds, Target::Ratio(1.5)),
        Step::Inserts => {
            return (
                format!("{INSERTS} single-row INSERTs"),
                Unit::Seconds,
                Target::Ratio(5.0),
            );
        }
        Step::Sessions => {
            return (
                format!("{SESSIONS} sessions, {INSERTS_A_SESSION} INSERTs"),
                Unit::Seconds,
                Target::Ratio(4.0),
            );
        }
        Step::Grown(Files(files)) => {
            return (
                format!("{GROWN_INSERTS} INSERTs, {files} files"),
                Unit::Seconds,
                Target::Ratio(5.0),
            );
        }
        Step::Paused(Files(files)) => {
            return (
                format!("{PAUSED_INSERTS} paused, {files} files"),
                Unit::Seconds,
                Target::Ratio(5.0),
            );
        }
    };
    (name.to_owned(), unit, target)
}

/// The rows that were measured, in the fixed order.
pub fn rows(measured: &Measurements) -> Vec<Row> {
    STEPS
        .into_iter()
        .filter_map(|step| Row::new(step, measured))
        .collect()
}

impl Report {
    /// The table for people.
    pub fn table(&self) -> String {
        let mut text = format!(
            "lineitem at scale factor {}, medians of {} interleaved repeats\n{:<26}{:>12}{:>12}{:>8}  {:<14} met\n",
            self.scale_factor, self.repeats, "", "heap", "iceberg", "ratio", "target"
        );
        for row in &self.rows {
            let _ = writeln!(
                text,
                "{:<26}{:>12}{:>12}{:>8.2}  {:<14} {}",
                row.name,
                row.show(row.heap_median),
                row.show(row.iceberg_median),
                row.ratio,
                row.show_target(),
                if row.met { "yes" } else { "NO" }
            );
        }
        let _ = writeln!(text, "\n{}", self.circumstances());
        text
    }

    /// Machine and settings in a sentence or two.
    pub fn circumstances(&self) -> String {
        let settings: Vec<String> = self
            .settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!(
            "{}, {} cores, {} MB of memory, Linux {}; PostgreSQL {}; revision {}\n{}",
            self.machine.processor,
            self.machine.cores,
            self.machine.memory_mib,
            self.machine.kernel,
            self.postgresql,
            self.machine.revision,
            settings.join(", ")
        )
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn row(target: Target, heap: f64, iceberg: f64, unit: Unit) -> Row {
        let ratio = iceberg / heap;
        let met = match target {
            Target::Ratio(most) => ratio <= most,
            Target::Bytes(most) => iceberg <= most,
        };
        Row {
            name: "a < b".to_owned(),
            unit,
            heap_median: heap,
            iceberg_median: iceberg,
            ratio,
            target,
            met,
            heap: vec![heap],
            iceberg: vec![iceberg],
        }
    }

    pub fn report(rows: Vec<Row>) -> Report {
        Report {
            scale_factor: 1.0,
            repeats: 3,
            machine: Machine {
                processor: "P".to_owned(),
                cores: 2,
                memory_mib: 1,
                kernel: "6".to_owned(),
                revision: "r".to_owned(),
            },
            postgresql: "17".to_owned(),
            settings: vec![("fsync".to_owned(), "on".to_owned())],
            rows,
        }
    }

    #[test]
    fn a_missed_target_is_shouted() {
        let text = report(vec![
            row(Target::Ratio(1.0), 2.0, 1.0, Unit::Seconds),
            row(
                Target::Bytes(512.0 * MIB),
                1.0 * MIB,
                600.0 * MIB,
                Unit::Bytes,
            ),
        ])
        .table();
        let verdicts: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("a < b"))
            .filter_map(|line| line.split_whitespace().last())
            .collect();
        assert_eq!(verdicts, ["yes", "NO"]);
        assert!(text.contains("fsync=on"));
        assert!(text.contains("600.0 MB"));
    }

    #[test]
    fn nothing_measured_gives_no_rows() {
        assert!(rows(&Measurements::default()).is_empty());
    }
}
