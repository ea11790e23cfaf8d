//! Heap twins of isolation specs: the same sessions over heap tables, which have to print the same.
//!
//! Heap is the oracle of what concurrent transactions see and wait for. A spec is therefore run as
//! it is written and once more without ` USING iceberg`, and both are compared with one expected
//! file. The twins exist in the run's copy of the tests only. A spec of what heap tables do
//! differently on purpose has no twin and says why in its first line: `# iceberg only: <reason>`.

use crate::account::Account;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

const CLAUSE: &str = " USING iceberg";
const OPT_OUT: &str = "# iceberg only:";
const SUFFIX: &str = "_heap";

/// A spec's twin in the copy of the tests.
#[derive(Debug, PartialEq, Eq)]
pub struct HeapTwin {
    /// The spec it is made from.
    pub test: String,
    /// Its own name.
    pub name: String,
}

impl HeapTwin {
    fn of(test: &str) -> Self {
        Self {
            test: test.to_owned(),
            name: format!("{test}{SUFFIX}"),
        }
    }

    /// Whether both printed the same, after a run in `work`.
    pub fn agrees(&self, work: &Path) -> Result<bool> {
        let own = read(&result(work, &self.name))?;
        Ok(own == on_heap(&read(&result(work, &self.test))?))
    }
}

/// Puts the twins of `tests` beside them into the copy at `work`, where every test has its expected
/// output.
pub fn add(account: &Account, work: &Path, tests: &[String]) -> Result<Vec<HeapTwin>> {
    let mut twins = Vec::new();
    for test in tests {
        let text = read(&spec(work, test))?;
        let Some(twin_text) = twin_text(&text).with_context(|| format!("isolation spec {test}"))?
        else {
            continue;
        };
        let twin = HeapTwin::of(test);
        let path = spec(work, &twin.name);
        if path.exists() {
            bail!(
                "{} is in the way of the heap twin of {test}",
                path.display()
            );
        }
        write(account, &path, &twin_text)?;
        let wanted = on_heap(&read(&expected(work, test))?);
        write(account, &expected(work, &twin.name), &wanted)?;
        twins.push(twin);
    }
    Ok(twins)
}

/// The twin of a spec; `None` when it wants none.
fn twin_text(spec: &str) -> Result<Option<String>> {
    if let Some(reason) = spec
        .lines()
        .next()
        .and_then(|line| line.strip_prefix(OPT_OUT))
    {
        if reason.trim().is_empty() {
            bail!("`{OPT_OUT}` has to say what heap tables do differently, and why");
        }
        return Ok(None);
    }
    let twin = on_heap(spec);
    // Such a twin would compare Iceberg tables with themselves.
    if let Some(line) = twin
        .lines()
        .find(|line| !line.starts_with('#') && line.contains("iceberg"))
    {
        bail!("its heap twin would still say `{}`", line.trim());
    }
    Ok(Some(twin))
}

/// A spec, or what it printed, as it reads for heap tables.
fn on_heap(text: &str) -> String {
    text.replace(CLAUSE, "")
}

fn spec(work: &Path, test: &str) -> PathBuf {
    work.join("specs").join(format!("{test}.spec"))
}

fn expected(work: &Path, test: &str) -> PathBuf {
    work.join("expected").join(format!("{test}.out"))
}

fn result(work: &Path, test: &str) -> PathBuf {
    work.join("results").join(format!("{test}.out"))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(account: &Account, path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    account.give(path)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const SPEC: &str =
        "# Iceberg tables.\nsetup { CREATE TABLE t (id int) USING iceberg; }\nsession s1\n";

    #[test]
    fn a_twin_is_the_spec_over_heap_tables() {
        assert_eq!(
            twin_text(SPEC).unwrap().unwrap(),
            "# Iceberg tables.\nsetup { CREATE TABLE t (id int); }\nsession s1\n"
        );
    }

    #[test]
    fn who_wants_no_twin_has_to_say_why() {
        let opted_out = format!("# iceberg only: conflicts are found at COMMIT.\n{SPEC}");
        assert_eq!(twin_text(&opted_out).unwrap(), None);
        assert!(twin_text(&format!("# iceberg only:\n{SPEC}")).is_err());
        // Only the first line counts.
        let late = format!("{SPEC}# iceberg only: too late\n");
        assert!(twin_text(&late).unwrap().is_some());
    }

    #[test]
    fn a_twin_that_is_not_on_heap_is_no_oracle() {
        let spec = format!("{SPEC}step s {{ ALTER TABLE t SET ACCESS METHOD iceberg; }}\n");
        assert!(twin_text(&spec).is_err());
    }

    #[test]
    fn twins_lie_beside_their_specs_and_expect_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path();
        for folder in ["specs", "expected", "results"] {
            fs::create_dir(work.join(folder)).unwrap();
        }
        let step = |clause: &str| format!("step s1t: CREATE TABLE t (id int){clause};\n");
        fs::write(spec(work, "create"), SPEC).unwrap();
        fs::write(expected(work, "create"), step(CLAUSE)).unwrap();
        let tests = ["create".to_owned()];
        let twins = add(&Account::Own, work, &tests).unwrap();
        assert_eq!(twins, [HeapTwin::of("create")]);
        assert_eq!(twins[0].name, "create_heap");
        assert_eq!(read(&expected(work, "create_heap")).unwrap(), step(""));
        assert!(read(&spec(work, "create_heap")).unwrap().contains("int);"));
        assert!(add(&Account::Own, work, &tests).is_err());

        fs::write(result(work, "create"), step(CLAUSE)).unwrap();
        fs::write(result(work, "create_heap"), step("")).unwrap();
        assert!(twins[0].agrees(work).unwrap());
        fs::write(result(work, "create_heap"), step(" <waiting ...>")).unwrap();
        assert!(!twins[0].agrees(work).unwrap());
    }
}
