//! Figures: taking them, what they should be, and writing them down.

use super::median;
use crate::checkout;
use crate::cluster::Connection;
use crate::progress::note;
use crate::wire::Session;
use anyhow::{Context, Result};
use std::fs;
use std::time::Instant;

/// Seconds of one statement of a new session that has done something before.
pub fn timed(connection: &Connection, sql: &str) -> Result<f64> {
    let mut session = Session::open(connection)?;
    session.query("SELECT count(*) FROM lakebase.iceberg_tables")?;
    let started = Instant::now();
    session.query(sql)?;
    Ok(started.elapsed().as_secs_f64())
}

/// The median of what was measured.
pub fn middle(values: &[f64]) -> Result<f64> {
    median(values).context("nothing was measured")
}

/// Writes a report as JSON into the checkout, and says where.
pub fn write(report: &impl serde::Serialize, name: &str) -> Result<()> {
    let directory = checkout::root().join("bench-results");
    let path = directory.join(name);
    let text = serde_json::to_string_pretty(report).context("cannot write JSON")?;
    fs::create_dir_all(&directory)
        .and_then(|()| fs::write(&path, text))
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}

/// A figure, and what it should be.
#[derive(Debug, serde::Serialize)]
pub struct Figure {
    pub name: &'static str,
    pub value: f64,
    pub unit: &'static str,
    pub goal: String,
    pub met: bool,
}

/// What a figure should be.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    None,
}

#[derive(Debug, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Figures(pub Vec<Figure>);

impl Figures {
    pub fn push(&mut self, name: &'static str, value: f64, unit: &'static str, goal: Goal) {
        let (met, goal) = match goal {
            Goal::AtLeast(goal) => (value >= goal, format!(">= {goal}")),
            Goal::AtMost(goal) => (value <= goal, format!("<= {goal}")),
            Goal::None => (true, String::new()),
        };
        note(format!("{name}: {value:.3} {unit}"));
        self.0.push(Figure {
            name,
            value,
            unit,
            goal,
            met,
        });
    }

    /// Prints them, and which miss their goals.
    pub fn print(&self) {
        for figure in &self.0 {
            let met = if figure.met { "" } else { "  MISSED" };
            println!(
                "{:<52} {:>9.3} {:<8} {}{met}",
                figure.name, figure.value, figure.unit, figure.goal
            );
        }
    }
}
