//! The claims of this transaction.

use std::cell::RefCell;
use std::collections::BTreeSet;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::row_lock::LatchedChunk;
use pg_lakebase_core::table_am::LockTupleMode;
use pg_lakebase_core::xact;
use pgrx::pg_sys;

use super::bits::Bits;
use super::shared::{self, Claimed, Heading, OwnPage};
use crate::catalog::{MAX_UPDATED, Mark, RowChangeCatalog, RowSet, SetKind, Successor};
use crate::directory::StorageKey;
use crate::row_id::{Chunk, RowId};
use crate::{guc, transaction};

/// After so many rows that could not be claimed, because others have looked, it is looked at again what they have noted.
const PATIENCE: u32 = 32;
/// Pages that a transaction may have: others need some as well.
const PAGES: usize = 64;
/// A page with fewer rows than this was not worth it, unless rows are to be claimed at once.
const WORTHWHILE: usize = 16;
/// So many rows are changed one by one after such a page.
const PAUSE: i32 = 1_024;
/// What has no next version, or none yet.
const NONE: u16 = u16::MAX;

thread_local! {
    static OWN: RefCell<Own> = RefCell::default();
}

#[derive(Default)]
struct Own {
    pages: Vec<Page>,
    /// The page used last.
    last: usize,
    run: Run,
}

/// Rows that a command has changed in chunks of which it has no page.
#[derive(Default)]
struct Run {
    of: Option<(StorageKey, pg_sys::CommandId)>,
    rows: i32,
}

/// The claims of one command on rows of a chunk.
struct Page {
    key: StorageKey,
    chunk: Chunk,
    cid: pg_sys::CommandId,
    subid: pg_sys::SubTransactionId,
    shared: OwnPage,
    /// Places of which something is noted elsewhere: their rows are not to be claimed, and those that are, written down.
    noted: Bits,
    /// Places of next versions of updated rows: who deletes one looks who has the earlier ones locked.
    next_versions: Bits,
    moved: Bits,
    /// The chunk of the next versions, and their places by those of the rows.
    next: Option<(Chunk, Vec<u16>)>,
    /// Rows that could not be claimed because others had looked.
    passed: u32,
    /// How many rows have been claimed.
    rows: usize,
}

/// What came of claiming a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is not to be claimed: who changes it looks for it in the catalog, and notes it there.
    No,
    /// It is this transaction's.
    Yes,
    /// The command has changed it before.
    Before(Successor),
}

/// What came of it without looking anywhere but in own pages.
enum Tried {
    Done(Claim),
    /// It is claimed, the first one of its page.
    First,
    /// A page is to be taken.
    Take,
    /// What others have noted is to be looked at.
    Renew,
}

impl Own {
    fn page(
        &mut self,
        key: &StorageKey,
        chunk: Chunk,
        cid: pg_sys::CommandId,
    ) -> Option<&mut Page> {
        let subid = xact::current_subxact_id();
        let is_it = |page: &Page| {
            (page.chunk, page.cid, page.subid) == (chunk, cid, subid) && page.key == *key
        };
        if !self.pages.get(self.last).is_some_and(is_it) {
            self.last = self.pages.iter().position(is_it)?;
        }
        self.pages.get_mut(self.last)
    }

    fn claim(
        &mut self,
        key: &StorageKey,
        row: RowId,
        cid: pg_sys::CommandId,
        is_update: bool,
    ) -> Tried {
        let (chunk, place) = Chunk::of(row);
        let Some(page) = self.page(key, chunk, cid) else {
            let run = &mut self.run;
            if run.of != Some((*key, cid)) {
                *run = Run {
                    of: Some((*key, cid)),
                    rows: 0,
                };
            }
            run.rows = run.rows.saturating_add(1);
            return match run.rows > guc::claim_rows_after() {
                true => Tried::Take,
                false => Tried::Done(Claim::No),
            };
        };
        if page.noted.has(place) || !is_update && page.next_versions.has(place) {
            return Tried::Done(Claim::No);
        }
        match page.shared.claim(place, is_update) {
            Claimed::Yes => {
                page.rows += 1;
                match page.rows {
                    1 => Tried::First,
                    _ => Tried::Done(Claim::Yes),
                }
            }
            Claimed::Before => Tried::Done(Claim::Before(page.successor(place))),
            Claimed::Contended => {
                page.passed += 1;
                match page.passed % PATIENCE {
                    0 => Tried::Renew,
                    _ => Tried::Done(Claim::No),
                }
            }
        }
    }

    /// Takes a page out that can be written down in this subtransaction, if `is_it` says so.
    fn take_out(&mut self, is_it: impl Fn(&Page) -> bool) -> Option<Page> {
        let subid = xact::current_subxact_id();
        let index = (self.pages.iter()).position(|page| page.subid == subid && is_it(page))?;
        Some(self.pages.remove(index))
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
    let attempt = || OWN.with_borrow_mut(|own| own.claim(&key, row, cid, is_update));
    let mut tried = attempt();
    let is_ready = match tried {
        Tried::Done(_) | Tried::First => true,
        Tried::Take => take_page(rel, &key, row, cid)?,
        Tried::Renew => renew(rel, &key, row, cid)?,
    };
    if is_ready && matches!(tried, Tried::Take | Tried::Renew) {
        tried = attempt();
    }
    match tried {
        Tried::Done(claim) => Ok(claim),
        Tried::First => {
            transaction::note_changes(rel, &key)?;
            Ok(Claim::Yes)
        }
        Tried::Take | Tried::Renew => Ok(Claim::No),
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
    let full = OWN.with_borrow_mut(|own| {
        let page = own.page(key, chunk, cid)?;
        match successor {
            Successor::None => None,
            Successor::Elsewhere => {
                page.moved.set(place);
                None
            }
            Successor::Row(next) => {
                let (next, next_place) = Chunk::of(next);
                let full = match &page.next {
                    Some((chunk, _)) if *chunk != next => page.take_updated(),
                    _ => None,
                };
                let (_, places) =
                    (page.next).get_or_insert_with(|| (next, vec![NONE; Chunk::ROWS]));
                places[usize::from(place)] = next_place;
                full
            }
        }
    });
    if let Some((next, places)) = full
        && let Some(changes) = RowChangeCatalog::open_for_update()
    {
        insert_updated(&changes, key, cid, chunk, next, &places);
    }
    Ok(())
}

/// Takes a page for the chunk of a row; whether rows can be claimed now.
fn take_page(
    rel: Relation<'_>,
    key: &StorageKey,
    row: RowId,
    cid: pg_sys::CommandId,
) -> PgResult<bool> {
    let pause = || OWN.with_borrow_mut(|own| own.run.rows = -PAUSE);
    let Some(changes) = RowChangeCatalog::open_for_update().filter(RowChangeCatalog::has_sets)
    else {
        pause();
        return Ok(false);
    };
    // Those of earlier commands, which may be over; and one more if there are too many.
    while let Some(page) = OWN.with_borrow_mut(|own| own.take_out(|page| page.cid != cid)) {
        page.write_down(&changes);
    }
    if OWN.with_borrow(|own| own.pages.len()) >= PAGES {
        let Some(page) = OWN.with_borrow_mut(|own| own.take_out(|_| true)) else {
            pause();
            return Ok(false);
        };
        if page.rows < worthwhile() {
            pause();
        }
        page.write_down(&changes);
    }
    let chunk = Chunk::of(row).0;
    // SAFETY: in a transaction that writes; the process's own number.
    let (xid, owner) = unsafe { (pg_sys::GetCurrentTransactionId(), pg_sys::MyProcNumber) };
    let heading = Heading {
        key: *key,
        chunk,
        owner,
        xid,
        cid,
    };
    let Some(page) = OwnPage::take(heading) else {
        pause();
        return Ok(false);
    };
    OWN.with_borrow_mut(|own| {
        own.last = own.pages.len();
        own.pages.push(Page {
            key: *key,
            chunk,
            cid,
            subid: xact::current_subxact_id(),
            shared: page,
            noted: Bits::default(),
            next_versions: Bits::default(),
            moved: Bits::default(),
            next: None,
            passed: 0,
            rows: 0,
        });
    });
    renew(rel, key, row, cid)
}

/// Looks at what is noted of the rows in the chunk of `row`, of which there is a page; whether rows can be claimed now.
/// Not while others are about to note something.
fn renew(
    rel: Relation<'_>,
    key: &StorageKey,
    row: RowId,
    cid: pg_sys::CommandId,
) -> PgResult<bool> {
    let chunk = Chunk::of(row).0;
    let Some(changes) = RowChangeCatalog::open_for_update() else {
        return Ok(false);
    };
    let Some(latched) = LatchedChunk::try_take(rel, chunk.number()) else {
        return Ok(false);
    };
    let (mut noted, mut next_versions) = (Bits::default(), Bits::default());
    OWN.with_borrow_mut(|own| {
        for page in own.pages.iter().filter(|page| page.key == *key) {
            let is_it = (page.cid, page.subid) == (cid, xact::current_subxact_id());
            if page.chunk == chunk && !is_it {
                noted.extend(page.shared.places());
            }
            if let Some((next, places)) = &page.next
                && *next == chunk
            {
                next_versions.extend(places.iter().copied().filter(|&place| place != NONE));
            }
        }
        if let Some(page) = own.page(key, chunk, cid) {
            page.shared.renew();
        }
    });
    noted.extend(changes.noted_places(key, chunk)?);
    noted.extend(shared::places_of_others(key, chunk));
    next_versions.extend(changes.places_of_next_versions(key, chunk)?);
    OWN.with_borrow_mut(|own| {
        if let Some(page) = own.page(key, chunk, cid) {
            page.noted = noted;
            page.next_versions = next_versions;
        }
    });
    latched.release();
    Ok(true)
}

impl Page {
    /// Places of claimed rows that are not written down.
    fn places(&self) -> impl Iterator<Item = u16> {
        self.shared.places().filter(|&place| !self.noted.has(place))
    }

    fn successor(&self, place: u16) -> Successor {
        if self.moved.has(place) {
            return Successor::Elsewhere;
        }
        let next = self.next.as_ref().and_then(|(chunk, places)| {
            let next = places[usize::from(place)];
            (next != NONE).then(|| chunk.row(next))
        });
        next.map_or(Successor::None, Successor::Row)
    }

    /// Takes out the updated rows, with the chunk of their next versions: they are to be written down.
    fn take_updated(&mut self) -> Option<(Chunk, Vec<(u16, u16)>)> {
        let (chunk, next) = self.next.take()?;
        let places: Vec<(u16, u16)> = (self.places())
            .map(|place| (place, next[usize::from(place)]))
            .filter(|&(_, next)| next != NONE)
            .collect();
        self.noted.extend(places.iter().map(|&(place, _)| place));
        Some((chunk, places))
    }

    /// Writes the claims down and gives the page back.
    fn write_down(mut self, changes: &RowChangeCatalog) {
        let gone = |is_moved: bool| -> Vec<u16> {
            (self.places())
                .filter(|&place| match self.successor(place) {
                    Successor::None => !is_moved,
                    Successor::Elsewhere => is_moved,
                    Successor::Row(_) => false,
                })
                .collect()
        };
        let (deleted, moved) = (gone(false), gone(true));
        insert_gone(changes, &self, SetKind::Deleted, &deleted);
        insert_gone(changes, &self, SetKind::Moved, &moved);
        if let Some((next, places)) = self.take_updated() {
            insert_updated(changes, &self.key, self.cid, self.chunk, next, &places);
        }
        // Only now: others look here first.
        self.shared.release();
    }
}

fn worthwhile() -> usize {
    match guc::claim_rows_after() {
        0 => 1,
        _ => WORTHWHILE,
    }
}

fn insert_gone(changes: &RowChangeCatalog, page: &Page, kind: SetKind, places: &[u16]) {
    let Page {
        key, chunk, cid, ..
    } = page;
    if places.len() >= worthwhile() {
        changes.insert_set(key, &RowSet::gone(*chunk, kind, places), *cid);
        return;
    }
    let successor = match kind {
        SetKind::Moved => Successor::Elsewhere,
        _ => Successor::None,
    };
    let mark = Mark::Changed(successor, LockTupleMode::Exclusive);
    for &place in places {
        changes.insert(key, chunk.row(place), mark, *cid);
    }
}

fn insert_updated(
    changes: &RowChangeCatalog,
    key: &StorageKey,
    cid: pg_sys::CommandId,
    chunk: Chunk,
    next: Chunk,
    places: &[(u16, u16)],
) {
    if places.len() >= worthwhile() {
        for places in places.chunks(MAX_UPDATED) {
            changes.insert_set(key, &RowSet::updated(chunk, next, places), cid);
        }
        return;
    }
    for &(place, next_place) in places {
        let successor = Successor::Row(next.row(next_place));
        let mark = Mark::Changed(successor, LockTupleMode::NoKeyExclusive);
        changes.insert(key, chunk.row(place), mark, cid);
    }
}

/// Writes all claims down, before the transaction ends, but those of storages that it has dropped.
pub fn write_down(dropped: &BTreeSet<StorageKey>) -> PgResult<()> {
    if OWN.with_borrow(|own| own.pages.is_empty()) {
        return Ok(());
    }
    let Some(changes) = RowChangeCatalog::open_for_update() else {
        return Ok(());
    };
    let next = || OWN.with_borrow_mut(|own| own.take_out(|page| !dropped.contains(&page.key)));
    while let Some(page) = next() {
        page.write_down(&changes);
    }
    Ok(())
}

/// The rows of a storage that this transaction has claimed, and not written down; with `curcid`, by earlier commands.
pub fn own_rows(key: &StorageKey, curcid: Option<pg_sys::CommandId>) -> Vec<RowId> {
    OWN.with_borrow(|own| {
        (own.pages.iter())
            .filter(|page| page.key == *key && curcid.is_none_or(|curcid| page.cid < curcid))
            .flat_map(|page| page.places().map(|place| page.chunk.row(place)))
            .collect()
    })
}

/// What has become of a row that this transaction has claimed, and by which command; `None` if it has not, or if that is
/// written down.
pub fn own_mark(key: &StorageKey, row: RowId) -> Option<(Mark, pg_sys::CommandId)> {
    let (chunk, place) = Chunk::of(row);
    OWN.with_borrow(|own| {
        let mut pages = own.pages.iter();
        let page = pages.find(|page| {
            page.chunk == chunk
                && page.key == *key
                && page.shared.has(place)
                && !page.noted.has(place)
        })?;
        let successor = page.successor(place);
        let mode = match successor {
            Successor::Row(_) => LockTupleMode::NoKeyExclusive,
            Successor::None | Successor::Elsewhere => LockTupleMode::Exclusive,
        };
        Some((Mark::Changed(successor, mode), page.cid))
    })
}

/// Has FOR KEY SHARE wait for this transaction at a row that it has claimed for an update: it has locked the next
/// version, or one after that, more strongly.
pub fn keep_out_key_share(key: &StorageKey, row: RowId) {
    let (chunk, place) = Chunk::of(row);
    OWN.with_borrow(|own| {
        for page in own
            .pages
            .iter()
            .filter(|page| page.chunk == chunk && page.key == *key)
        {
            page.shared.keep_out_key_share(place);
        }
    });
}

/// Whether this transaction has claimed rows for an update.
pub fn has_updated() -> bool {
    OWN.with_borrow(|own| own.pages.iter().any(|page| page.next.is_some()))
}

/// The claimed row whose next version `row` is.
pub fn own_predecessor(key: &StorageKey, row: RowId) -> Option<RowId> {
    let (chunk, place) = Chunk::of(row);
    OWN.with_borrow(|own| {
        own.pages.iter().find_map(|page| {
            let (_, places) =
                (page.next.as_ref()).filter(|(next, _)| *next == chunk && page.key == *key)?;
            let found = (page.places()).find(|&earlier| places[usize::from(earlier)] == place)?;
            Some(page.chunk.row(found))
        })
    })
}

/// Makes what `subid` has claimed its parent's.
pub fn sub_commit(subid: pg_sys::SubTransactionId, parent: pg_sys::SubTransactionId) {
    with_own(|own| {
        for page in own.pages.iter_mut().filter(|page| page.subid == subid) {
            page.subid = parent;
        }
    });
}

/// Gives back what `subid`, which is rolled back, has claimed.
pub fn sub_abort(subid: pg_sys::SubTransactionId) {
    with_own(|own| {
        own.run = Run::default();
        for page in own.pages.extract_if(.., |page| page.subid == subid) {
            page.shared.release();
        }
    });
}

/// Gives everything back: the transaction is over.
pub fn end() {
    with_own(|own| {
        own.run = Run::default();
        for page in own.pages.drain(..) {
            page.shared.release();
        }
    });
}

/// A backend that is told to terminate may be in the middle of a change of the claims: the pages go back all the same.
fn with_own(work: impl FnOnce(&mut Own)) {
    OWN.with(|own| {
        if let Ok(mut own) = own.try_borrow_mut() {
            work(&mut own);
        }
    });
}
