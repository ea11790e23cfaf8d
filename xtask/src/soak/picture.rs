//! The result as an SVG: a panel for each bound, the measure and what it may be over the time.

use super::bounds::Bound;
use super::report::short;
use crate::svg::{self, polyline, text};
use std::fmt::Write as _;

const COLUMNS: usize = 3;
const PANEL: (f64, f64) = (360.0, 170.0);
/// From a panel's upper left corner to that of its graph, and the graph's size.
const GRAPH: (f64, f64) = (50.0, 34.0);
const SIZE: (f64, f64) = (290.0, 104.0);
const TOP: f64 = 60.0;
const MARGIN: f64 = 16.0;

/// `title` tells the run.
pub fn svg(title: &str, bounds: &[Bound]) -> String {
    let lines = bounds.len().div_ceil(COLUMNS);
    let width = 2.0 * MARGIN + PANEL.0 * COLUMNS as f64;
    let height = TOP + MARGIN + PANEL.1 * lines as f64;
    let mut out = svg::begin(width, height);
    text(&mut out, MARGIN, 26.0, 16, "#111111", title);
    let legend = "measured: solid, green or red; what it may be: dashed; minutes across";
    text(&mut out, MARGIN, 44.0, 12, "#555555", legend);
    for (index, bound) in bounds.iter().enumerate() {
        let x = MARGIN + PANEL.0 * (index % COLUMNS) as f64;
        let y = TOP + PANEL.1 * (index / COLUMNS) as f64;
        panel(&mut out, (x, y), bound);
    }
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, (x, y): (f64, f64), bound: &Bound) {
    text(out, x, y + 20.0, 12, "#111111", &bound.name);
    let (left, top) = (x + GRAPH.0, y + GRAPH.1);
    let all = || bound.values.iter().chain(&bound.limits);
    let largest = |of: fn(&(f64, f64)) -> f64| all().map(of).fold(0.0, f64::max);
    let (minutes, highest) = (largest(|point| point.0), largest(|point| point.1));
    let place = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        points
            .iter()
            .map(|(minute, value)| {
                (
                    left + SIZE.0 * share(*minute, minutes),
                    top + SIZE.1 * (1.0 - share(*value, highest)),
                )
            })
            .collect()
    };
    let _ = writeln!(
        out,
        "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#cccccc\"/>",
        SIZE.0, SIZE.1
    );
    let dashed = "stroke=\"#111111\" stroke-dasharray=\"4 3\"";
    polyline(out, &place(&bound.limits), dashed);
    let colour = if bound.is_met() { "#2f7d5b" } else { "#b3402a" };
    let solid = format!("stroke=\"{colour}\" stroke-width=\"2\"");
    polyline(out, &place(&bound.values), &solid);
    let bottom = top + SIZE.1;
    text(out, x, top + 10.0, 10, "#555555", &short(highest));
    text(out, x, bottom, 10, "#555555", "0");
    let end = short(minutes);
    text(
        out,
        left + SIZE.0 - 20.0,
        bottom + 14.0,
        10,
        "#555555",
        &end,
    );
}

fn share(value: f64, of: f64) -> f64 {
    if of > 0.0 { value / of } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::bounds;
    use super::super::sample::Sample;
    use super::*;

    #[test]
    fn every_bound_has_its_panel_and_lines_stay_inside() {
        let samples: Vec<Sample> = (1..=3)
            .map(|minute| Sample {
                minutes: f64::from(minute),
                lock_waits: f64::from(minute),
                insert_ms: 2.0,
                heap_insert_ms: 1.0,
                ..Sample::default()
            })
            .collect();
        let bounds = bounds::all(&samples);
        let picture = svg("a & b", &bounds);
        assert!(picture.contains("a &amp; b"));
        assert_eq!(picture.matches("<polyline").count(), 2 * bounds.len());
        assert!(!picture.contains("NaN") && !picture.contains("inf"));
    }
}
