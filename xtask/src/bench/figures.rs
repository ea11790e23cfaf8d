//! Figures, and what they should be.

use crate::progress::note;

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
