//! Imports inside of pg-iceberg-am run one way: a module uses those that come before it in ARCHITECTURE.md's list
//! of rooms, and no others.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// The repository, wherever this test runs.
fn repository() -> Result<PathBuf> {
    let manifest = std::env::var("CARGO_MANIFEST_DIR")?;
    let parent = Path::new(&manifest).parent();
    Ok(parent.context("xtask lies in the repository")?.to_owned())
}

/// The rooms of pg-iceberg-am from the ground up, as the first column of ARCHITECTURE.md's table names them.
fn rooms(architecture: &str) -> Vec<String> {
    architecture
        .lines()
        .skip_while(|line| !line.starts_with("## The rooms of pg-iceberg-am"))
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(|name| name.trim_end_matches('/').to_owned())
        .collect()
}

/// The modules of the crate that a source text names.
fn imports(text: &str) -> BTreeSet<String> {
    let names = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    };
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let is_word = text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let rest = &text[at + "crate::".len()..];
        if is_word {
            continue;
        }
        match rest.strip_prefix('{') {
            None => {
                found.insert(names(rest));
            }
            Some(group) => {
                let mut depth = 0;
                for item in group.split_inclusive(['{', '}', ',']) {
                    if depth == 0 {
                        found.insert(names(item.trim_start()));
                    }
                    depth += i32::from(item.ends_with('{')) - i32::from(item.ends_with('}'));
                    if depth < 0 {
                        break;
                    }
                }
            }
        }
    }
    found.remove("");
    found
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn rooms_use_only_the_rooms_below_them() -> Result<()> {
    let repository = repository()?;
    let rooms = rooms(&std::fs::read_to_string(
        repository.join("ARCHITECTURE.md"),
    )?);
    ensure!(rooms.len() > 10, "no list of rooms was found: {rooms:?}");
    let height = |room: &str| rooms.iter().position(|known| known == room);
    let source = repository.join("extension/pg-iceberg-am/src");
    let mut files = Vec::new();
    sources(&source, &mut files)?;
    let mut wrong = Vec::new();
    for file in files {
        let below = file.strip_prefix(&source)?;
        let first = below.iter().next().context("a file has a name")?;
        let room = Path::new(first).with_extension("");
        let room = room.to_string_lossy();
        if room == "lib" {
            continue;
        }
        let Some(own) = height(&room) else {
            wrong.push(format!("{room} is no room of ARCHITECTURE.md"));
            continue;
        };
        for import in imports(&std::fs::read_to_string(&file)?) {
            match height(&import) {
                Some(other) if other <= own => {}
                _ => wrong.push(format!("{} uses {import}", below.display())),
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "imports that run back up:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

#[test]
fn imports_are_read_in_all_their_forms() {
    let text = "use crate::wal;\nuse crate::{guc, files::{self, cache}, scan};\nlet x = crate::error::f();\nmycrate::no;";
    let expected = ["error", "files", "guc", "scan", "wal"];
    assert_eq!(imports(text), expected.map(str::to_owned).into());
}
