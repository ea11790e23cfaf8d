//! What a server knows of its claims: a file of the data directory for each object tablespace, and for each place that it has had.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file;
use pgrx::pg_sys;
use uuid::Uuid;

use super::identity::wait_for_lock;
use super::ownership::look_interval;
use super::store::Store;
use crate::directory::identity_file::{self, DIRECTORY};
use crate::guc;

/// How the names of files begin that hold claims.
const FILE: &str = "claim.";
/// How many times `object_retention` what is due waits at most for the claim of a life of the server that has just begun.
const MOST_WAITS: i64 = 2;

/// What is known of the claims of a store's identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    pub identity: String,
    /// The last one that was made.
    pub epoch: u64,
    /// What the next one holds, if it was begun.
    pub token: String,
    /// When the server was started that made the last one.
    pub life: i64,
    /// When it was made.
    pub claimed: pg_sys::TimestampTz,
    /// Identities whose owners are said to be gone.
    pub taken_over: Vec<Taken>,
}

/// An identity that was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub identity: String,
    /// The epoch by which it was claimed.
    pub epoch: u64,
    /// When.
    pub since: pg_sys::TimestampTz,
}

/// When objects of a store may be deleted at the earliest, as far as claims go: who else uses them has that long to see these.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet {
    /// The server's own.
    claimed: pg_sys::TimestampTz,
    /// The last one of another server's identity.
    taken: pg_sys::TimestampTz,
    retention: i64,
}

impl Quiet {
    /// Counts what has been claimed in another place of the same tablespace.
    fn add(&mut self, other: &Self) {
        self.claimed = self.claimed.max(other.claimed);
        self.taken = self.taken.max(other.taken);
    }

    /// When what is not to be deleted before that time may be deleted.
    pub fn until(&self, not_before: pg_sys::TimestampTz) -> pg_sys::TimestampTz {
        let most = not_before.saturating_add(MOST_WAITS.saturating_mul(self.retention));
        let claimed = self.claimed.saturating_add(self.retention).min(most);
        let taken = self.taken.saturating_add(self.retention);
        not_before.max(claimed).max(taken)
    }
}

/// The same for each tablespace whose store the server has claimed in this life.
pub fn quiet() -> PgResult<BTreeMap<u32, Quiet>> {
    let retention = i64::try_from(wait().as_micros()).unwrap_or(i64::MAX);
    let mut known = BTreeMap::new();
    for (tablespace, path) in files()? {
        let claim = read_file(&path)?;
        // Before it deletes anything, the server claims its identity anew.
        if claim.life == life() {
            let quiet = Quiet {
                claimed: claim.claimed,
                taken: (claim.taken_over.iter().map(|taken| taken.since))
                    .max()
                    .unwrap_or(0),
                retention,
            };
            (known.entry(tablespace).or_insert(quiet)).add(&quiet);
        }
    }
    Ok(known)
}

/// How long nothing is deleted after a claim: `object_retention`, and, unless that is 0, long enough for a double that runs to look.
fn wait() -> Duration {
    match guc::object_retention() {
        Duration::ZERO => Duration::ZERO,
        retention => retention.max(look_interval() * 2),
    }
}

/// The tablespaces whose stores the server, or one that it was copied from, has ever claimed.
pub fn claimed_tablespaces() -> PgResult<BTreeSet<u32>> {
    let files = files()?.into_iter();
    Ok(files.map(|(tablespace, _)| tablespace).collect())
}

/// The files that hold claims, each with its tablespace.
fn files() -> PgResult<Vec<(u32, String)>> {
    let file = |name: String| {
        let (number, place) = name.strip_prefix(FILE)?.split_once('.')?;
        let is_claim = place.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number: u32 = number.parse().ok().filter(|_| is_claim)?;
        Some((number, format!("{DIRECTORY}/{name}")))
    };
    Ok(identity_file::names()?
        .into_iter()
        .filter_map(file)
        .collect())
}

/// When the server was started.
pub fn life() -> i64 {
    // SAFETY: set by the postmaster before there were other processes.
    unsafe { pg_sys::PgStartTime }
}

/// What stands for a tablespace's store in names of files: a tablespace that means another store has claimed nothing there, and
/// is not to take that for somebody else's doing when it comes back.
pub(super) fn place_of(store: &Store) -> String {
    let place = Uuid::new_v5(&Uuid::NAMESPACE_URL, store.spec().identity().as_bytes());
    format!("{}.{}", store.tablespace(), place.simple())
}

fn path_of(store: &Store) -> String {
    format!("{DIRECTORY}/{FILE}{}", place_of(store))
}

/// What is known without waiting for who is changing it.
pub fn read(store: &Store) -> PgResult<Claim> {
    read_file(&path_of(store))
}

fn read_file(path: &str) -> PgResult<Claim> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Claim::parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Claim::default()),
        Err(error) => Err(PgError::file_access("read file", path, &error)),
    }
}

/// The file with what is known, which nobody else changes meanwhile.
pub struct ClaimFile {
    path: String,
    _lock: File,
}

impl ClaimFile {
    /// Waits until nobody else changes it.
    pub fn open(store: &Store) -> PgResult<Self> {
        let path = path_of(store);
        let lock = format!("{path}.lock");
        let failed = |source: io::Error| PgError::file_access("lock file", &lock, &source);
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock)
            .and_then(wait_for_lock)
            .map_err(failed)?;
        Ok(Self { path, _lock: lock })
    }

    /// Writes what is known, durably, in place of what was.
    pub fn write(&self, claim: &Claim) -> PgResult<()> {
        let temporary = format!("{}.tmp", self.path);
        let written = (|| {
            let mut file = File::options()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(claim.text().as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)?;
            file::fsync_directory(DIRECTORY)
        })();
        written.map_err(|source| PgError::file_access("write file", &self.path, &source))
    }
}

impl Claim {
    /// Whether it is of this identity, and of this life of the server.
    pub fn is_current(&self, identity: &str) -> bool {
        self.identity == identity && self.epoch > 0 && self.life == life()
    }

    fn text(&self) -> String {
        let Self {
            identity,
            epoch,
            token,
            life,
            claimed,
            taken_over,
        } = self;
        let mut text = format!(
            "identity {identity}\nepoch {epoch}\ntoken {token}\nlife {life}\nclaimed {claimed}\n"
        );
        for Taken {
            identity,
            epoch,
            since,
        } in taken_over
        {
            text.push_str(&format!("taken_over {identity} {epoch} {since}\n"));
        }
        text
    }

    /// What it says. Who cannot know what it had claimed has claimed nothing.
    fn parse(text: &str) -> Self {
        let mut claim = Self::default();
        for line in text.lines() {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            match name {
                "identity" => claim.identity = value.to_owned(),
                "epoch" => claim.epoch = value.parse().unwrap_or(0),
                "token" => claim.token = value.to_owned(),
                "life" => claim.life = value.parse().unwrap_or(0),
                "claimed" => claim.claimed = value.parse().unwrap_or(0),
                "taken_over" => claim.taken_over.extend(Taken::parse(value)),
                _ => {}
            }
        }
        claim
    }
}

impl Taken {
    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [identity, epoch, since] = *words else {
            return None;
        };
        Some(Self {
            identity: identity.to_owned(),
            epoch: epoch.parse().ok()?,
            since: since.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_as_they_were_written() {
        for claim in [
            Claim::default(),
            Claim {
                identity: "0011223344556677".to_owned(),
                epoch: 12,
                token: "t".to_owned(),
                life: -7,
                claimed: 99,
                taken_over: [("a", 3), ("b", 4)]
                    .map(|(identity, epoch)| Taken {
                        identity: identity.to_owned(),
                        epoch,
                        since: 5,
                    })
                    .into(),
            },
        ] {
            assert_eq!(Claim::parse(&claim.text()), claim);
        }
        assert_eq!(Claim::parse("epoch"), Claim::default());
    }
    #[test]
    fn what_is_due_waits_for_a_new_claim_but_not_for_ever() {
        let quiet = Quiet {
            claimed: 100,
            taken: 0,
            retention: 10,
        };
        assert_eq!(quiet.until(120), 120);
        assert_eq!(quiet.until(105), 110);
        assert_eq!(quiet.until(95), 110);
        // A server that is started every day deletes as well.
        assert_eq!(quiet.until(80), 100);
        let taken = Quiet {
            taken: 200,
            ..quiet
        };
        assert_eq!(taken.until(80), 210);
    }
}
