//! Who may delete the objects of an identity.
//!
//! Two servers may have one identity without knowing of each other, where a whole volume was copied. So a server claims
//! its identity in the store, once in each of its lives before it writes there: it makes the next of the objects
//! `<identity>/<tablespace>/owner/<epoch>`, which a store makes once only. Who finds an epoch that is none of its own has a double.
//! It goes on under a new identity, and leaves the object `shared-<epoch>` beside the epoch in all stores, in those that do
//! not answer once they do ([`super::untold`]); who finds that object does the same.
//! Before a server deletes anything it looks for both, and deletes nothing of an identity that it has left, or shares: neither the
//! original loses an object then nor its copy. A server that is idle looks as well, from time to time; and one that has just
//! claimed an identity deletes nothing for a while ([`super::claim::Quiet`]): its double notices before.
//!
//! A server that was promoted leaves `shared` where the one is that it followed, which may live on. Who looks leaves the object
//! `user-<identity>` below all identities that it has or had: nobody else takes over what somebody uses.

use std::io;
use std::time::{Duration, SystemTime};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::xact::clock_timestamp;
use pg_lakebase_storage::client::Put;
use pg_lakebase_storage::protocol::{ByteRange, FailureCode, PutCondition};
use pgrx::PgSqlErrorCode;

use super::claim::{Claim, ClaimFile, Taken, life, read};
use super::client::{ask, list, list_pages};
use super::contents::in_memory;
use super::identity::{former_identities, identities_followed, leave, own_identity};
use super::object_name::directory_of;
use super::store::Store;
use super::untold;
use crate::error::StoreError;
use crate::guc;
use crate::storage_service::supervision;
use crate::tablespaces::catalog::object_tablespaces;
use crate::wal;

/// Where claims are below an identity.
const OWNER: &str = "owner";
/// How the names begin of what tells that several servers have the identity.
const SHARED: &str = "shared-";
/// How the names begin of what tells who uses it.
const USER: &str = "user-";
/// More than a token has.
const TOKEN_BYTES: u64 = 64;
/// How often another server of the same identity is looked for while objects are kept that nobody needs any more,
const LOOKS: u32 = 8;
/// but not more often than this.
const SHORTEST_LOOK: Duration = Duration::from_secs(60);

/// What a store says of an identity.
#[derive(Default)]
struct Found {
    epoch: u64,
    /// The last epoch of which somebody has said that it is not the only owner's.
    shared: Option<u64>,
    /// Who uses it, and when they last said so, in milliseconds since 1970.
    users: Vec<(String, i64)>,
}

/// What is known of an identity that the server has or had.
pub struct Known {
    pub identity: String,
    pub is_own: bool,
    pub is_taken_over: bool,
    /// Other servers that use it, each with when it last said so, in milliseconds since 1970.
    pub users: Vec<(String, i64)>,
}

/// How long it takes from one look for doubles to the next.
pub fn look_interval() -> Duration {
    (guc::object_retention() / LOOKS).max(SHORTEST_LOOK)
}

/// The identity under which the server writes to a store; claimed, unless this was done in this life of the server.
pub fn claimed_identity(store: &Store) -> PgResult<String> {
    let identity = own_identity()?;
    let claim = read(store)?;
    if claim.is_current(&identity) {
        return Ok(identity);
    }
    let file = ClaimFile::open(store)?;
    tell_shared(store)?;
    loop {
        let identity = own_identity()?;
        let known = read(store)?;
        if known.is_current(&identity) {
            return Ok(identity);
        }
        if claim_anew(store, &file, &identity, known)? {
            return Ok(identity);
        }
        leave_shared(store, &identity)?;
    }
}

/// The identities whose objects the server may have a claim to delete, without a look in the store.
pub fn identities_claimed(store: &Store) -> PgResult<Vec<String>> {
    let own = claimed_identity(store)?;
    let taken = read(store)?.taken_over.into_iter();
    Ok(taken.map(|taken| taken.identity).chain([own]).collect())
}

/// The identities whose objects the server may delete, having looked in the store whether it is still their only owner.
pub fn deletable_identities(store: &Store) -> PgResult<Vec<String>> {
    tell_shared(store)?;
    let identity = claimed_identity(store)?;
    let claim = read(store)?;
    if claim.identity != identity {
        // Another backend has just left that one.
        return Ok(Vec::new());
    }
    let mut identities = Vec::new();
    for taken in &claim.taken_over {
        let found = look(store, &taken.identity)?;
        // Somebody who is not gone has said so since, or somebody else has taken it over.
        if found.epoch == taken.epoch && found.shared.is_none_or(|epoch| epoch < taken.epoch) {
            identities.push(taken.identity.clone());
        }
    }
    let found = look(store, &identity)?;
    if found.epoch == claim.epoch && found.shared.is_none() {
        identities.push(identity);
    } else {
        leave_shared(store, &identity)?;
    }
    Ok(identities)
}

/// Looks whether the server is still the only owner of what it has ever claimed, and goes on under another identity if it is
/// not; says that it uses what it has.
pub fn look_for_doubles(store: &Store) -> PgResult<()> {
    tell_shared(store)?;
    // Who follows somebody says so before writing anything.
    if read(store)?.epoch == 0 && identities_followed()?.is_empty() {
        return Ok(());
    }
    deletable_identities(store)?;
    let own = own_identity()?;
    for identity in former_identities()?.iter().chain([&own]) {
        let name = owner_name(store, identity, &format!("{USER}{own}"));
        put_if(store, &name, &own, PutCondition::Any)?;
    }
    Ok(())
}

/// What is known of the identities that this cluster, and those that it was copied from, have or had.
pub fn known_identities(store: &Store) -> PgResult<Vec<Known>> {
    let own = own_identity()?;
    let taken_over = read(store)?.taken_over;
    let mut known = Vec::new();
    for identity in [own.clone()].into_iter().chain(former_identities()?) {
        let mut users = look(store, &identity)?.users;
        users.retain(|(user, _)| *user != own);
        known.push(Known {
            is_own: identity == own,
            is_taken_over: taken_over.iter().any(|taken| taken.identity == identity),
            identity,
            users,
        });
    }
    Ok(known)
}

/// Takes over what was made under an identity, whose owner is said to be gone: if it is not, it finds that its identity is
/// shared. Refuses if somebody has used it of late, unless that is to count for nothing (`force`). A `dry_run` only looks, and refuses nothing. Returns how
/// many objects there are, and how many bytes they have.
pub fn take_over(
    store: &Store,
    identity: &str,
    force: bool,
    dry_run: bool,
) -> PgResult<(u64, u64)> {
    let own = claimed_identity(store)?;
    if identity == own {
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("identity \"{identity}\" is this server's own"),
        ));
    }
    let found = look(store, identity)?;
    if found.epoch == 0 {
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!(
                "nobody has written to store \"{}\" under identity \"{identity}\"",
                store.spec().id
            ),
        ));
    }
    // One that this server had before may be its double's.
    let user = (found.users.iter())
        .find(|(user, last)| *user != own && age_of(*last) < look_interval() * 2);
    if let Some((user, _)) = user.filter(|_| !force && !dry_run) {
        let who = match user == identity {
            true => {
                "This server before it left the identity, or another one that has it,".to_owned()
            }
            false => format!("The server with identity \"{user}\""),
        };
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            format!("identity \"{identity}\" has been used of late"),
        )
        .with_detail(format!("{who} was there less than {} minutes ago.", look_interval().as_secs() / 30))
        .with_hint("What nobody here needs is deleted, whoever else needs it. If that server is gone, pass force => true."));
    }
    let size = size_of(store, identity)?;
    if dry_run {
        return Ok(size);
    }
    let file = ClaimFile::open(store)?;
    let mut claim = read(store)?;
    if claim.identity != own {
        return Err(PgError::internal(
            "the cluster's identity has changed meanwhile",
        ));
    }
    // Its owner, if it lives, finds this one.
    let mut epoch = found.epoch + 1;
    while !put(store, &epoch_name(store, identity, epoch), &own)? {
        epoch += 1;
    }
    // The epoch has told it, and from here on it is not shared.
    untold::forget(store, identity)?;
    claim.taken_over.retain(|taken| taken.identity != identity);
    claim.taken_over.push(Taken {
        identity: identity.to_owned(),
        epoch,
        since: clock_timestamp(),
    });
    file.write(&claim)?;
    Ok(size)
}

/// How many objects of tables there are below an identity, and how many bytes they have.
fn size_of(store: &Store, identity: &str) -> PgResult<(u64, u64)> {
    let (mut objects, mut bytes) = (0, 0);
    list_pages(
        store,
        &format!("{identity}/{}", store.tablespace()),
        |page| {
            let of_tables =
                (page.iter()).filter(|object| directory_of(object.meta.path.as_str()).is_some());
            for object in of_tables {
                objects += 1;
                bytes += object.meta.version.size;
            }
        },
    )?;
    Ok((objects, bytes))
}

fn age_of(unix_ms: i64) -> Duration {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0));
    time.elapsed().unwrap_or_default()
}

/// Goes on under another identity: this one has another owner as well.
fn leave_shared(store: &Store, identity: &str) -> PgResult<()> {
    // It is left in all stores, and in all of them others have it. Nothing is written where the options cannot be read.
    let stores: Vec<_> = (object_tablespaces().into_iter())
        .filter_map(|tablespace| Store::of(tablespace.to_u32()).ok().flatten())
        .collect();
    let new = leave(identity, || untold::note(&stores, identity))?;
    pgrx::log!(
        "another server has the identity {identity} in store \"{}\": this one goes on as {new}, and deletes nothing of what is shared",
        store.spec().id
    );
    // The others, which may not answer, are told by who looks for doubles, now or next time.
    supervision::look();
    tell_shared(store)
}

/// Tells a store what it has not been told yet of identities that the server has left.
fn tell_shared(store: &Store) -> PgResult<()> {
    for identity in untold::identities(store)? {
        say_shared(store, &identity)?;
        untold::forget(store, &identity)?;
    }
    Ok(())
}

/// Leaves word that an identity has several owners.
fn say_shared(store: &Store, identity: &str) -> PgResult<()> {
    let epoch = look(store, identity)?.epoch;
    let name = owner_name(store, identity, &format!("{SHARED}{epoch:016}"));
    put(store, &name, identity).map(drop)
}

fn look(store: &Store, identity: &str) -> PgResult<Found> {
    let mut found = Found::default();
    for object in list(store, &format!("{identity}/{}/{OWNER}", store.tablespace()))? {
        let name = object.meta.path.as_str();
        let last = name.rsplit('/').next().unwrap_or_default();
        if let Some(user) = last.strip_prefix(USER) {
            found.users.push((user.to_owned(), object.last_modified_ms));
        } else if let Some(epoch) = last.strip_prefix(SHARED) {
            found.shared = found.shared.max(epoch.parse().ok());
        } else if let Ok(epoch) = last.parse() {
            found.epoch = found.epoch.max(epoch);
        }
    }
    Ok(found)
}

fn owner_name(store: &Store, identity: &str, name: &str) -> String {
    format!("{identity}/{}/{OWNER}/{name}", store.tablespace())
}

fn epoch_name(store: &Store, identity: &str, epoch: u64) -> String {
    owner_name(store, identity, &format!("{epoch:016}"))
}

/// Makes a small object; false if there is one, with other content.
fn put(store: &Store, name: &str, content: &str) -> PgResult<bool> {
    put_if(store, name, content, PutCondition::Absent)
}

fn put_if(store: &Store, name: &str, content: &str, condition: PutCondition) -> PgResult<bool> {
    let object = store.object(name)?;
    let failed = |source: io::Error| PgError::file_access("hand over file", name, &source);
    let memory = in_memory(content.as_bytes()).map_err(failed)?;
    let put = Put::new(&object, &memory, content.len() as u64).map_err(failed)?;
    let put = put.when(condition);
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

/// Claims an identity. Returns whether it has: not if somebody else has since this server did.
fn claim_anew(store: &Store, file: &ClaimFile, identity: &str, known: Claim) -> PgResult<bool> {
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
                && get(store, &epoch_name(store, identity, epoch))? == known.token))
    };
    if found.shared.is_some() || !is_own(found.epoch)? {
        return Ok(false);
    }
    if known.epoch == 0 {
        // Who had those may live on, and must not delete what this server reads.
        for followed in identities_followed()? {
            say_shared(store, &followed)?;
        }
    }
    let mut claim = Claim {
        epoch: found.epoch,
        token: uuid::Uuid::new_v4().simple().to_string(),
        ..known
    };
    file.write(&claim)?;
    let next = found.epoch + 1;
    if !put(store, &epoch_name(store, identity, next), &claim.token)? {
        return Ok(false);
    }
    claim.epoch = next;
    claim.token.clear();
    claim.life = life();
    claim.claimed = clock_timestamp();
    // Who replays a commit that leads to objects of this identity knows of it.
    wal::note_identity(identity);
    file.write(&claim)?;
    Ok(true)
}
