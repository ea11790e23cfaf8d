//! The result as an SVG: one bar a step, showing how much of what its target allows is used.

use super::report::Report;
use crate::svg::{self, text, wrap};
use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 200.0;
const TOP: f64 = 64.0;
const PITCH: f64 = 34.0;
const BAR: f64 = 20.0;
/// Where the target lies.
const TARGET: f64 = 300.0;
/// A bar that would leave the picture is cut; its number says the rest.
const LONGEST: f64 = 400.0;
const NOTE_PITCH: f64 = 16.0;
/// What fits beside the margins at the size of the notes.
const NOTE_CHARACTERS: usize = 125;

pub fn svg(report: &Report) -> String {
    let notes: Vec<String> = report
        .circumstances()
        .lines()
        .flat_map(|line| wrap(line, NOTE_CHARACTERS))
        .collect();
    let bottom = TOP + PITCH * report.rows.len() as f64;
    let height = bottom + NOTE_PITCH * notes.len() as f64 + 20.0;
    let mut out = svg::begin(WIDTH, height);
    text(
        &mut out,
        16.0,
        26.0,
        16,
        "#111111",
        "Iceberg against heap: share of what the target allows",
    );
    let subtitle = format!(
        "TPC-H lineitem, scale factor {}, medians of {} repeats; shorter is better",
        report.scale_factor, report.repeats
    );
    text(&mut out, 16.0, 46.0, 12, "#555555", &subtitle);
    for (index, row) in report.rows.iter().enumerate() {
        let y = TOP + PITCH * index as f64;
        let length = (row.used() * TARGET).clamp(1.0, LONGEST);
        let colour = if row.met { "#2f7d5b" } else { "#b3402a" };
        let middle = y + BAR * 0.75;
        text(&mut out, 16.0, middle, 13, "#111111", &row.name);
        let _ = writeln!(
            out,
            "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>"
        );
        let label = format!(
            "{} vs {} ({:.2} x; {})",
            row.show(row.iceberg_median),
            row.show(row.heap_median),
            row.ratio,
            row.show_target()
        );
        // Inside a long bar, beside a short one.
        if length > 240.0 {
            text(&mut out, LEFT + 8.0, middle, 12, "#ffffff", &label);
        } else {
            text(&mut out, LEFT + length + 8.0, middle, 12, "#333333", &label);
        }
    }
    let x = LEFT + TARGET;
    let _ = writeln!(
        out,
        "<line x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{bottom}\" stroke=\"#111111\" \
         stroke-dasharray=\"4 3\"/>",
        TOP - 8.0
    );
    for (index, line) in notes.iter().enumerate() {
        text(
            &mut out,
            16.0,
            bottom + NOTE_PITCH * (index as f64 + 1.0),
            10,
            "#555555",
            line,
        );
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::super::report::{Target, Unit, tests as report};
    use super::*;

    #[test]
    fn names_are_escaped_and_bars_stay_inside() {
        let rows = vec![
            report::row(Target::Ratio(1.0), 1.0, 50.0, Unit::Seconds),
            report::row(Target::Ratio(0.3), 1.0, 0.15, Unit::Bytes),
        ];
        let picture = svg(&report::report(rows));
        assert!(picture.contains("a &lt; b"));
        assert!(picture.contains(&format!("width=\"{LONGEST:.1}\"")));
        assert!(picture.contains("width=\"150.0\""));
        assert_eq!(
            picture.matches("<text").count(),
            picture.matches("</text>").count()
        );
    }
}
