//! Doing again what records say.
//!
//! Every record can be done again any number of times: files are never changed once written, and
//! their names never used again. A record may be about a directory or a file that a later record
//! removes and that is gone from disk already; then there is nothing to do. What a record writes is
//! durable when its redo returns, since restartpoints do not wait for us.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file;
use pg_lakebase_core::wal::RecordKind;
use pgrx::{PgSqlErrorCode, pg_sys};

use super::edits;
use super::record::{
    CREATE_DIRECTORY, FileWrite, Payload, REMOVE_DIRECTORY, REMOVE_FILES, Reader, WRITE_FILES,
};
use crate::storage::TableDirectory;

/// Does a record again.
pub fn redo(kind: RecordKind, content: &[u8]) -> PgResult<()> {
    let (key, reader) = Reader::new(content).ok_or_else(unreadable)?;
    let directory = TableDirectory::of(&key);
    match kind {
        CREATE_DIRECTORY => create(&directory),
        WRITE_FILES => write_files(&directory, &reader.writes().ok_or_else(unreadable)?),
        REMOVE_DIRECTORY => directory.remove().map_err(|source| {
            PgError::file_access("remove directory", &directory.to_string(), &source)
        }),
        REMOVE_FILES => {
            for name in reader.names().ok_or_else(unreadable)? {
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

fn write_files(directory: &TableDirectory, writes: &[FileWrite<'_>]) -> PgResult<()> {
    if !Path::new(&directory.to_string()).is_dir() {
        return Ok(());
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
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        file.write_all_at(bytes, write.offset).map_err(failed)?;
        start_writeback(&file, write.offset, bytes.len());
        written.push((path, file));
    }
    for (path, file) in &written {
        sync(file).map_err(|source| PgError::file_access("sync file", path, &source))?;
    }
    if !written.is_empty() {
        directory.sync()?;
    }
    Ok(())
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

fn sync(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open.
    if unsafe { pg_sys::pg_fsync(file.as_raw_fd()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
