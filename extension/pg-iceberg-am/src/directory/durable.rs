//! Making many files durable at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use pg_lakebase_core::file;

/// From so many files on, whole file systems are synced.
const MANY: usize = 32;

/// Makes the files at `paths`, below the data directory, and their directory entries durable. That a file
/// is gone is no error: the transaction that removed it has ended since.
pub fn sync_all(paths: &BTreeSet<String>) -> Result<(), (String, io::Error)> {
    let directories: BTreeSet<&str> = paths
        .iter()
        .filter_map(|path| Some(path.rsplit_once('/')?.0))
        .collect();
    if paths.len() >= MANY {
        return sync_file_systems(&directories);
    }
    for path in paths {
        unless_removed(file::fsync_file(path)).map_err(|error| (path.clone(), error))?;
    }
    for directory in directories {
        unless_removed(file::fsync_directory(directory))
            .map_err(|error| (directory.to_owned(), error))?;
    }
    Ok(())
}

/// Syncs the file systems that the directories lie on (`syncfs`), as PostgreSQL does with
/// `recovery_init_sync_method = syncfs`: a large number of small files costs one call instead of many.
fn sync_file_systems(directories: &BTreeSet<&str>) -> Result<(), (String, io::Error)> {
    // SAFETY: a setting of the server.
    if !unsafe { pgrx::pg_sys::enableFsync } {
        return Ok(());
    }
    let mut one_of_each = BTreeMap::new();
    for directory in directories {
        let failed = |error| ((*directory).to_owned(), error);
        match File::open(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
            Ok(opened) => {
                let device = opened.metadata().map_err(failed)?.dev();
                one_of_each.entry(device).or_insert((*directory, opened));
            }
        }
    }
    for (directory, opened) in one_of_each.into_values() {
        // SAFETY: the descriptor is open.
        if unsafe { libc::syncfs(opened.as_raw_fd()) } < 0 {
            return Err((directory.to_owned(), io::Error::last_os_error()));
        }
    }
    Ok(())
}

fn unless_removed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
