//! What is in an object store, as its own server keeps it.

use super::server::wait_until;
use crate::cluster::Connection;
use crate::psql;
use crate::stores::Lake;
use anyhow::Result;
use std::fs;

pub const NO_GARBAGE: &str = "SELECT NOT EXISTS (SELECT FROM lakebase.garbage)";

/// Has all orphans found, and waits until they are deleted.
pub fn remove_orphans(connection: &Connection) -> Result<()> {
    psql::execute(
        connection,
        "SELECT count(*) FROM lakebase.remove_orphan_files(NULL, interval '0')",
    )?;
    wait_until(connection, NO_GARBAGE)
}

/// The identities that have objects in the store.
pub fn identities(lake: &Lake) -> Result<Vec<String>> {
    let mut found: Vec<String> = fs::read_dir(lake.bucket())?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.len() == 16)
        .collect();
    found.sort();
    Ok(found)
}

/// The objects below an identity, a line each, but for those that tell of its owners.
pub fn objects(lake: &Lake, identity: &str) -> Result<String> {
    let mut found = Vec::new();
    let root = lake.bucket().join(identity);
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries.flatten() {
            if entry.file_name() == "owner" {
                continue;
            }
            // An object is a directory with its content and what is known of it.
            if entry.file_name() == "xl.meta" {
                let name = directory.strip_prefix(&root)?.display().to_string();
                found.push(format!("{name} {}", entry.metadata()?.len()));
            } else if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found.join("\n"))
}
