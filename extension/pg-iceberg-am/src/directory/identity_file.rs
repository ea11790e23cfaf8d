//! The files that say who a server is to object stores, and who those were that it comes from.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file;

/// Where they are, relative to the data directory.
pub const DIRECTORY: &str = "pg_lakebase";
/// How their names begin.
pub const PREFIX: &str = "identity.";
/// How the name of one ends that is being made.
pub const TEMPORARY: &str = ".tmp";

/// The names of the files there; none where nobody has asked for an identity yet.
pub fn names() -> PgResult<Vec<String>> {
    let failed = |source: io::Error| PgError::file_access("read directory", DIRECTORY, &source);
    let entries = match fs::read_dir(DIRECTORY) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    Ok(names)
}

/// The file of the server's own identity on a timeline.
pub fn path(timeline: u32) -> String {
    format!("{DIRECTORY}/{PREFIX}{timeline:08X}")
}

/// Makes durable that a server had this identity on this timeline, which may be another one whose log is replayed.
pub fn remember(timeline: u32, identity: &str) -> io::Result<()> {
    let path = format!("{}.{identity}", path(timeline));
    if Path::new(&path).exists() {
        return Ok(());
    }
    match file::make_directory(DIRECTORY) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        result => result.and_then(|()| file::fsync_directory("."))?,
    }
    let temporary = format!("{path}{TEMPORARY}");
    let mut made = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    // It is nobody's own identity, whatever file it is in.
    made.write_all(format!("{identity} 0 0 -\n").as_bytes())?;
    made.sync_all()?;
    fs::rename(&temporary, &path)?;
    file::fsync_directory(DIRECTORY)
}
