//! A run of a suite: the cluster, the copy of the tests, the driver, the count.

use super::heap_twin::{self, HeapTwin};
use super::object_tables;
use crate::account::Account;
use crate::cache::Cache;
use crate::checkout;
use crate::cluster::{Cluster, Connection, SUPERUSER, Settings};
use crate::extension;
use crate::guardian::Guardian;
use crate::installation::Installation;
use crate::process;
use crate::progress::note;
use crate::stores::{Lake, Store};
use crate::tally::Tally;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Where the tests' Iceberg tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// On local disk, as the tests say.
    Local,
    /// In an object store of this kind.
    ObjectStore(Store),
}

/// What to run.
#[derive(Clone, Copy)]
pub struct Selection<'a> {
    pub suite: Suite,
    pub tables: Where,
    /// Only these tests; all when empty.
    pub only: &'a [String],
    /// Take what comes out as expected from now on.
    pub accept: bool,
}

/// Runs the tests selected and counts.
pub fn run(cache: &Cache, installation: &Installation, selection: Selection) -> Result<Tally> {
    let suite = selection.suite;
    let (folder, inputs) = suite.folders();
    let source = checkout::root()
        .join("extension")
        .join(extension::PACKAGE)
        .join("tests")
        .join(folder);
    let all = test_names(&source.join(inputs), suite)?;
    let tests = if selection.only.is_empty() {
        all.clone()
    } else {
        selection.only.to_vec()
    };
    if tests.is_empty() {
        bail!(
            "there are no {} in {}",
            suite.name(),
            source.join(inputs).display()
        );
    }
    if let Some(unknown) = tests.iter().find(|name| !all.contains(name)) {
        bail!("there is no {unknown} in {}", source.join(inputs).display());
    }

    let library = extension::ensure(cache, installation)?;
    let name = match selection.tables {
        Where::Local => format!("test-{folder}"),
        Where::ObjectStore(_) => format!("test-{folder}-objects"),
    };
    let dir = cache.cluster(&name);
    let _guardian = Guardian::over([dir.clone(), Lake::directory(cache, &name)])?;
    let mut cluster = Cluster::at(&dir)?;
    cluster.renew()?;
    let mut settings = Settings {
        extra: test_settings(),
        ..Settings::default()
    };
    let lake = match selection.tables {
        Where::Local => None,
        Where::ObjectStore(store) => {
            cluster.account().make_private_dir(&dir)?;
            let lake = Lake::start_as(cache, store, &name)?;
            // Here all statements do what those do elsewhere that change many rows.
            settings
                .extra
                .push(("pg_iceberg_am.claim_rows_after".to_owned(), "0".to_owned()));
            settings
                .extra
                .extend(lake.settings(cluster.account(), cluster.dir())?);
            Some(lake)
        }
    };
    let connection = cluster.start(installation, &library, &settings)?;

    // The account that runs the driver may be unable to read the checkout.
    let work = cluster.dir().join("tests");
    cluster.account().copy_tree(&source, &work)?;
    expect_nothing_where_nothing_is_said(cluster.account(), &work, &tests)?;
    let mut twins = Vec::new();
    let mut tests = tests;
    match (&lake, suite) {
        (Some(lake), _) => {
            lake.create_tablespace(&connection)?;
            tests = object_tables::select(&work.join(inputs), suite.extension(), &tests)?;
            for test in &tests {
                let input = work
                    .join(inputs)
                    .join(format!("{test}.{}", suite.extension()));
                let expected = work.join("expected").join(format!("{test}.out"));
                object_tables::rewrite(cluster.account(), &input)?;
                object_tables::rewrite(cluster.account(), &expected)?;
            }
        }
        (None, Suite::Isolation) => twins = heap_twin::add(cluster.account(), &work, &tests)?,
        (None, Suite::Regression) => {}
    }
    let tests = &tests[..];
    let mut command = driver(&cluster, &connection, installation, selection, &work, tests)?;
    command.args(twins.iter().map(|twin| &twin.name));
    let result = drive(&cluster, suite, &work, tests.len() + twins.len(), command);
    // The first failure is worth more than what stopping may add to it.
    let stopped = cluster.stop();
    let stopped = stopped.and(lake.map_or(Ok(()), |lake| lake.stop()));
    let tally = result?;
    stopped?;
    if selection.accept {
        accept(&work, &source, tests, &twins)?;
    }
    Ok(tally)
}

/// The command line of the driver.
fn driver(
    cluster: &Cluster,
    connection: &Connection,
    installation: &Installation,
    selection: Selection,
    work: &Path,
    tests: &[String],
) -> Result<Command> {
    let driver = installation.test_driver(selection.suite.driver());
    if !driver.exists() {
        bail!("{} is missing", driver.display());
    }
    let database = format!("{}_regression", selection.suite.folders().0);
    let mut command = cluster.account().command(&driver, work);
    for (name, value) in [
        ("inputdir", work.as_os_str()),
        ("outputdir", work.as_os_str()),
        ("bindir", installation.bindir.as_os_str()),
        ("dlpath", installation.pkglibdir.as_os_str()),
        ("host", connection.host.as_os_str()),
        ("port", connection.port.to_string().as_ref()),
        ("user", SUPERUSER.as_ref()),
        ("dbname", database.as_ref()),
        ("load-extension", extension::NAME.as_ref()),
    ] {
        let mut option = OsString::from(format!("--{name}="));
        option.push(value);
        command.arg(option);
    }
    let schedule = work.join("schedule");
    if schedule.exists() && selection.only.is_empty() && selection.tables == Where::Local {
        command.arg("--schedule").arg(schedule);
    } else {
        command.args(tests);
    }
    Ok(command)
}

fn drive(
    cluster: &Cluster,
    suite: Suite,
    work: &Path,
    count: usize,
    mut command: Command,
) -> Result<Tally> {
    let log = work.join("driver.log");
    let title = format!("Running {} ({count} files)", suite.name());
    let status = process::status_logged(&title, &log, &mut command)?;
    let output = fs::read_to_string(&log).context("cannot read the test driver's output")?;
    let reported = Tally::from_tap(&output);
    if !status.success() {
        eprint!("{}", failures(&output));
        show_differences(&work.join("regression.diffs"));
        if reported == Tally::default() {
            eprint!("{}", process::tail(&log, 0, 30));
            eprint!("{}", process::tail(&cluster.log(), 0, 30));
        }
    }
    Ok(Tally::of_program(suite.name(), reported, status.success()))
}

/// The drivers give up where a test has no expected output; an empty one makes it fail by itself,
/// showing everything that came out.
fn expect_nothing_where_nothing_is_said(
    account: &Account,
    work: &Path,
    tests: &[String],
) -> Result<()> {
    let expected = work.join("expected");
    fs::create_dir_all(&expected).context("cannot create the directory of expected output")?;
    for test in tests {
        let path = expected.join(format!("{test}.out"));
        if !path.exists() {
            note(format!("{test}: there is no expected output yet"));
            fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
            account.give(&path)?;
        }
    }
    Ok(())
}

/// Copies what came out to where it is expected, except where heap tables gave something else.
fn accept(work: &Path, source: &Path, tests: &[String], twins: &[HeapTwin]) -> Result<()> {
    let expected = source.join("expected");
    fs::create_dir_all(&expected)
        .with_context(|| format!("cannot create {}", expected.display()))?;
    let mut refused = Vec::new();
    for test in tests {
        let twin = twins.iter().find(|twin| twin.test == *test);
        if let Some(twin) = twin
            && !twin.agrees(work)?
        {
            refused.push(test.as_str());
            continue;
        }
        let file = format!("{test}.out");
        let from = work.join("results").join(&file);
        let text = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        let to = expected.join(&file);
        if fs::read(&to).is_ok_and(|present| present == text) {
            continue;
        }
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
        note(format!("accepted {}", to.display()));
    }
    if !refused.is_empty() {
        bail!(
            "not accepted, for heap tables give something else: {}",
            refused.join(", ")
        );
    }
    Ok(())
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
        // The test of the log reads segments that a checkpoint beside it might remove.
        ("wal_keep_size", "1GB"),
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
        for name in [
            "truncate.sql",
            "copy.sql",
            "README.md",
            "two_inserts.spec",
            "not_yet.spec.later",
        ] {
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
