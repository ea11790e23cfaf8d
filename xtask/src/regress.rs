//! Running PostgreSQL's own test drivers, `pg_regress` and `pg_isolation_regress`, over the
//! extension's test files, against a fresh cluster on the build with assertions.

use crate::cache::Cache;
use crate::checkout;
use crate::cluster::{Cluster, Connection, Settings};
use crate::extension;
use crate::installation::Installation;
use crate::process;
use crate::progress::note;
use crate::tally::Tally;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of differences shown before the reader is sent to the file.
const SHOWN_DIFFERENCES: usize = 400;

/// Which driver runs over which files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    Regression,
    Isolation,
}

impl Suite {
    fn driver(self) -> &'static str {
        match self {
            Self::Regression => "src/test/regress/pg_regress",
            Self::Isolation => "src/test/isolation/pg_isolation_regress",
        }
    }

    /// The folder below the extension's `tests`, and the one of inputs in it.
    fn folders(self) -> (&'static str, &'static str) {
        match self {
            Self::Regression => ("pg_regress", "sql"),
            Self::Isolation => ("isolation", "specs"),
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Regression => "sql",
            Self::Isolation => "spec",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Regression => "SQL regression tests",
            Self::Isolation => "isolation tests",
        }
    }
}

/// Runs `suite`, or of it the tests named, and counts.
pub fn run(
    cache: &Cache,
    installation: &Installation,
    suite: Suite,
    only: &[String],
) -> Result<Tally> {
    let (folder, inputs) = suite.folders();
    let source = checkout::root()
        .join("extension")
        .join(extension::PACKAGE)
        .join("tests")
        .join(folder);
    let schedule = source.join("schedule");
    let tests = if only.is_empty() {
        test_names(&source.join(inputs), suite)?
    } else {
        only.to_vec()
    };
    if tests.is_empty() {
        bail!(
            "there are no {} in {}",
            suite.name(),
            source.join(inputs).display()
        );
    }

    let library = extension::ensure(cache, installation)?;
    let mut cluster = Cluster::at(&cache.cluster(&format!("test-{folder}")))?;
    cluster.renew()?;
    let settings = Settings {
        extra: test_settings(),
        ..Settings::default()
    };
    let connection = cluster.start(installation, &library, &settings)?;
    let result = drive(
        &cluster,
        &connection,
        installation,
        suite,
        &source,
        &schedule,
        &tests,
        only,
    );
    // The first failure is worth more than what stopping may add to it.
    let stopped = cluster.stop();
    let tally = result?;
    stopped?;
    Ok(tally)
}

#[expect(clippy::too_many_arguments, reason = "one caller, just above")]
fn drive(
    cluster: &Cluster,
    connection: &Connection,
    installation: &Installation,
    suite: Suite,
    source: &Path,
    schedule: &Path,
    tests: &[String],
    only: &[String],
) -> Result<Tally> {
    // The account that runs the driver may be unable to read the checkout.
    let account = cluster.account();
    let work = cluster.dir().join("tests");
    account.copy_tree(source, &work)?;
    let driver = installation.test_driver(suite.driver());
    if !driver.exists() {
        bail!("{} is missing", driver.display());
    }
    let option = |name: &str, value: &dyn AsRef<OsStr>| {
        let mut text = std::ffi::OsString::from(format!("--{name}="));
        text.push(value);
        text
    };
    let mut command = account.command(&driver, &work);
    command
        .arg(option("inputdir", &work))
        .arg(option("outputdir", &work))
        .arg(option("bindir", &installation.bindir))
        .arg(option("dlpath", &installation.pkglibdir))
        .arg(option("host", &connection.host))
        .arg(option("port", &connection.port.to_string()))
        .arg(option("user", &crate::cluster::SUPERUSER))
        .arg(option(
            "dbname",
            &format!("{}_regression", suite.folders().0),
        ))
        .arg(option("load-extension", &extension::NAME));
    if schedule.exists() && only.is_empty() {
        command.arg(option("schedule", &work.join("schedule")));
    } else {
        command.args(tests);
    }
    let log = work.join("driver.log");
    let title = format!("Running {} ({} files)", suite.name(), tests.len());
    let status = process::status_logged(&title, &log, &mut command)?;
    let output = fs::read_to_string(&log).context("cannot read the test driver's output")?;
    let tally = Tally::of_program(Tally::from_tap(&output), status.success());
    if !status.success() {
        eprint!("{}", failures(&output));
        show_differences(&work.join("regression.diffs"));
        if tally.passed + tally.failed <= 1 {
            eprint!("{}", process::tail(&log, 0, 30));
            eprint!("{}", process::tail(&cluster.log(), 0, 30));
        }
    }
    Ok(tally)
}

/// What tests may rely on beyond the cluster's own settings.
fn test_settings() -> Vec<(String, String)> {
    [
        ("allow_in_place_tablespaces", "on"),
        ("max_prepared_transactions", "16"),
        // A wait that never ends is a failure with a name, not a hung run.
        ("statement_timeout", "5min"),
        ("log_error_verbosity", "verbose"),
        ("fsync", "off"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// The tests in `dir` in alphabetical order.
fn test_names(dir: &Path, suite: Suite) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", dir.display())),
    };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == suite.extension()))
        .filter_map(|path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn failures(output: &str) -> String {
    output
        .lines()
        .filter(|line| line.starts_with("not ok ") || line.starts_with("Bail out!"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn show_differences(path: &Path) {
    let Ok(text) = fs::read_to_string(path) else {
        return;
    };
    let lines: Vec<&str> = text.lines().collect();
    for line in lines.iter().take(SHOWN_DIFFERENCES) {
        eprintln!("{line}");
    }
    if lines.len() > SHOWN_DIFFERENCES {
        note(format!(
            "… {} more lines in {}",
            lines.len() - SHOWN_DIFFERENCES,
            path.display()
        ));
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_their_extension_in_order() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["truncate.sql", "copy.sql", "README.md", "two_inserts.spec"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(
            test_names(dir.path(), Suite::Regression).unwrap(),
            ["copy", "truncate"]
        );
        assert_eq!(
            test_names(dir.path(), Suite::Isolation).unwrap(),
            ["two_inserts"]
        );
        let absent = dir.path().join("absent");
        assert!(test_names(&absent, Suite::Isolation).unwrap().is_empty());
    }

    #[test]
    fn failed_tests_are_named() {
        let output = "ok 1 - a 3 ms\nnot ok 2 - b 4 ms\n# x\n";
        assert_eq!(failures(output), "not ok 2 - b 4 ms\n");
    }
}
