//! The claims of this transaction.

use std::cell::RefCell;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::injection;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::row_lock::LatchedChunk;
use pg_lakebase_core::xact;
use pgrx::pg_sys;

use super::bits::Bits;
use super::page::{Owner, Page, worthwhile};
use super::shared::{self, Claimed, Heading, OwnPage};
use crate::catalog::{Mark, RowChangeCatalog, Successor};
use crate::directory::StorageKey;
use crate::guc;
use crate::row_id::{Chunk, RowId};

/// After so many rows that could not be claimed, because others have looked, it is looked at again what they have noted.
const PATIENCE: u32 = 32;
/// Pages that a transaction may have: others need some as well.
const PAGES: usize = 64;
/// So many rows are changed one by one after a page that was not worth it.
const PAUSE: i32 = 1_024;

thread_local! {
    static OWN: RefCell<Own> = RefCell::default();
}

#[derive(Default)]
struct Own {
    pages: Vec<Page>,
    /// The page used last.
    last: usize,
    run: Run,
    /// Storages that are dropped, with the subtransactions that did it: claims on their rows are not written down.
    dropped: Vec<(StorageKey, pg_sys::SubTransactionId)>,
}

/// What a command has done that changes rows.
#[derive(Default)]
struct Run {
    of: Option<pg_sys::CommandId>,
    /// Rows that it has changed in chunks of which it has no page.
    rows: i32,
    /// Whether others have rows of a storage locked; found out once for a command.
    has_locks: Option<(StorageKey, bool)>,
}

/// What came of claiming a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is not to be claimed: who changes it looks for it in the catalog, and notes it there.
    No,
    /// It is this transaction's.
    Yes,
    /// It is, and the first one of its page: that the transaction changes rows is to be noted.
    First,
    /// The command has changed it before.
    Before(Successor),
}

/// What came of it without looking anywhere but in own pages.
enum Tried {
    Done(Claim),
    /// A page is to be taken.
    Take,
    /// What is noted elsewhere is to be looked at.
    Renew,
}

impl Own {
    fn page(&mut self, owner: Owner) -> Option<&mut Page> {
        let is_it = |page: &Page| page.owner == owner;
        if !self.pages.get(self.last).is_some_and(is_it) {
            self.last = self.pages.iter().position(is_it)?;
        }
        self.pages.get_mut(self.last)
    }

    fn claim(&mut self, owner: Owner, place: u16, is_update: bool) -> Tried {
        let Some(page) = self.page(owner) else {
            let run = &mut self.run;
            if run.of != Some(owner.cid) {
                *run = Run {
                    of: Some(owner.cid),
                    ..Run::default()
                };
            }
            run.rows = run.rows.saturating_add(1);
            return match run.rows > guc::claim_rows_after() {
                true => Tried::Take,
                false => Tried::Done(Claim::No),
            };
        };
        match page.claim(place, is_update) {
            None => Tried::Done(Claim::No),
            Some(Claimed::Yes) => {
                let is_first = page.rows == 1;
                if page.has_twin {
                    // Commands that this one is part of look before they claim any.
                    self.each_twin(owner, |page| page.contend());
                }
                Tried::Done(match is_first {
                    true => Claim::First,
                    false => Claim::Yes,
                })
            }
            Some(Claimed::Before) => Tried::Done(Claim::Before(page.successor(place))),
            Some(Claimed::Contended) => {
                page.passed += 1;
                match page.passed % PATIENCE {
                    0 => Tried::Renew,
                    _ => Tried::Done(Claim::No),
                }
            }
        }
    }

    /// Calls `work` with the pages of the owner's chunk that other commands of this transaction have, or had.
    fn each_twin(&mut self, owner: Owner, mut work: impl FnMut(&mut Page)) {
        for page in &mut self.pages {
            let is_twin = (page.owner.key, page.owner.chunk) == (owner.key, owner.chunk);
            if is_twin && page.owner != owner {
                work(page);
            }
        }
    }
}

fn owner(key: &StorageKey, chunk: Chunk, cid: pg_sys::CommandId) -> Owner {
    Owner {
        key: *key,
        chunk,
        cid,
        subid: xact::current_subxact_id(),
    }
}

/// Claims a row of `rel` for command `cid`, if that changes many and nobody else has anything to do with the row.
/// What becomes of the row is to be told by [`note`].
pub fn claim(
    rel: Relation<'_>,
    row: RowId,
    cid: pg_sys::CommandId,
    is_update: bool,
) -> PgResult<Claim> {
    let key = StorageKey::of(rel);
    let (chunk, place) = Chunk::of(row);
    let owner = owner(&key, chunk, cid);
    let attempt = || OWN.with_borrow_mut(|own| own.claim(owner, place, is_update));
    let is_ready = match attempt() {
        Tried::Done(claim) => return Ok(claim),
        Tried::Take => take_page(rel, owner)?,
        Tried::Renew => renew(rel, owner)?,
    };
    match is_ready.then(attempt) {
        Some(Tried::Done(claim)) => Ok(claim),
        _ => Ok(Claim::No),
    }
}

/// Says what has become of a row that command `cid` has claimed.
pub fn note(
    key: &StorageKey,
    row: RowId,
    cid: pg_sys::CommandId,
    successor: Successor,
) -> PgResult<()> {
    let (chunk, place) = Chunk::of(row);
    let owner = owner(key, chunk, cid);
    let noted = OWN.with_borrow_mut(|own| Some(own.page(owner)?.note(place, successor)));
    match noted {
        None => Err(PgError::internal("a row that was claimed is not any more")),
        Some(None) => Ok(()),
        Some(Some(told)) => {
            told.write_down(&open()?);
            Ok(())
        }
    }
}

fn open() -> PgResult<RowChangeCatalog> {
    RowChangeCatalog::open_for_update()
        .ok_or_else(|| PgError::internal("table lakebase.row_change is missing"))
}

/// Takes a page; whether rows can be claimed now.
fn take_page(rel: Relation<'_>, owner: Owner) -> PgResult<bool> {
    let pause = || OWN.with_borrow_mut(|own| own.run.rows = -PAUSE);
    let Some(changes) = RowChangeCatalog::open_for_update().filter(RowChangeCatalog::has_sets)
    else {
        pause();
        return Ok(false);
    };
    // Those of earlier commands, which may be over; and one more if there are too many.
    while write_down_one(&changes, |page| page.owner.cid != owner.cid).is_some() {}
    if OWN.with_borrow(|own| own.pages.len()) >= PAGES {
        let rows = write_down_one(&changes, |_| true);
        if rows.is_none_or(|rows| rows < worthwhile()) {
            pause();
        }
        if rows.is_none() {
            return Ok(false);
        }
    }
    // SAFETY: in a transaction that writes; the process's own number.
    let (xid, number) = unsafe { (pg_sys::GetCurrentTransactionId(), pg_sys::MyProcNumber) };
    let heading = Heading {
        key: owner.key,
        chunk: owner.chunk,
        owner: number,
        xid,
        cid: owner.cid,
    };
    let Some(page) = OwnPage::take(heading) else {
        pause();
        return Ok(false);
    };
    OWN.with_borrow_mut(|own| {
        own.last = own.pages.len();
        let mut page = Page::new(owner, page);
        own.each_twin(owner, |twin| {
            twin.has_twin = true;
            twin.contend();
            page.has_twin = true;
        });
        own.pages.push(page);
    });
    renew(rel, owner)
}

/// Looks at what is noted elsewhere of the rows of a page's chunk; whether rows can be claimed now. Not while others are
/// about to note something.
fn renew(rel: Relation<'_>, owner: Owner) -> PgResult<bool> {
    let Owner { key, chunk, .. } = owner;
    let changes = open()?;
    let has_locks = has_locks(&changes, &key)?;
    let Some(latched) = LatchedChunk::try_take(rel, chunk.number()) else {
        return Ok(false);
    };
    let (mut closed, mut next_versions) = (Bits::default(), Bits::default());
    OWN.with_borrow_mut(|own| {
        if let Some(page) = own.page(owner) {
            page.renew();
        }
        own.each_twin(owner, |page| closed.extend(page.claimed()));
        let of_table = own.pages.iter().filter(|page| page.owner.key == key);
        of_table.for_each(|page| next_versions.extend(page.next_versions_in(chunk)));
    });
    // First: what is claimed is noted before it is claimed no longer.
    closed.extend(shared::places_of_others(&key, chunk));
    injection::point(c"iceberg-claims-seen");
    closed.extend(changes.noted_places(&key, chunk)?);
    if has_locks {
        next_versions.extend(changes.places_of_next_versions(&key, chunk)?);
    }
    OWN.with_borrow_mut(|own| {
        if let Some(page) = own.page(owner) {
            page.renewed(closed, next_versions);
        }
    });
    latched.release();
    Ok(true)
}

/// Whether others have rows of a storage locked. Those who come after the command has begun lock all versions of a row that
/// it sees; those who were there may have locked one that was updated later.
fn has_locks(changes: &RowChangeCatalog, key: &StorageKey) -> PgResult<bool> {
    let known = OWN.with_borrow(|own| own.run.has_locks);
    if let Some((_, has_locks)) = known.filter(|(of, _)| of == key) {
        return Ok(has_locks);
    }
    let has_locks = changes.has_locks_of_others(key)?;
    OWN.with_borrow_mut(|own| own.run.has_locks = Some((*key, has_locks)));
    Ok(has_locks)
}

/// Writes down the claims of a page of this subtransaction for which `is_it` holds, and gives it back: how many rows had
/// been claimed. Those of storages that were dropped stay as they are: what drops them may be rolled back.
fn write_down_one(changes: &RowChangeCatalog, is_it: impl Fn(&Page) -> bool) -> Option<usize> {
    let subid = xact::current_subxact_id();
    let (index, told) = OWN.with_borrow(|own| {
        let is_dropped = |key| own.dropped.iter().any(|(of, _)| of == key);
        let index = own.pages.iter().position(|page| {
            page.owner.subid == subid && is_it(page) && !is_dropped(&page.owner.key)
        })?;
        Some((index, own.pages[index].told()))
    })?;
    told.write_down(changes);
    // Only now: others look here first, and after an error the page is still known.
    let page = OWN.with_borrow_mut(|own| own.pages.remove(index));
    let rows = page.rows;
    page.release();
    Some(rows)
}

/// Writes all claims down, before the transaction ends.
pub fn write_down() -> PgResult<()> {
    write_down_all(|_| true)
}

fn write_down_all(is_wanted: impl Fn(&Page) -> bool) -> PgResult<()> {
    if OWN.with_borrow(|own| own.pages.is_empty()) {
        return Ok(());
    }
    let changes = open()?;
    while write_down_one(&changes, &is_wanted).is_some() {}
    Ok(())
}

/// A storage is about to be dropped: its claims are written down as far as this subtransaction can, so that they go with
/// what else is said of its rows. The others count again should that be rolled back.
pub fn leave(key: &StorageKey) -> PgResult<()> {
    write_down_all(|page| page.owner.key == *key)?;
    let subid = xact::current_subxact_id();
    OWN.with_borrow_mut(|own| own.dropped.push((*key, subid)));
    Ok(())
}

/// Has own commands look for a row in the catalog, where this transaction has noted something of it.
pub fn close(key: &StorageKey, row: RowId) {
    let (chunk, place) = Chunk::of(row);
    OWN.with_borrow_mut(|own| {
        for page in &mut own.pages {
            if page.owner.chunk == chunk && page.owner.key == *key {
                page.close(place);
            }
        }
    });
}

/// The rows of a storage that this transaction has claimed, and not written down; with `curcid`, by earlier commands.
pub(super) fn rows(key: &StorageKey, curcid: Option<pg_sys::CommandId>) -> Vec<RowId> {
    OWN.with_borrow(|own| {
        let is_seen = |page: &&Page| {
            page.owner.key == *key && curcid.is_none_or(|curcid| page.owner.cid < curcid)
        };
        let pages = own.pages.iter().filter(is_seen);
        pages.flat_map(Page::claimed_rows).collect()
    })
}

/// What has become of a row that this transaction has claimed, and by which command; `None` if it has not, or if that is
/// written down.
pub(super) fn mark(key: &StorageKey, row: RowId) -> Option<(Mark, pg_sys::CommandId)> {
    let (chunk, place) = Chunk::of(row);
    OWN.with_borrow(|own| {
        let mut pages = own.pages.iter();
        pages.find_map(|page| {
            let is_it = page.owner.chunk == chunk && page.owner.key == *key;
            let mark = is_it.then(|| page.mark(place)).flatten()?;
            Some((mark, page.owner.cid))
        })
    })
}

/// Whether this transaction has claimed a row, and not written it down.
pub fn is_own(key: &StorageKey, row: RowId) -> bool {
    mark(key, row).is_some()
}

/// Whether this transaction has claimed rows for an update.
pub fn has_updated() -> bool {
    OWN.with_borrow(|own| own.pages.iter().any(Page::has_updated))
}

/// The claimed row whose next version `row` is.
pub(super) fn predecessor_of(key: &StorageKey, row: RowId) -> Option<RowId> {
    let (chunk, place) = Chunk::of(row);
    OWN.with_borrow(|own| {
        let mut pages = own.pages.iter().filter(|page| page.owner.key == *key);
        pages.find_map(|page| page.predecessor_of(chunk, place))
    })
}

/// Makes what `subid` has claimed its parent's.
pub fn sub_commit(subid: pg_sys::SubTransactionId, parent: pg_sys::SubTransactionId) {
    with_own(|own| {
        let pages = own.pages.iter_mut();
        for page in pages.filter(|page| page.owner.subid == subid) {
            page.owner.subid = parent;
        }
        for (_, by) in own.dropped.iter_mut().filter(|(_, by)| *by == subid) {
            *by = parent;
        }
    });
}

/// Gives back what `subid`, which is rolled back, has claimed.
pub fn sub_abort(subid: pg_sys::SubTransactionId) {
    with_own(|own| {
        own.run = Run::default();
        own.dropped.retain(|(_, by)| *by != subid);
        for page in own.pages.extract_if(.., |page| page.owner.subid == subid) {
            page.release();
        }
    });
}

/// Gives everything back: the transaction is over.
pub fn end() {
    with_own(|own| {
        let Own { pages, .. } = std::mem::take(own);
        pages.into_iter().for_each(Page::release);
    });
}

/// A backend that is told to terminate may be in the middle of a change of the claims, which nobody asks for any more then.
fn with_own(work: impl FnOnce(&mut Own)) {
    OWN.with(|own| {
        if let Ok(mut own) = own.try_borrow_mut() {
            work(&mut own);
        }
    });
}
