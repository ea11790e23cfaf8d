//! Other engines' reading of metadata files: DuckDB and PyIceberg in one Python process that is asked line by line
//! (`xtask/interop/read_tables.py`), since starting them takes seconds.

use crate::cache::Cache;
use crate::checkout;
use crate::interop;
use crate::stores::Lake;
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
pub struct Answer {
    pub engine: String,
    pub rows: Option<u64>,
    /// The sum of column `id`, as decimal text.
    pub sum: Option<String>,
    /// How many manifests the current snapshot has, where the engine tells.
    pub manifests: Option<u64>,
    pub error: Option<String>,
}

impl Engines {
    /// Starts them; with a store, they read tables there.
    pub fn start(cache: &Cache, lake: Option<&Lake>) -> Result<Self> {
        for name in NAMES {
            interop::install_engine(cache, name)?;
        }
        let log = cache.log("engines");
        let stderr =
            File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut child = Command::new(cache.venv().join("bin/python"))
            .arg(checkout::root().join("xtask/interop/read_tables.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(lake.into_iter().flat_map(Lake::variables))
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

    /// What each engine finds in the table that a metadata file describes.
    pub fn read(&mut self, metadata: &str) -> Result<Vec<Answer>> {
        let questions = self.questions.as_mut().context("the engines have ended")?;
        writeln!(questions, "{metadata}")
            .and_then(|()| questions.flush())
            .context("the engines have ended")?;
        let line = self
            .answers
            .recv_timeout(TIME_LIMIT)
            .context("the engines do not answer; see logs/engines.log in the cache")?;
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
