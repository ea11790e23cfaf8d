//! The credentials file, and what was read of it last.

use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use super::{entry::Entry, error::CredentialsError, parse::parse};

/// A file that is longer than this is none of credentials.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Entries by name. They stay what they are until the file is read again.
#[derive(Debug)]
pub struct CredentialsFile {
    path: PathBuf,
    read: RwLock<Entries>,
}

#[derive(Debug)]
struct Entries {
    /// How often the file was read.
    generation: u64,
    by_name: BTreeMap<String, Entry>,
}

impl CredentialsFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`CredentialsError::Unsafe`] unless it is a regular file of this user or of root that nobody else may read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, CredentialsError> {
        let path = path.into();
        let by_name = read(&path)?;
        Ok(Self {
            path,
            read: RwLock::new(Entries {
                generation: 1,
                by_name,
            }),
        })
    }

    /// Reads the file again.
    ///
    /// # Errors
    /// As [`CredentialsFile::open`]; the entries then stay what they are.
    pub fn reload(&self) -> Result<(), CredentialsError> {
        let by_name = read(&self.path)?;
        let mut entries = self.read.write().unwrap_or_else(PoisonError::into_inner);
        entries.generation += 1;
        entries.by_name = by_name;
        Ok(())
    }

    /// A number that changes as the file is read again.
    pub fn generation(&self) -> u64 {
        let entries = self.read.read().unwrap_or_else(PoisonError::into_inner);
        entries.generation
    }

    pub fn entry(&self, name: &str) -> Option<Entry> {
        let entries = self.read.read().unwrap_or_else(PoisonError::into_inner);
        entries.by_name.get(name).cloned()
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, Entry>, CredentialsError> {
    let failed = |source| CredentialsError::Read {
        path: path.to_owned(),
        source,
    };
    let refused = |reason: String| {
        Err(CredentialsError::Unsafe {
            path: path.to_owned(),
            reason,
        })
    };
    // Nothing that blocks or acts on being opened gets that far.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return refused("it is no regular file".to_owned());
    }
    let mut file = File::open(path).map_err(failed)?;
    // Of what was opened, whatever the name means by now.
    let metadata = file.metadata().map_err(failed)?;
    let own = rustix::process::geteuid().as_raw();
    if !metadata.is_file() {
        return refused("it is no regular file".to_owned());
    }
    if metadata.uid() != own && metadata.uid() != 0 {
        return refused(format!(
            "it belongs to user {}, not to this one ({own}) or root",
            metadata.uid()
        ));
    }
    let by_systemd = env::var_os("CREDENTIALS_DIRECTORY");
    let is_by_systemd = by_systemd.is_some_and(|directory| path.starts_with(directory));
    let owner = metadata.uid();
    if let Some(wanted) = excess(owner == 0 && is_by_systemd, metadata.mode()) {
        return refused(format!(
            "its permissions are {:04o}, where {wanted}",
            metadata.mode() & 0o7777
        ));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return refused(format!("it is longer than {MAX_FILE_BYTES} bytes"));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    parse(&text).map_err(|(line, reason)| CredentialsError::Syntax {
        path: path.to_owned(),
        line,
        reason,
    })
}

/// What the permissions of a file should be, if they are more. systemd lets a service read what is root's by an access control list, which
/// looks like permissions of the group.
fn excess(is_by_systemd: bool, mode: u32) -> Option<&'static str> {
    let (excessive, wanted) = match is_by_systemd {
        true => (0o037, "others than root and its group may have none"),
        false => (0o077, "only its owner may have any (chmod 0600)"),
    };
    (mode & excessive != 0).then_some(wanted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_a_file_that_nobody_else_reads_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials");
        for mode in [0o640, 0o604, 0o660, 0o644, 0o610] {
            write(&path, "[a]\naccess_key = x", mode);
            let error = CredentialsFile::open(&path).unwrap_err();
            assert!(matches!(error, CredentialsError::Unsafe { .. }), "{error}");
        }
        let error = CredentialsFile::open(directory.path()).unwrap_err();
        assert!(matches!(error, CredentialsError::Unsafe { .. }), "{error}");
        let error = CredentialsFile::open("/dev/zero").unwrap_err();
        assert!(matches!(error, CredentialsError::Unsafe { .. }), "{error}");
        write(&path, "[a]\naccess_key = x", 0o400);
        assert!(CredentialsFile::open(&path).unwrap().entry("a").is_some());
        let error = CredentialsFile::open(directory.path().join("none")).unwrap_err();
        assert!(matches!(error, CredentialsError::Read { .. }), "{error}");
    }

    #[test]
    fn what_systemd_gives_looks_as_if_a_group_might_read_it() {
        for mode in [0o100_400, 0o100_440, 0o100_640] {
            assert_eq!(excess(true, mode), None, "{mode:o}");
        }
        for mode in [0o100_444, 0o100_660, 0o100_650, 0o100_641] {
            assert!(excess(true, mode).is_some(), "{mode:o}");
        }
        for mode in [0o100_440, 0o100_640] {
            assert!(excess(false, mode).is_some(), "{mode:o}");
        }
    }

    #[test]
    fn a_file_that_became_wrong_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials");
        write(&path, "[a]\naccess_key = x", 0o600);
        let file = CredentialsFile::open(&path).unwrap();
        write(&path, "[b]\nnonsense", 0o600);
        assert!(file.reload().is_err());
        assert_eq!(file.generation(), 1);
        assert!(file.entry("a").is_some() && file.entry("b").is_none());
        write(&path, "[b]\naccess_key = y", 0o600);
        file.reload().unwrap();
        assert_eq!(file.generation(), 2);
        assert!(file.entry("a").is_none() && file.entry("b").is_some());
    }
}
