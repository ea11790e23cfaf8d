//! Which requests meet a fault.

use super::kind::Kind;
use std::time::{Duration, Instant};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The proxy answers itself: this status, with this code of the store's for the error.
    Status(u16, String),
    /// No answer until the client is gone, or all faults are cleared.
    Hang,
    /// The connection is reset before anything reaches the store.
    Reset,
    /// The store does its work, and the connection is closed without an answer.
    LoseAnswer,
    /// The connection is closed after half of the answer's body.
    Truncate,
    /// A bit of the answer's body is another.
    Alter,
    /// A bit of the request's body is another.
    AlterRequest,
}

/// How often a fault is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    Times(u64),
    Until(Instant),
    Always,
}

#[derive(Clone, Debug)]
struct Rule {
    /// None: any.
    kind: Option<Kind>,
    fault: Fault,
    span: Span,
}

#[derive(Debug, Default)]
pub struct Faults(Vec<Rule>);

impl Faults {
    /// Requests of the kind meet the fault, those of an earlier rule first.
    pub fn add(&mut self, kind: Option<Kind>, fault: Fault, span: Span) {
        self.0.push(Rule { kind, fault, span });
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What a request of the kind meets at this time.
    pub fn take(&mut self, kind: Kind, now: Instant) -> Option<Fault> {
        self.0.retain(|rule| match rule.span {
            Span::Times(left) => left > 0,
            Span::Until(end) => now < end,
            Span::Always => true,
        });
        let of_kind = |rule: &&mut Rule| rule.kind.is_none_or(|of| of == kind);
        let rule = self.0.iter_mut().find(of_kind)?;
        if let Span::Times(left) = &mut rule.span {
            *left -= 1;
        }
        Some(rule.fault.clone())
    }
}

/// As it is ordered: `503`, `503:SlowDown`, or a word.
pub fn parse_fault(text: &str) -> Option<Fault> {
    Some(match text {
        "hang" => Fault::Hang,
        "reset" => Fault::Reset,
        "lose-answer" => Fault::LoseAnswer,
        "truncate" => Fault::Truncate,
        "alter" => Fault::Alter,
        "alter-request" => Fault::AlterRequest,
        "expired" => Fault::Status(403, "ExpiredToken".to_owned()),
        _ => {
            let (status, code) = text.split_once(':').unwrap_or((text, "InternalError"));
            let status = status
                .parse()
                .ok()
                .filter(|status| (400..600).contains(status))?;
            let is_word = |c: char| c.is_ascii_alphanumeric();
            if code.is_empty() || !code.chars().all(is_word) {
                return None;
            }
            Fault::Status(status, code.to_owned())
        }
    })
}

/// As it is ordered: a number of requests, a time from now on, or `always`.
pub fn parse_span(text: &str, now: Instant) -> Option<Span> {
    if text == "always" {
        return Some(Span::Always);
    }
    match text.parse() {
        Ok(times) => Some(Span::Times(times)),
        Err(_) => parse_time(text).map(|time| Span::Until(now + time)),
    }
}

/// `30ms` or `2s`, up to a day.
pub fn parse_time(text: &str) -> Option<Duration> {
    let milliseconds: u64 = match text.strip_suffix("ms") {
        Some(number) => number.parse().ok()?,
        None => {
            let seconds: u64 = text.strip_suffix('s')?.parse().ok()?;
            seconds.checked_mul(1000)?
        }
    };
    (milliseconds <= 86_400_000).then(|| Duration::from_millis(milliseconds))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_met_as_often_or_as_long_as_was_said() {
        let mut faults = Faults::default();
        let now = Instant::now();
        let until = now + Duration::from_secs(1);
        faults.add(Some(Kind::Put), Fault::Reset, Span::Times(2));
        faults.add(None, Fault::Hang, Span::Until(until));
        assert_eq!(faults.take(Kind::Put, now), Some(Fault::Reset));
        assert_eq!(faults.take(Kind::Get, now), Some(Fault::Hang));
        assert_eq!(faults.take(Kind::Put, now), Some(Fault::Reset));
        assert_eq!(faults.take(Kind::Put, now), Some(Fault::Hang));
        assert_eq!(faults.take(Kind::Put, until), None);
        faults.add(Some(Kind::Get), Fault::Alter, Span::Always);
        for _ in 0..3 {
            assert_eq!(faults.take(Kind::Get, now), Some(Fault::Alter));
            assert_eq!(faults.take(Kind::Put, now), None);
        }
        faults.clear();
        assert_eq!(faults.take(Kind::Get, now), None);
    }

    #[test]
    fn faults_spans_and_times_are_read_or_refused() {
        let refused = |status, code: &str| Some(Fault::Status(status, code.to_owned()));
        assert_eq!(parse_fault("503:SlowDown"), refused(503, "SlowDown"));
        assert_eq!(parse_fault("500"), refused(500, "InternalError"));
        assert_eq!(parse_fault("expired"), refused(403, "ExpiredToken"));
        for wrong in ["", "200", "abc", "503:", "503:a\r\nb", "70000"] {
            assert_eq!(parse_fault(wrong), None, "{wrong:?}");
        }
        let now = Instant::now();
        assert_eq!(parse_span("3", now).unwrap(), Span::Times(3));
        let soon = now + Duration::from_millis(1500);
        assert_eq!(parse_span("1500ms", now).unwrap(), Span::Until(soon));
        assert_eq!(parse_span("always", now).unwrap(), Span::Always);
        for wrong in [
            "",
            "s",
            "ms",
            "-1s",
            "1m",
            "86401s",
            "99999999999999999999s",
        ] {
            assert!(parse_span(wrong, now).is_none(), "{wrong:?}");
        }
    }
}
