//! `cargo xtask postgres-tests`: PostgreSQL's own regression tests, over Iceberg and over heap tables.
//!
//! The files are those of PostgreSQL's source, without keys and indexes, which Iceberg tables do not have. Each is run in two
//! databases, in which tables are of the one kind or the other where nothing else is said, and what the statements print is
//! compared: rows in no order, as plans may differ, and plans not at all. What differs for a reason is in
//! `xtask/postgres-tests`, a file for each; anything else is a failure.

use crate::cache::Cache;
use crate::checkout;
use crate::cluster::{Cluster, Connection, Settings};
use crate::extension;
use crate::guardian::Guardian;
use crate::installation::Flavour;
use crate::process;
use crate::progress::{Progress, note};
use crate::psql;
use crate::setup;
use crate::tally::Tally;
use anyhow::{Context, Result, bail};
use regex::Regex;
use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Files of `src/test/regress/sql`.
const FILES: [&str; 18] = [
    "update",
    "delete",
    "merge",
    "returning",
    "with",
    "triggers",
    "foreign_key",
    "rowsecurity",
    "updatable_views",
    "rules",
    "copy2",
    "transactions",
    "truncate",
    "plpgsql",
    "portals",
    "subselect",
    "partition_prune",
    "tidscan",
];

/// The kinds of tables, with databases whose names are of one length.
const SIDES: [(&str, &str); 2] = [("heap", "tests_in_heap"), ("iceberg", "tests_iceberg")];

#[derive(clap::Args)]
pub struct Args {
    /// Only these files
    files: Vec<String>,
    /// Take what differs as right from now on
    #[arg(long)]
    accept: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let tally = compare(&cache, &args.files, args.accept)?;
    println!("{tally}");
    if !tally.failures.is_empty() {
        bail!("failed: {}", tally.failures.join(", "));
    }
    Ok(())
}

/// Runs the files, all if none are named, and counts.
pub fn compare(cache: &Cache, files: &[String], accept: bool) -> Result<Tally> {
    let installation = setup::ensure(cache, Flavour::Assert)?;
    let library = extension::ensure(cache, &installation)?;
    let source = setup::source(cache)?.join("src/test/regress");
    let dir = cache.cluster("test-postgres");
    let _guardian = Guardian::over([dir.clone()])?;
    let mut cluster = Cluster::at(&dir)?;
    cluster.renew()?;
    let settings = Settings {
        extra: [
            ("allow_in_place_tablespaces", "on"),
            ("statement_timeout", "2min"),
            ("fsync", "off"),
            ("autovacuum", "off"),
            ("max_prepared_transactions", "2"),
            ("intervalstyle", "postgres_verbose"),
            ("datestyle", "Postgres, MDY"),
            ("timezone", "America/Los_Angeles"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        ..Settings::default()
    };
    let connection = cluster.start(&installation, &library, &settings)?;
    // Where server and client both come: the account that the server runs as may be unable to read the source.
    let tests = cluster.dir().join("tests");
    cluster.account().copy_tree(&source, &tests)?;
    let result = Run::of(&connection, tests).and_then(|run| {
        let named: Vec<&str> = match files {
            [] => FILES.to_vec(),
            files => files.iter().map(String::as_str).collect(),
        };
        let mut tally = Tally::default();
        let mut progress = Progress::start("PostgreSQL's own tests");
        for (number, file) in named.iter().enumerate() {
            progress.tick(|| format!("{number} of {} files", named.len()));
            tally += run.file(file, accept)?;
        }
        progress.finish();
        Ok(tally)
    });
    cluster.stop()?;
    result
}

struct Run {
    sides: [Connection; 2],
    /// A copy of `src/test/regress`.
    tests: PathBuf,
    /// Keys and indexes, and what is left without them.
    without: Vec<(Regex, &'static str)>,
    /// What both sides print differently, and is to be taken as the same.
    same: Vec<(Regex, &'static str)>,
}

impl Run {
    fn of(connection: &Connection, tests: PathBuf) -> Result<Self> {
        type Instead = [(&'static str, &'static str)];
        let regexes = |patterns: &Instead| -> Result<Vec<(Regex, &'static str)>> {
            let regexes = patterns.iter();
            let regexes = regexes.map(|(pattern, instead)| Ok((Regex::new(pattern)?, *instead)));
            regexes.collect()
        };
        let run = Self {
            sides: SIDES.map(|(_, database)| connection.with_database(database)),
            tests,
            without: regexes(&[
                (r"(?im)^\s*create\s+(unique\s+)?index\b[^;]*;", ""),
                (
                    r"(?i),\s*(constraint \w+ )?(primary key|unique)( nulls not distinct)?\s*\([^)]*\)( include \([^)]*\))?",
                    "",
                ),
                (r"(?i)\bprimary key\b(\s*\([\w, ]*\))?", ""),
                (r"(?i)([\w)]) unique( nulls not distinct)?\s*([,)])", "$1$3"),
            ])?,
            same: regexes(&[
                (r"^ *Access method: \w+$", ""),
                (r"tests_in_heap|tests_iceberg", "database"),
            ])?,
        };
        for (side, (_, database)) in run.sides.iter().zip(SIDES) {
            psql::execute(connection, &format!("CREATE DATABASE {database}"))?;
            psql::execute(side, "CREATE EXTENSION pg_iceberg_am")?;
        }
        // The tables that all files know, heap tables on both sides: they are read only.
        let setup = run.tests.join("sql/test_setup.sql");
        for side in 0..run.sides.len() {
            run.output(side, &setup, "heap")?;
        }
        Ok(run)
    }

    /// What psql prints of a script, whose tables are of a kind.
    fn output(&self, side: usize, script: &Path, kind: &str) -> Result<String> {
        let mut command = self.sides[side].client("psql");
        command
            .args(["--no-psqlrc", "--quiet", "--echo-all"])
            .env("PG_ABS_SRCDIR", &self.tests)
            .env("PG_ABS_BUILDDIR", &self.tests)
            .env("PG_LIBDIR", &self.tests)
            .env("PG_DLSUFFIX", ".so")
            .env(
                "PGOPTIONS",
                format!("-c default_table_access_method={kind}"),
            )
            .stdin(File::open(script).with_context(|| format!("cannot read {}", script.display()))?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Both streams into one, in the order in which psql writes.
        let path = script.with_extension(format!("{kind}.out"));
        let out =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let errors = out.try_clone().context("cannot duplicate a descriptor")?;
        command.stdout(out).stderr(errors);
        let status = command.status().context("cannot run psql")?;
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = String::from_utf8_lossy(&text).into_owned();
        if text.contains("server closed the connection")
            || text.contains("connection to server was lost")
        {
            bail!("the server went down: {}", process::describe(status));
        }
        Ok(text)
    }

    fn file(&self, name: &str, accept: bool) -> Result<Tally> {
        let source = self.tests.join("sql").join(format!("{name}.sql"));
        let mut sql = fs::read_to_string(&source)
            .with_context(|| format!("cannot read {}", source.display()))?;
        for (pattern, instead) in &self.without {
            sql = pattern.replace_all(&sql, *instead).into_owned();
        }
        let script = source.with_extension("without_keys.sql");
        fs::write(&script, &sql).with_context(|| format!("cannot write {}", script.display()))?;
        let lines: Vec<&str> = sql.lines().filter(|line| !line.trim().is_empty()).collect();
        let mut printed = Vec::new();
        for (side, (kind, _)) in SIDES.iter().enumerate() {
            let text = self.output(side, &script, kind)?;
            printed.push(by_lines(&lines, &self.normalized(&text)));
        }
        let found = differences(&lines, &printed[0], &printed[1]);
        let path = checkout::root()
            .join("xtask/postgres-tests")
            .join(format!("{name}.txt"));
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if found == expected {
            return Ok(Tally::passed());
        }
        if accept {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))
                .and_then(|()| fs::write(&path, found))
                .with_context(|| format!("cannot write {}", path.display()))?;
            note(format!("accepted {}", path.display()));
            return Ok(Tally::passed());
        }
        let news: Vec<&str> = found
            .lines()
            .filter(|line| !expected.lines().any(|known| known == *line))
            .collect();
        eprintln!(
            "{name} differs from {}:\n{}",
            path.display(),
            news.join("\n")
        );
        Ok(Tally::failed(format!("PostgreSQL's {name}")))
    }

    fn normalized(&self, text: &str) -> String {
        let mut normal = String::with_capacity(text.len());
        for line in text.lines() {
            let mut line = line.trim_end().to_owned();
            for (pattern, instead) in &self.same {
                line = pattern.replace_all(&line, *instead).into_owned();
            }
            normal.push_str(&line);
            normal.push('\n');
        }
        normal
    }
}

/// So many lines of a script may not be echoed in a row: those of COPY's data.
const SILENT: usize = 200;

/// What was printed after each line of a script that psql echoes.
fn by_lines(script: &[&str], printed: &str) -> Vec<Vec<String>> {
    let mut blocks = vec![Vec::new(); script.len() + 1];
    let mut at = 0;
    for line in printed.lines() {
        let ahead = script[at..].iter().take(SILENT);
        if let Some(skipped) = ahead
            .map(|next| next.trim_end())
            .position(|next| next == line)
        {
            at += skipped + 1;
        } else if !line.trim().is_empty() {
            blocks[at].push(line.to_owned());
        }
    }
    for block in &mut blocks {
        block.sort_unstable();
    }
    blocks
}

/// Where the sides differ: the statement's last line, and what only one side has printed of it.
fn differences(script: &[&str], heap: &[Vec<String>], iceberg: &[Vec<String>]) -> String {
    let mut text = String::new();
    let mut statement = 0;
    for (at, (heap, iceberg)) in heap.iter().zip(iceberg).enumerate() {
        // What is printed before a line is of those above it.
        let lines = &script[statement..at];
        let is_plan = lines
            .iter()
            .any(|line| line.to_lowercase().contains("explain"));
        if heap != iceberg && !is_plan {
            let last = lines.last().copied().unwrap_or_default();
            let _ = writeln!(text, "{}", last.trim());
            for (mark, these, others) in [('-', heap, iceberg), ('+', iceberg, heap)] {
                for line in only(these, others) {
                    let _ = writeln!(text, "  {mark} {line}");
                }
            }
        }
        let ends = |line: &&str| line.trim_end().ends_with(';');
        if !heap.is_empty() || !iceberg.is_empty() || lines.last().is_some_and(ends) {
            statement = at;
        }
    }
    text
}

/// The lines, in order, that others do not have as often.
fn only<'a>(these: &'a [String], others: &[String]) -> Vec<&'a str> {
    let mut left: Vec<&String> = others.iter().collect();
    let mut found = Vec::new();
    for line in these {
        match left.iter().position(|other| *other == line) {
            Some(place) => drop(left.swap_remove(place)),
            None => found.push(line.as_str()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_belongs_to_the_lines_before() {
        let script = ["COPY t FROM stdin;", "silent", "SELECT", "2;"];
        let blocks = by_lines(&script, "COPY t FROM stdin;\n b\n a\nSELECT\n2;\n 2\n\n");
        assert_eq!(blocks[1], [" a", " b"]);
        assert_eq!(blocks[4], [" 2"]);
        assert!(blocks[0].is_empty() && blocks[2].is_empty());
    }

    #[test]
    fn differences_are_told_but_not_those_of_order_and_of_plans() {
        let script = ["SELECT a", "FROM t;", "EXPLAIN SELECT 1;", "TABLE t;"];
        let side = |rows: &str, plan: &str, last: &str| {
            let printed =
                format!("SELECT a\nFROM t;\n{rows}EXPLAIN SELECT 1;\n{plan}TABLE t;\n{last}");
            by_lines(&script, &printed)
        };
        let heap = side("1\n2\n", "Seq Scan\n", "7\n7\n");
        let iceberg = side("2\n1\n", "Custom Scan\n", "7\n8\n");
        assert_eq!(
            differences(&script, &heap, &iceberg),
            "TABLE t;\n  - 7\n  + 8\n"
        );
        assert_eq!(differences(&script, &heap, &heap), "");
    }
}
