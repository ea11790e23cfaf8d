//! Counting what passed and what failed, from what test programs print.

use std::fmt;
use std::ops::AddAssign;

/// How many tests passed, and which failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failures: Vec<String>,
}

impl Tally {
    /// Of one thing that passed.
    pub fn passed() -> Self {
        Self {
            passed: 1,
            failures: Vec::new(),
        }
    }

    /// Of one thing that failed.
    pub fn failed(name: impl Into<String>) -> Self {
        Self {
            passed: 0,
            failures: vec![name.into()],
        }
    }

    /// The tests that a program reported; when it reported none, or failed without a failed test, the
    /// program itself counts as one.
    pub fn of_program(name: &str, reported: Self, success: bool) -> Self {
        if success && reported == Self::default() {
            return Self::passed();
        }
        if !success && reported.failures.is_empty() {
            return Self {
                failures: vec![name.to_owned()],
                ..reported
            };
        }
        reported
    }

    /// Sums of the `test result:` lines of libtest, and the names of the lines that say `FAILED`.
    pub fn from_libtest(output: &str) -> Self {
        let mut sum = Self::default();
        let mut named = Vec::new();
        for line in output.lines().map(str::trim) {
            if let Some(test) = line.strip_prefix("test ")
                && let Some(name) = test.strip_suffix(" ... FAILED")
            {
                named.push(name.to_owned());
            }
            let Some(rest) = line.strip_prefix("test result:") else {
                continue;
            };
            let count = |word: &str| {
                rest.split([';', '.'])
                    .filter_map(|part| part.trim().strip_suffix(word))
                    .find_map(|number| number.trim().parse().ok())
                    .unwrap_or(0)
            };
            // A test that writes to the output itself can come between its name and what became of it.
            named.resize(count("failed"), "a test that is not named".to_owned());
            sum.passed += u64::try_from(count("passed")).unwrap_or(u64::MAX);
            sum.failures.append(&mut named);
        }
        sum
    }

    /// The `ok` and `not ok` lines of the Test Anything Protocol, as pg_regress writes them.
    pub fn from_tap(output: &str) -> Self {
        let mut sum = Self::default();
        for line in output.lines() {
            if let Some(test) = line.strip_prefix("not ok ") {
                // `3     - name     12 ms`
                let name = test.split_whitespace().nth(2).unwrap_or(test);
                sum.failures.push(name.to_owned());
            } else if line.starts_with("ok ") {
                sum.passed += 1;
            }
        }
        sum
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failures.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failures: &[&str]) -> Tally {
        Tally {
            passed,
            failures: failures.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn libtest_results_are_summed_and_what_failed_is_named() {
        let output = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s\n\
            test cache::is_small ... FAILED\n\
            test cache::is_large ... noise\n\
            FAILED\n\
            test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(
            Tally::from_libtest(output),
            tally(13, &["cache::is_small", "a test that is not named"])
        );
    }

    #[test]
    fn tap_lines_are_counted_and_what_failed_is_named() {
        let output = "# using postmaster\nok 1         - create      23 ms\nnot ok 2     - insert 4 ms\n1..2\n";
        assert_eq!(Tally::from_tap(output), tally(1, &["insert"]));
    }

    #[test]
    fn a_failed_program_never_counts_as_clean() {
        let of = |reported, success| Tally::of_program("lints", reported, success);
        assert_eq!(of(Tally::default(), false), Tally::failed("lints"));
        assert_eq!(of(Tally::default(), true), Tally::passed());
        assert_eq!(of(tally(3, &[]), false), tally(3, &["lints"]));
    }

    #[test]
    fn the_last_line_reads_as_promised() {
        assert_eq!(tally(12, &[]).to_string(), "12 passed, 0 failed");
    }
}
