//! A flaw of PostgreSQL's own (its bug 17731), which heap tables show on a server without the extension: a transaction
//! that made an unlogged table is rolled back, and the server dies before the log says so. The init fork is removed
//! by then; the main fork, empty, would have been by the next checkpoint. Recovery makes the init fork again, as the
//! log says, cannot copy it to the main fork, which is there, and the server does not start. The next time it does:
//! recovery begins with removing main forks beside init forks.
//!
//! This test creates unlogged tables and kills servers all the time, and so meets it now and then.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

const BEFORE: &str = "FATAL:  could not create file \"";
const AFTER: &str = "\": File exists";

/// The relfilenumber that recovery stumbled over, if that is what the server's log tells from byte `from` on.
pub fn stumbled_over(log: &Path, from: u64) -> Result<Option<u32>> {
    let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let text = String::from_utf8_lossy(text.get(from..).unwrap_or_default());
    Ok(last_named(&text).and_then(|path| path.rsplit('/').next()?.parse().ok()))
}

/// The file that the log's last such message names.
fn last_named(log: &str) -> Option<&str> {
    let (_, rest) = log.rsplit_once(BEFORE)?;
    let (name, _) = rest.split_once(AFTER)?;
    (!name.contains('\n')).then_some(name)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_said_of_the_main_fork_of_a_relation_since_then_counts() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let found = |text: &str, from| {
            fs::write(&log, text).unwrap();
            stumbled_over(&log, from).unwrap()
        };
        let said = "LOG:  redo done\n2026 FATAL:  could not create file \"base/5/74000\": File exists\nLOG:  down\n";
        assert_eq!(found(said, 0), Some(74_000));
        assert_eq!(found(said, 40), None);
        assert_eq!(found(said, 4000), None);
        assert_eq!(found(&said.replace("74000", "74000_init"), 0), None);
        assert_eq!(
            found(&said.replace("File exists", "No space left on device"), 0),
            None
        );
        assert_eq!(found("LOG:  all is well\n", 0), None);
    }
}
