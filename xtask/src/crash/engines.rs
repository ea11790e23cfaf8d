//! Other engines' reading of committed metadata: DuckDB and PyIceberg in one Python process that is
//! asked line by line (`xtask/crash/check_tables.py`), since starting them takes seconds.

use super::primary::Primary;
use super::tables::Fingerprints;
use crate::cache::Cache;
use crate::checkout;
use crate::interop;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const NAMES: [&str; 2] = ["duckdb", "pyiceberg"];
const TIME_LIMIT: Duration = Duration::from_secs(120);

pub struct Engines {
    child: Child,
    questions: Option<ChildStdin>,
    answers: Receiver<String>,
}

/// One engine's answer for one metadata file.
#[derive(Debug, serde::Deserialize)]
struct Answer {
    engine: String,
    rows: Option<u64>,
    sum: Option<String>,
    error: Option<String>,
}

impl Engines {
    pub fn start(cache: &Cache) -> Result<Self> {
        for name in NAMES {
            interop::install_engine(cache, name)?;
        }
        let log = cache.log("crash-engines");
        let stderr =
            File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut child = Command::new(cache.venv().join("bin/python"))
            .arg(checkout::root().join("xtask/crash/check_tables.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .context("cannot run Python")?;
        let questions = child.stdin.take();
        let stdout = child.stdout.take().context("Python has no output")?;
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            questions,
            answers,
        })
    }

    /// Compares what the engines find in each table's metadata file with what PostgreSQL did.
    pub fn check(&mut self, primary: &Primary, expected: &Fingerprints) -> Result<()> {
        let text = primary.query(
            "SELECT table_name, row_count, lakebase.publish(relation) FROM lakebase.iceberg_tables \
             WHERE table_name ~ '^t[0-9]+$'",
        )?;
        for line in text.lines() {
            let fields: Vec<&str> = line.splitn(3, '|').collect();
            let [table, row_count, metadata] = *fields.as_slice() else {
                bail!("psql printed {line}");
            };
            let expected = expected
                .get(table)
                .with_context(|| format!("{table} came from nowhere"))?;
            if row_count.parse() != Ok(expected.rows) {
                bail!("lakebase.iceberg_tables has {row_count} rows for {table}, not {expected:?}");
            }
            if metadata.is_empty() {
                if expected.rows != 0 {
                    bail!("{table} has rows and no metadata");
                }
                continue;
            }
            for answer in self.ask(metadata)? {
                let engine = &answer.engine;
                if let Some(error) = answer.error {
                    bail!("{engine} cannot read {table} at {metadata}: {error}");
                }
                let found = (answer.rows, answer.sum.as_deref());
                if found != (Some(expected.rows), Some(expected.sum.as_str())) {
                    bail!("{engine} reads {found:?} from {table} at {metadata}, not {expected:?}");
                }
            }
        }
        Ok(())
    }

    fn ask(&mut self, metadata: &str) -> Result<Vec<Answer>> {
        let questions = self.questions.as_mut().context("the engines have ended")?;
        writeln!(questions, "{metadata}")
            .and_then(|()| questions.flush())
            .context("the engines have ended")?;
        let line = self
            .answers
            .recv_timeout(TIME_LIMIT)
            .context("the engines do not answer; see logs/crash-engines.log in the cache")?;
        let answers: Vec<Answer> =
            serde_json::from_str(&line).with_context(|| format!("the engines say {line}"))?;
        if answers.len() != NAMES.len() {
            bail!("the engines say {line}");
        }
        Ok(answers)
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        // The end of its input is the end of the process, unless it hangs.
        drop(self.questions.take());
        std::thread::sleep(Duration::from_millis(200));
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
