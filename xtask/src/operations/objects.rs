//! What is in an object store, as its own server keeps it.

use super::server::wait_until;
use crate::cluster::Connection;
use crate::psql;
use crate::stores::Lake;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

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
    for object in lake.objects()? {
        if let Some(name) = object.strip_prefix(&format!("{identity}/"))
            // One that has just gone is not there.
            && let Ok(known) = fs::metadata(lake.bucket().join(&object).join("xl.meta"))
        {
            found.push(format!("{name} {}", known.len()));
        }
    }
    Ok(found.join("\n"))
}

/// The objects below an identity, but for those that tell of its owners, each with what tells its content from others.
pub fn contents(lake: &Lake, identity: &str) -> Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    for object in lake.objects()? {
        if object.starts_with(&format!("{identity}/")) {
            let mut hasher = DefaultHasher::new();
            hash(&lake.bucket().join(&object), &mut hasher);
            found.insert(object, hasher.finish());
        }
    }
    Ok(found)
}

/// MinIO keeps what is large in files of a directory beside what it knows of the object.
fn hash(path: &Path, hasher: &mut DefaultHasher) {
    let Ok(entries) = fs::read_dir(path) else {
        // One that has just gone has no content.
        fs::read(path).unwrap_or_default().hash(hasher);
        return;
    };
    let mut below: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    below.sort();
    below.iter().for_each(|path| hash(path, hasher));
}
