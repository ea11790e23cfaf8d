//! Whose objects are whose.
//!
//! Objects lie below the identity of the cluster that made them, so that no other one takes them for its own. A cluster has
//! an identity for each of its timelines: a standby that is promoted, and what is restored from an archive, get a
//! timeline of their own, and with it a new identity when they first write.
//!
//! An identity is a file of the data directory. It says which file it is, and of which machine, so that a copy of the data
//! directory is known to be one, and gets an identity of its own; its original keeps what it has. Of a copy that cannot be
//! known like this, of a whole volume, see [`super::ownership`]. Whom a server follows, or was restored from, it knows by
//! such files as well: those that were copied, and those that redo makes of records in the log.

use std::cell::RefCell;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::{file, interrupt, wal as core_wal};

use super::untold;
use crate::directory::identity_file::{self, DIRECTORY, PREFIX, TEMPORARY};

const MACHINE: &str = "/etc/machine-id";
/// Time between two looks whether somebody else is done.
const POLL: Duration = Duration::from_millis(10);

thread_local! {
    /// The path of the file that was read last, its inode and modification time, and what it held: each transaction that
    /// inserts asks. A data directory is not moved under a running server, and identities are replaced by renaming.
    static KNOWN: RefCell<Option<(String, Version, String)>> = const { RefCell::new(None) };
}

type Version = (u64, i64, i64);

fn version(path: &str) -> Option<Version> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

/// The cluster's identity as it writes now; made anew if there is none yet. An error during recovery, where nothing is written.
pub fn own_identity() -> PgResult<String> {
    let path = current_path()?;
    let now = version(&path);
    let known = KNOWN.with_borrow(|known| match known {
        Some((known, version, name)) if *known == path && Some(*version) == now => {
            Some(name.clone())
        }
        _ => None,
    });
    if let Some(known) = known {
        return Ok(known);
    }
    let found = read(&path)?.filter(Identity::is_in_place);
    let name = match found {
        Some(found) => found.name,
        None => return replace_if(&path, |found| !found.is_in_place(), || Ok(())),
    };
    KNOWN.set(now.map(|now| (path, now, name.clone())));
    Ok(name)
}

/// Gives the cluster another identity, unless it has another one than `left` already; before that it does `first`.
pub(super) fn leave(left: &str, first: impl FnOnce() -> PgResult<()>) -> PgResult<String> {
    replace_if(&current_path()?, |found| found.name == left, first)
}

/// The identities of the servers that this one followed or was restored from, on timelines before its own.
pub(super) fn identities_followed() -> PgResult<Vec<String>> {
    let current = current_path()?;
    Ok((files()?.into_iter())
        // A name has the timeline in it, in digits that sort as numbers do.
        .filter(|(path, _)| {
            path.get(..current.len())
                .is_some_and(|start| *start < *current)
        })
        .map(|(_, identity)| identity)
        .collect())
}

/// The identities that this cluster, or those that it was copied from, had before the one that it has.
pub fn former_identities() -> PgResult<Vec<String>> {
    let own = own_identity()?;
    let mut former: Vec<String> = files()?.into_iter().map(|(_, identity)| identity).collect();
    former.sort();
    former.dedup();
    former.retain(|identity| *identity != own);
    Ok(former)
}

/// The files that hold identities, with these.
fn files() -> PgResult<Vec<(String, String)>> {
    let mut files = Vec::new();
    let is_whole = |name: &String| name.starts_with(PREFIX) && !name.ends_with(TEMPORARY);
    for name in identity_file::names()?.into_iter().filter(is_whole) {
        let path = format!("{DIRECTORY}/{name}");
        if let Some(identity) = read(&path)? {
            files.push((path, identity.name));
        }
    }
    Ok(files)
}

/// Takes the identities along that a cluster had with this data directory, from which pg_upgrade makes this one: they count
/// as those of a server that this one followed. So it does with what stores are still to be told.
pub fn adopt_identities(cluster: &Path) -> PgResult<()> {
    let old = cluster.join(DIRECTORY);
    let failed =
        |source: io::Error| PgError::file_access("take over", &old.display().to_string(), &source);
    let entries = match fs::read_dir(&old) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    let _lock = lock()?;
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let is_whole = |name: &&str| name.starts_with(PREFIX) && !name.ends_with(TEMPORARY);
        if let Some(name) = name.to_str().filter(|name| name.starts_with(untold::FILE)) {
            untold::adopt(name)?;
            continue;
        }
        if name.to_str().filter(is_whole).is_none() {
            continue;
        }
        let text = fs::read_to_string(entry.path()).map_err(failed)?;
        let Some(identity) = text.split(' ').next() else {
            continue;
        };
        // No timeline has this number.
        let path = format!("{}.{identity}", identity_file::path(0));
        let mut made = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        made.write_all(text.as_bytes())
            .and_then(|()| made.sync_all())
            .map_err(failed)?;
    }
    file::fsync_directory(DIRECTORY).map_err(failed)
}

fn current_path() -> PgResult<String> {
    if core_wal::in_recovery() {
        return Err(PgError::internal(
            "a cluster in recovery has no identity of its own",
        ));
    }
    Ok(identity_file::path(core_wal::insertion_timeline()))
}

/// What a file says.
struct Identity {
    name: String,
    /// The file that it was written to.
    origin: Origin,
    /// The file that was read.
    found: Origin,
}

/// What a file has that its copies have not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    inode: u64,
    /// Nanoseconds since 1970; 0 where the file system does not tell.
    created: u128,
    /// The machine that it is on; `-` where that has no number.
    machine: String,
}

impl Identity {
    /// Whether it is not a copy.
    fn is_in_place(&self) -> bool {
        self.origin == self.found
    }
}

impl Origin {
    fn of(metadata: &Metadata) -> Self {
        let created = metadata.created().ok();
        let created = created.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let machine = fs::read_to_string(MACHINE).unwrap_or_default();
        let machine = machine.trim();
        Self {
            inode: metadata.ino(),
            created: created.map_or(0, |time| time.as_nanos()),
            machine: match machine.is_empty() || machine.contains(char::is_whitespace) {
                true => "-".to_owned(),
                false => machine.to_owned(),
            },
        }
    }
}

fn read(path: &str) -> PgResult<Option<Identity>> {
    let failed = |source: io::Error| PgError::file_access("read file", path, &source);
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    let text = io::read_to_string(&file).map_err(failed)?;
    let found = Origin::of(&file.metadata().map_err(failed)?);
    parse(&text, found).map(Some).ok_or_else(|| {
        failed(io::Error::new(
            io::ErrorKind::InvalidData,
            "it holds no identity",
        ))
    })
}

fn parse(text: &str, found: Origin) -> Option<Identity> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [name, inode, created, machine] = *words else {
        return None;
    };
    let is_name = name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_name.then_some(())?;
    Some(Identity {
        name: name.to_owned(),
        origin: Origin {
            inode: inode.parse().ok()?,
            created: created.parse().ok()?,
            machine: machine.to_owned(),
        },
        found,
    })
}

/// Makes a new identity, after `first`, if there is none or it `is_to_go`, and returns the one that is there then.
fn replace_if(
    path: &str,
    is_to_go: impl Fn(&Identity) -> bool,
    first: impl FnOnce() -> PgResult<()>,
) -> PgResult<String> {
    let _lock = lock()?;
    if let Some(found) = read(path)? {
        if !is_to_go(&found) {
            return Ok(found.name);
        }
        let kept = format!("{path}.{}", found.name);
        let linked = match fs::hard_link(path, &kept) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        };
        linked.map_err(|source| PgError::file_access("create file", &kept, &source))?;
    }
    first()?;
    make(path).map_err(|source| PgError::file_access("create file", path, &source))
}

/// Makes the file durably, in place of another one.
fn make(path: &str) -> io::Result<String> {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    let name = format!("{high:016x}");
    let temporary = format!("{path}{TEMPORARY}");
    file::remove_file(&temporary)?;
    let mut made = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    let Origin {
        inode,
        created,
        machine,
    } = Origin::of(&made.metadata()?);
    made.write_all(format!("{name} {inode} {created} {machine}\n").as_bytes())?;
    made.sync_all()?;
    fs::rename(&temporary, path)?;
    file::fsync_directory(DIRECTORY)?;
    Ok(name)
}

/// Keeps other processes from making identities until it is dropped.
fn lock() -> PgResult<File> {
    let failed = |source: io::Error| PgError::file_access("lock directory", DIRECTORY, &source);
    match file::make_directory(DIRECTORY) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => result
            .and_then(|()| file::fsync_directory("."))
            .map_err(failed)?,
    }
    wait_for_lock(File::open(DIRECTORY).map_err(failed)?).map_err(failed)
}

/// The file once this process has locked it, which it has until the file is closed.
pub(super) fn wait_for_lock(file: File) -> io::Result<File> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => interrupt::sleep(POLL),
            Err(fs::TryLockError::Error(source)) => return Err(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_known_by_what_it_says_of_itself() {
        let origin = Origin {
            inode: 7,
            created: 12,
            machine: "-".to_owned(),
        };
        let of = |text: &str| parse(text, origin.clone()).map(|found| found.is_in_place());
        assert_eq!(of("00112233aabbccdd 7 12 -\n"), Some(true));
        assert_eq!(of("00112233aabbccdd 8 12 -\n"), Some(false));
        assert_eq!(of("00112233aabbccdd 7 13 -\n"), Some(false));
        assert_eq!(of("00112233aabbccdd 7 12 other\n"), Some(false));
        for text in [
            "",
            "00112233aabbccdd\n",
            "0011 7 12 -\n",
            "00112233aabbccdd x 12 -\n",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
