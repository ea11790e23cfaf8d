//! Who may delete the objects of an identity.
//!
//! Two servers may have one identity without knowing of each other, where a whole volume was copied. So a server claims
//! its identity in the store, once in each of its lives before it writes there: it makes the next of the objects
//! `<identity>/owner/<epoch>`, which a store makes once only. Who finds an epoch that is none of its own has a double. It leaves
//! the object `<identity>/owner/shared` and goes on under a new identity; who finds that object does the same.
//! Before a server deletes anything it looks for both, and deletes nothing of an identity that it has left, or shares: neither the
//! original loses an object then nor its copy. A server that is idle looks as well, from time to time, so that it is
//! noticed before its copy deletes what was garbage when the copy was made.
//!
//! What is known of a claim is in a file of the data directory, for each tablespace.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file;
use pg_lakebase_storage::client::Put;
use pg_lakebase_storage::protocol::{ByteRange, FailureCode};
use pgrx::pg_sys;

use super::client::{ask, list};
use super::contents::in_memory;
use super::identity::{DIRECTORY, former_identities, leave, own_identity, wait_for_lock};
use super::store::Store;
use crate::error::StoreError;
use crate::tablespaces::catalog::object_tablespaces;

/// Where claims are below an identity.
const OWNER: &str = "owner";
/// What tells that several servers have the identity.
const SHARED: &str = "shared";
/// More than a token has.
const TOKEN_BYTES: u64 = 64;

/// What is known of the claims of a store's identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Claim {
    identity: String,
    /// The last one that was made.
    epoch: u64,
    /// What the next one holds, if it was begun.
    token: String,
    /// When the server was started that made the last one.
    life: i64,
    /// Identities whose owners are said to be gone.
    taken_over: Vec<String>,
}

/// What a store says of an identity.
struct Found {
    epoch: u64,
    is_shared: bool,
}

/// The identity under which the server writes to a store; claimed, unless this was done in this life of the server.
pub fn claimed_identity(store: &Store) -> PgResult<String> {
    let identity = own_identity()?;
    let claim = read(store)?;
    if claim.is_current(&identity) {
        return Ok(identity);
    }
    let file = ClaimFile::open(store)?;
    loop {
        let identity = own_identity()?;
        let claim = read(store)?;
        if claim.is_current(&identity) {
            return Ok(identity);
        }
        if file.claim(store, &identity, claim)? {
            return Ok(identity);
        }
        leave_shared(store, &identity)?;
    }
}

/// The identities whose objects the server may delete, having looked in the store whether it is still their only owner.
pub fn deletable_identities(store: &Store) -> PgResult<Vec<String>> {
    let identity = claimed_identity(store)?;
    let claim = read(store)?;
    if claim.identity != identity {
        // Another backend has just left that one.
        return Ok(Vec::new());
    }
    let found = look(store, &identity)?;
    let mut identities = claim.taken_over;
    if found.epoch == claim.epoch && !found.is_shared {
        identities.push(identity);
    } else {
        leave_shared(store, &identity)?;
    }
    Ok(identities)
}

/// Looks whether the server is still the only owner of what it has ever claimed, and goes on under another identity if it is not.
pub fn look_for_doubles(store: &Store) -> PgResult<()> {
    if read(store)?.epoch > 0 {
        deletable_identities(store)?;
    }
    Ok(())
}

/// Takes over what this cluster, or those that it was copied from, have made under other identities, whose owners are said to
/// be gone: who of them is not finds that its identity is shared. Returns those identities.
pub fn take_over(store: &Store) -> PgResult<Vec<String>> {
    let own = claimed_identity(store)?;
    let former = former_identities()?;
    let file = ClaimFile::open(store)?;
    let mut claim = read(store)?;
    if claim.identity != own {
        return Err(PgError::internal(
            "the cluster's identity has changed meanwhile",
        ));
    }
    let mut taken = Vec::new();
    for identity in former {
        if claim.taken_over.contains(&identity) {
            continue;
        }
        let found = look(store, &identity)?;
        // Its owner, if it lives, finds this one.
        let mut epoch = found.epoch + 1;
        while !put(store, &epoch_name(&identity, epoch), &own)? {
            epoch += 1;
        }
        taken.push(identity);
    }
    claim.taken_over.extend(taken.iter().cloned());
    file.write(&claim)?;
    Ok(taken)
}

/// Goes on under another identity: this one has another owner as well.
fn leave_shared(store: &Store, identity: &str) -> PgResult<()> {
    // It is left in all stores, and in all of them others have it.
    for tablespace in object_tablespaces() {
        if let Some(other) = Store::of(tablespace.to_u32())? {
            put(&other, &format!("{identity}/{OWNER}/{SHARED}"), identity)?;
        }
    }
    let new = leave(identity)?;
    pgrx::log!(
        "another server has the identity {identity} in store \"{}\": this one goes on as {new}, and deletes nothing of what is shared",
        store.spec().id
    );
    Ok(())
}

fn look(store: &Store, identity: &str) -> PgResult<Found> {
    let mut found = Found {
        epoch: 0,
        is_shared: false,
    };
    for object in list(store, &format!("{identity}/{OWNER}"))? {
        let name = object.meta.path.as_str();
        let last = name.rsplit('/').next().unwrap_or_default();
        match last.parse::<u64>() {
            Ok(epoch) => found.epoch = found.epoch.max(epoch),
            Err(_) => found.is_shared |= last == SHARED,
        }
    }
    Ok(found)
}

fn epoch_name(identity: &str, epoch: u64) -> String {
    format!("{identity}/{OWNER}/{epoch:016}")
}

/// Makes a small object; false if there is one, with other content.
fn put(store: &Store, name: &str, content: &str) -> PgResult<bool> {
    let object = store.object(name)?;
    let failed = |source: io::Error| PgError::file_access("hand over file", name, &source);
    let memory = in_memory(content.as_bytes()).map_err(failed)?;
    let put = Put::new(&object, &memory, content.len() as u64).map_err(failed)?;
    match ask(store, |client| client.put(std::slice::from_ref(&put))) {
        Ok(_) => Ok(true),
        Err(error) if error.is(FailureCode::Exists) => Ok(false),
        Err(error) => Err(error.into_pg_error()),
    }
}

/// The content of a small object, which never changes.
fn get(store: &Store, name: &str) -> PgResult<String> {
    let object = store.object(name)?;
    let first = ByteRange {
        offset: 0,
        length: TOKEN_BYTES,
    };
    let cached = ask(store, |client| client.want(&object, None, &[first]));
    let cached = cached.map_err(StoreError::into_pg_error)?;
    let mut bytes = vec![0; cached.size().min(TOKEN_BYTES) as usize];
    match cached.read_exact_at(&mut bytes, 0) {
        Ok(()) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(_) => Err(PgError::internal(format!(
            "object \"{name}\" cannot be read"
        ))),
    }
}

/// When the server was started.
fn life() -> i64 {
    // SAFETY: set by the postmaster before there were other processes.
    unsafe { pg_sys::PgStartTime }
}

fn path_of(store: &Store) -> String {
    format!("{DIRECTORY}/claim.{}", store.tablespace())
}

/// What is known without waiting for who is changing it.
fn read(store: &Store) -> PgResult<Claim> {
    let path = path_of(store);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Claim::parse(&text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Claim::default()),
        Err(error) => Err(PgError::file_access("read file", &path, &error)),
    }
}

/// The file with what is known, which nobody else changes meanwhile.
struct ClaimFile {
    path: String,
    _lock: File,
}

impl ClaimFile {
    fn open(store: &Store) -> PgResult<Self> {
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
    fn write(&self, claim: &Claim) -> PgResult<()> {
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

    /// Claims an identity. Returns whether it has: not if somebody else has since this server did.
    fn claim(&self, store: &Store, identity: &str, known: Claim) -> PgResult<bool> {
        let known = match known.identity == identity {
            true => known,
            // A copy of the server has taken over nothing.
            false => Claim {
                identity: identity.to_owned(),
                ..Claim::default()
            },
        };
        let found = look(store, identity)?;
        // One that was cut off between the store and the file.
        let is_own = |epoch: u64| -> PgResult<bool> {
            Ok(epoch == known.epoch
                || (epoch == known.epoch + 1
                    && !known.token.is_empty()
                    && get(store, &epoch_name(identity, epoch))? == known.token))
        };
        if found.is_shared || !is_own(found.epoch)? {
            return Ok(false);
        }
        let mut claim = Claim {
            epoch: found.epoch,
            token: uuid::Uuid::new_v4().simple().to_string(),
            ..known
        };
        self.write(&claim)?;
        let next = found.epoch + 1;
        if !put(store, &epoch_name(identity, next), &claim.token)? {
            return Ok(false);
        }
        claim.epoch = next;
        claim.token.clear();
        claim.life = life();
        self.write(&claim)?;
        Ok(true)
    }
}

impl Claim {
    /// Whether it is of this identity, and of this life of the server.
    fn is_current(&self, identity: &str) -> bool {
        self.identity == identity && self.epoch > 0 && self.life == life()
    }

    fn text(&self) -> String {
        let Self {
            identity,
            epoch,
            token,
            life,
            taken_over,
        } = self;
        let taken_over = taken_over.join(",");
        format!(
            "identity {identity}\nepoch {epoch}\ntoken {token}\nlife {life}\ntaken_over {taken_over}\n"
        )
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
                "taken_over" => {
                    let identities = value.split(',').filter(|identity| !identity.is_empty());
                    claim.taken_over = identities.map(str::to_owned).collect();
                }
                _ => {}
            }
        }
        claim
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
                taken_over: vec!["a".to_owned(), "b".to_owned()],
            },
        ] {
            assert_eq!(Claim::parse(&claim.text()), claim);
        }
        assert_eq!(Claim::parse("epoch"), Claim::default());
    }
}
