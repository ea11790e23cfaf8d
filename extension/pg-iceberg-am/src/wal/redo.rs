//! Doing again what records say.
//!
//! Every record can be done again any number of times: files are never changed once written, and
//! their names never used again. A record may be about a directory or a file that a later record
//! removes and that is gone from disk already; then there is nothing to do.
//!
//! Restartpoints do not wait for us. So what a record does is durable when its redo returns, but for small
//! files: they wait for a record that says that they are durable on the primary, which comes before that of
//! any checkpoint that relies on it, or for the end of recovery.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file;
use pg_lakebase_core::wal::{self, Lsn, RecordKind};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::edits;
use super::record::{
    CREATE_DIRECTORY, FileWrite, NOTE_IDENTITY, Payload, REMOVE_DIRECTORY, REMOVE_FILES, Reader,
    SYNC_FILES, WRITE_FILES, WRITE_FILES_UNSYNCED, read_identity,
};
use crate::directory::{TableDirectory, durable, identity_file};

thread_local! {
    /// Files written and not durable yet.
    static UNSYNCED: RefCell<BTreeSet<String>> = RefCell::default();
}

/// Does a record again that ends at `end`.
pub fn redo(kind: RecordKind, content: &[u8], end: Lsn) -> PgResult<()> {
    if kind == SYNC_FILES {
        return sync_unsynced();
    }
    if kind == NOTE_IDENTITY {
        let (timeline, name) = read_identity(content).ok_or_else(unreadable)?;
        return identity_file::remember(timeline, name).map_err(|source| {
            PgError::file_access("create a file in", identity_file::DIRECTORY, &source)
        });
    }
    let (key, reader) = Reader::new(content).ok_or_else(unreadable)?;
    let directory = TableDirectory::of(&key);
    match kind {
        CREATE_DIRECTORY => create(&directory),
        WRITE_FILES | WRITE_FILES_UNSYNCED => {
            let writes = reader.writes().ok_or_else(unreadable)?;
            let written = write_files(&directory, &writes)?;
            if kind == WRITE_FILES_UNSYNCED {
                let paths = written.into_iter().map(|(path, _)| path);
                UNSYNCED.with_borrow_mut(|unsynced| unsynced.extend(paths));
                return Ok(());
            }
            sync(&directory, &written)
        }
        REMOVE_DIRECTORY => directory.remove().map_err(|source| {
            PgError::file_access("remove directory", &directory.to_string(), &source)
        }),
        REMOVE_FILES => {
            let (horizon, names) = reader.removed().ok_or_else(unreadable)?;
            wal::resolve_conflict_with_snapshots(horizon, key.locator());
            if horizon != pg_sys::InvalidTransactionId {
                wal::never_stop_before(end);
            }
            for name in names {
                let path = format!("{directory}/{name}");
                file::remove_file(&path)
                    .map_err(|source| PgError::file_access("remove file", &path, &source))?;
            }
            Ok(())
        }
        _ => Err(unreadable()),
    }
}

fn unreadable() -> PgError {
    PgError::new(
        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        "write-ahead log record of Iceberg files cannot be read",
    )
    .with_hint("It may have been written by another version of pg_iceberg_am.")
}

/// The tablespace is gone where a later record drops it.
fn create(directory: &TableDirectory) -> PgResult<()> {
    if directory.tablespace_exists() {
        directory.make()?;
    }
    Ok(())
}

/// Makes the files durable that wait for it.
pub fn sync_unsynced() -> PgResult<()> {
    durable::sync_all(&UNSYNCED.take())
        .map_err(|(path, source)| PgError::file_access("sync file", &path, &source))
}

/// Writes files, of which those are returned that could be written.
fn write_files(
    directory: &TableDirectory,
    writes: &[FileWrite<'_>],
) -> PgResult<Vec<(String, File)>> {
    if !Path::new(&directory.to_string()).is_dir() {
        return Ok(Vec::new());
    }
    let mut written = Vec::with_capacity(writes.len());
    for write in writes {
        let path = format!("{directory}/{}", write.name);
        let failed = |source: io::Error| PgError::file_access("write file", &path, &source);
        let made;
        let bytes = match write.payload {
            Payload::Raw(bytes) => bytes,
            Payload::Edits { base, edits } => {
                match make(&format!("{directory}/{base}"), edits, &path)? {
                    Some(bytes) => {
                        made = bytes;
                        &made
                    }
                    None => continue,
                }
            }
        };
        let file = match open(&path) {
            // The server died while it removed the directory, which a later record does again, if the
            // record got as far as the disk.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                directory.make()?;
                open(&path)
            }
            result => result,
        }
        .map_err(failed)?;
        file.write_all_at(bytes, write.offset).map_err(failed)?;
        start_writeback(&file, write.offset, bytes.len());
        written.push((path, file));
    }
    Ok(written)
}

fn sync(directory: &TableDirectory, written: &[(String, File)]) -> PgResult<()> {
    for (path, file) in written {
        // SAFETY: the descriptor is open.
        if unsafe { pg_sys::pg_fsync(file.as_raw_fd()) } < 0 {
            let source = io::Error::last_os_error();
            return Err(PgError::file_access("sync file", path, &source));
        }
    }
    if written.is_empty() {
        return Ok(());
    }
    directory.sync()
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// What the edits make of the file `base`. If that is gone, a later record removes it, and what is
/// wanted here is there already or removed or made anew by a later record as well.
fn make(base: &str, edits: &[u8], path: &str) -> PgResult<Option<Vec<u8>>> {
    let text = match fs::read(base) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|source| PgError::file_access("read file", base, &source))?,
    };
    match edits::apply(&text, edits) {
        Some(made) => Ok(Some(made)),
        None => Err(PgError::new(
            PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            format!("file \"{path}\" cannot be made from file \"{base}\""),
        )),
    }
}

fn start_writeback(file: &File, offset: u64, length: usize) {
    let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else {
        return;
    };
    // SAFETY: the descriptor is open. A hint: failure means that the later sync waits longer.
    unsafe { pg_sys::pg_flush_data(file.as_raw_fd(), offset, length) }
}
