//! The same tests with Iceberg tables in an object store: they have to print the same.
//!
//! A run's copy of the tests is rewritten, and what they are expected to print with it: tables that are created `USING
//! iceberg` are created in an object tablespace, and go to another one when they become heap tables. Unlogged tables stay
//! where they are, since they are refused there. A test of what is different there on purpose says so in its first two lines:
//! `-- local tables only: <reason>`.

use crate::account::Account;
use crate::stores::TABLESPACE;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

const CLAUSE: &str = " USING iceberg";
const OPT_OUT: [&str; 2] = ["-- local tables only:", "# local tables only:"];

/// The tests of `tests`, in the folder `inputs` of the copy, that may be run so.
pub fn select(inputs: &Path, extension: &str, tests: &[String]) -> Result<Vec<String>> {
    let mut selected = Vec::new();
    for test in tests {
        let text = read(&inputs.join(format!("{test}.{extension}")))?;
        let mut first = text.lines().take(2);
        let reason = first.find_map(|line| OPT_OUT.iter().find_map(|mark| line.strip_prefix(mark)));
        match reason.map(str::trim) {
            None if text.contains(CLAUSE) => selected.push(test.clone()),
            None => {}
            Some("") => bail!("{test}: say why the test is one of local tables only"),
            Some(_) => {}
        }
    }
    Ok(selected)
}

/// Rewrites a file of the copy.
pub fn rewrite(account: &Account, path: &Path) -> Result<()> {
    let text = in_object_store(&read(path)?);
    let bytes: Vec<u8> = text.chars().map(|char| char as u8).collect();
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    account.give(path)
}

/// The file, a character a byte: some have bytes of other encodings.
fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes.into_iter().map(char::from).collect())
}

fn in_object_store(text: &str) -> String {
    text.split_inclusive('\n').map(line).collect()
}

fn line(line: &str) -> String {
    let mut made = String::with_capacity(line.len() + 32);
    let mut rest = line;
    while let Some(at) = rest.find(CLAUSE) {
        let statement = rest[..at]
            .rfind(';')
            .map_or(&rest[..at], |end| &rest[end..at]);
        // Of a hint, or of a table that cannot be there or is somewhere.
        let is_other = ["...", "UNLOGGED", "unlogged"]
            .iter()
            .any(|mark| statement.contains(mark));
        let end = at + CLAUSE.len();
        let end = end + options(&rest[end..]);
        made.push_str(&rest[..end]);
        let says_more = ["\n", " TABLESPACE"]
            .iter()
            .any(|more| rest[end..].starts_with(more));
        if !is_other && !says_more {
            made.push_str(" TABLESPACE ");
            made.push_str(TABLESPACE);
        }
        rest = &rest[end..];
    }
    made.push_str(rest);
    if !made.contains("... SET ACCESS METHOD") {
        for (method, tablespace) in [("heap", "pg_default"), ("iceberg", TABLESPACE)] {
            let clause = format!("SET ACCESS METHOD {method}");
            made = made.replace(&clause, &format!("{clause}, SET TABLESPACE {tablespace}"));
        }
    }
    made
}

/// How much of the text is options that come before a tablespace.
fn options(text: &str) -> usize {
    let mut length = 0;
    if let Some(with) = text.strip_prefix(" WITH (")
        && let Some(end) = with.find(')')
    {
        length = text.len() - with.len() + end + 1;
    }
    for end in [
        " ON COMMIT DROP",
        " ON COMMIT DELETE ROWS",
        " ON COMMIT PRESERVE ROWS",
    ] {
        if text[length..].starts_with(end) {
            length += end.len();
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_created_in_the_tablespace() {
        for (local, there) in [
            (
                "CREATE TABLE t (a int) USING iceberg;\n",
                "CREATE TABLE t (a int) USING iceberg TABLESPACE lake;\n",
            ),
            (
                "CREATE TEMP TABLE t USING iceberg WITH (x = 1) ON COMMIT DROP AS SELECT 1;",
                "CREATE TEMP TABLE t USING iceberg WITH (x = 1) ON COMMIT DROP TABLESPACE lake AS SELECT 1;",
            ),
            (
                "CREATE UNLOGGED TABLE t () USING iceberg; CREATE TABLE u () USING iceberg;",
                "CREATE UNLOGGED TABLE t () USING iceberg; CREATE TABLE u () USING iceberg TABLESPACE lake;",
            ),
            (
                "ALTER TABLE t SET ACCESS METHOD iceberg;",
                "ALTER TABLE t SET ACCESS METHOD iceberg, SET TABLESPACE lake;",
            ),
            (
                "HINT:  Use ALTER TABLE ... SET ACCESS METHOD heap.",
                "HINT:  Use ALTER TABLE ... SET ACCESS METHOD heap.",
            ),
        ] {
            assert_eq!(in_object_store(local), there);
        }
    }
}
