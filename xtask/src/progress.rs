//! Progress on standard error: a spinner with the elapsed time and the last line of the log on a
//! terminal, a plain line every [`PLAIN_INTERVAL`] elsewhere. Standard output is never written.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const PLAIN_INTERVAL: Duration = Duration::from_secs(15);
const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
/// What fits beside the spinner without wrapping on a common terminal.
const DETAIL_WIDTH: usize = 60;

/// One long step. Call [`Progress::tick`] often; it decides by itself when to draw.
pub struct Progress {
    title: String,
    started: Instant,
    last_plain: Instant,
    frame: usize,
    terminal: bool,
    drawn: bool,
}

impl Progress {
    pub fn start(title: impl Into<String>) -> Self {
        let now = Instant::now();
        Self {
            title: title.into(),
            started: now,
            last_plain: now,
            frame: 0,
            terminal: std::io::stderr().is_terminal(),
            drawn: false,
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Redraws; `detail` is only asked for when something is drawn.
    pub fn tick(&mut self, detail: impl FnOnce() -> String) {
        let elapsed = format_elapsed(self.elapsed());
        if self.terminal {
            let frame = FRAMES.get(self.frame % FRAMES.len()).unwrap_or(&"");
            self.frame += 1;
            let detail = clip(&detail(), DETAIL_WIDTH);
            let mut err = std::io::stderr().lock();
            // A lost spinner is no reason to fail the work it shows.
            let _ = write!(err, "\r\x1b[2K{frame} {} ({elapsed}) {detail}", self.title);
            let _ = err.flush();
            self.drawn = true;
        } else if self.last_plain.elapsed() >= PLAIN_INTERVAL {
            self.last_plain = Instant::now();
            let detail = clip(&detail(), DETAIL_WIDTH);
            eprintln!("... {} ({elapsed}) {detail}", self.title);
        }
    }

    /// Ends with a line that tells the time taken.
    pub fn finish(mut self) {
        self.clear();
        eprintln!("{} ({})", self.title, format_elapsed(self.elapsed()));
    }

    /// Ends without a word; the error that follows says what happened.
    pub fn fail(mut self) {
        self.clear();
    }

    fn clear(&mut self) {
        if self.drawn {
            eprint!("\r\x1b[2K");
            self.drawn = false;
        }
    }
}

/// A short message on standard error.
pub fn note(message: impl AsRef<str>) {
    eprintln!("{}", message.as_ref());
}

/// `850 ms`, `3.2 s`, `2 min 05 s`.
pub fn format_elapsed(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    if seconds >= 60 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else if seconds >= 1 {
        format!("{:.1} s", elapsed.as_secs_f64())
    } else {
        format!("{} ms", elapsed.as_millis())
    }
}

/// The first `width` characters, without control characters.
fn clip(text: &str, width: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(width)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_is_told_in_the_unit_that_fits() {
        assert_eq!(format_elapsed(Duration::from_millis(850)), "850 ms");
        assert_eq!(format_elapsed(Duration::from_millis(3_240)), "3.2 s");
        assert_eq!(format_elapsed(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn detail_never_moves_the_cursor() {
        assert_eq!(clip("a\r\x1b[2Kb\tc", 60), "a[2Kbc");
        assert_eq!(clip("äöü", 2), "äö");
    }
}
