//! The few elements of SVG that the pictures are made of.

use std::fmt::Write as _;

/// The beginning of a picture, with a white ground; `</svg>` ends it.
pub fn begin(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    )
}

/// A line through `points`.
pub fn polyline(out: &mut String, points: &[(f64, f64)], style: &str) {
    let points: Vec<String> = points
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" {style}/>",
        points.join(" ")
    );
}

/// Breaks `line` between words so that no part has more than `most` characters, if words allow.
pub fn wrap(line: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match lines.last_mut() {
            Some(last) if last.len() + 1 + word.len() <= most => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A line of text, with the left end of its base line at `x`, `y`.
pub fn text(out: &mut String, x: f64, y: f64, size: u32, colour: &str, content: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\">{}</text>",
        escape(content)
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("indivisible a", 5), ["indivisible", "a"]);
    }

    #[test]
    fn text_is_escaped() {
        let mut out = String::new();
        text(&mut out, 1.0, 2.0, 12, "#000000", "a < b & c");
        assert!(out.contains("a &lt; b &amp; c"));
    }
}
