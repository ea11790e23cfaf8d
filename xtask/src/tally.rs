//! Counting what passed and what failed, from what test programs print.

use std::fmt;
use std::ops::AddAssign;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
}

impl Tally {
    pub const PASSED: Self = Self {
        passed: 1,
        failed: 0,
    };
    pub const FAILED: Self = Self {
        passed: 0,
        failed: 1,
    };

    /// The tests a program reported; when it reported none, or failed without a failed test, the
    /// program itself counts as one.
    pub fn of_program(reported: Self, success: bool) -> Self {
        match (success, reported) {
            (
                true,
                Self {
                    passed: 0,
                    failed: 0,
                },
            ) => Self::PASSED,
            (false, Self { passed, failed: 0 }) => Self { passed, failed: 1 },
            _ => reported,
        }
    }

    /// Sums of the `test result:` lines of libtest.
    pub fn from_libtest(output: &str) -> Self {
        let mut sum = Self::default();
        for line in output.lines() {
            let Some(rest) = line.trim().strip_prefix("test result:") else {
                continue;
            };
            let count = |word: &str| {
                rest.split([';', '.'])
                    .filter_map(|part| part.trim().strip_suffix(word))
                    .find_map(|number| number.trim().parse().ok())
                    .unwrap_or(0)
            };
            sum += Self {
                passed: count("passed"),
                failed: count("failed"),
            };
        }
        sum
    }

    /// The `ok` and `not ok` lines of the Test Anything Protocol, as pg_regress writes them.
    pub fn from_tap(output: &str) -> Self {
        let mut sum = Self::default();
        for line in output.lines() {
            if line.starts_with("not ok ") {
                sum.failed += 1;
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
        self.failed += other.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_results_are_summed() {
        let output = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s\n\
            test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(
            Tally::from_libtest(output),
            Tally {
                passed: 13,
                failed: 2
            }
        );
    }

    #[test]
    fn tap_lines_are_counted() {
        let output = "# using postmaster\nok 1         - create      23 ms\nnot ok 2     - insert 4 ms\n1..2\n";
        assert_eq!(
            Tally::from_tap(output),
            Tally {
                passed: 1,
                failed: 1
            }
        );
    }

    #[test]
    fn a_failed_program_never_counts_as_clean() {
        let none = Tally::default();
        assert_eq!(Tally::of_program(none, false), Tally::FAILED);
        assert_eq!(Tally::of_program(none, true), Tally::PASSED);
        let three = Tally {
            passed: 3,
            failed: 0,
        };
        assert_eq!(
            Tally::of_program(three, false),
            Tally {
                passed: 3,
                failed: 1
            }
        );
    }

    #[test]
    fn the_last_line_reads_as_promised() {
        assert_eq!(
            Tally {
                passed: 12,
                failed: 0
            }
            .to_string(),
            "12 passed, 0 failed"
        );
    }
}
