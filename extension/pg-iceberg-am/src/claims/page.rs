//! The claims of one command on rows of a chunk.

use pg_lakebase_core::table_am::LockTupleMode;
use pgrx::pg_sys;

use super::bits::Bits;
use super::shared::{Claimed, OwnPage};
use crate::catalog::{MAX_UPDATED, Mark, RowChangeCatalog, RowSet, SetKind, Successor};
use crate::directory::StorageKey;
use crate::guc;
use crate::row_id::{Chunk, RowId};

/// Fewer rows than this are noted one by one, unless all rows are to be claimed.
const WORTHWHILE: usize = 16;
/// What has no next version, or none yet.
const NONE: u16 = u16::MAX;

/// Whose claims those of a page are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub key: StorageKey,
    pub chunk: Chunk,
    pub cid: pg_sys::CommandId,
    pub subid: pg_sys::SubTransactionId,
}

/// The claims of one command on rows of a chunk, with what has become of the rows.
pub struct Page {
    pub owner: Owner,
    shared: OwnPage,
    /// Places of rows that are not to be claimed: something is noted of them elsewhere, or may be.
    closed: Bits,
    /// Places of next versions of updated rows, where earlier ones may be locked: who deletes one looks for that.
    next_versions: Bits,
    moved: Bits,
    /// The chunk of the next versions, and their places by those of the rows.
    next: Option<(Chunk, Vec<u16>)>,
    /// Places of claimed rows that are written down.
    written: Bits,
    /// Whether this transaction has had another page of the chunk as well.
    pub has_twin: bool,
    /// Rows that could not be claimed because others had looked.
    pub passed: u32,
    /// How many rows have been claimed.
    pub rows: usize,
}

/// What is written down of a page.
pub struct Told {
    owner: Owner,
    deleted: Vec<u16>,
    moved: Vec<u16>,
    updated: Option<(Chunk, Vec<(u16, u16)>)>,
}

impl Page {
    pub fn new(owner: Owner, shared: OwnPage) -> Self {
        Self {
            owner,
            shared,
            closed: Bits::default(),
            next_versions: Bits::default(),
            moved: Bits::default(),
            next: None,
            written: Bits::default(),
            has_twin: false,
            passed: 0,
            rows: 0,
        }
    }

    /// Claims the row at a place; `None` if it is not to be claimed.
    pub fn claim(&mut self, place: u16, is_update: bool) -> Option<Claimed> {
        if self.closed.has(place) || !is_update && self.next_versions.has(place) {
            return None;
        }
        let claimed = self.shared.claim(place, is_update);
        self.rows += usize::from(claimed == Claimed::Yes);
        Some(claimed)
    }

    /// Says what has become of a claimed row. What is given back is to be written down: the page has no place for it any
    /// more.
    pub fn note(&mut self, place: u16, successor: Successor) -> Option<Told> {
        match successor {
            Successor::None => None,
            Successor::Elsewhere => {
                self.moved.set(place);
                None
            }
            Successor::Row(next) => {
                let (next, next_place) = Chunk::of(next);
                let full = (self.next.as_ref()).is_some_and(|(chunk, _)| *chunk != next);
                let told = full.then(|| Told {
                    owner: self.owner,
                    deleted: Vec::new(),
                    moved: Vec::new(),
                    updated: self.updated(),
                });
                if let Some((_, updated)) = told.as_ref().and_then(|told| told.updated.as_ref()) {
                    self.written.extend(updated.iter().map(|&(place, _)| place));
                    self.next = None;
                }
                let (_, places) =
                    (self.next).get_or_insert_with(|| (next, vec![NONE; Chunk::ROWS]));
                places[usize::from(place)] = next_place;
                told
            }
        }
    }

    /// The claims that are not written down.
    pub fn told(&self) -> Told {
        let gone = |successor| {
            (self.places())
                .filter(|&place| self.successor(place) == successor)
                .collect()
        };
        Told {
            owner: self.owner,
            deleted: gone(Successor::None),
            moved: gone(Successor::Elsewhere),
            updated: self.updated(),
        }
    }

    fn updated(&self) -> Option<(Chunk, Vec<(u16, u16)>)> {
        let (chunk, next) = self.next.as_ref()?;
        let places = (self.places())
            .map(|place| (place, next[usize::from(place)]))
            .filter(|&(_, next)| next != NONE);
        Some((*chunk, places.collect()))
    }

    /// Has the command look before it claims another row.
    pub fn contend(&self) {
        self.shared.contend();
    }

    /// Has the command never claim the row at a place.
    pub fn close(&mut self, place: u16) {
        self.closed.set(place);
    }

    /// The command is about to look at what is noted elsewhere.
    pub fn renew(&self) {
        self.shared.renew();
    }

    /// What it has found.
    pub fn renewed(&mut self, closed: Bits, next_versions: Bits) {
        self.closed = closed;
        self.next_versions = next_versions;
    }

    /// Places of claimed rows that are not written down.
    fn places(&self) -> impl Iterator<Item = u16> {
        let claimed = self.shared.places();
        claimed.filter(|&place| !self.written.has(place))
    }

    /// Places of all claimed rows.
    pub fn claimed(&self) -> impl Iterator<Item = u16> {
        self.shared.places()
    }

    /// Claimed rows that are not written down.
    pub fn claimed_rows(&self) -> impl Iterator<Item = RowId> {
        self.places().map(|place| self.owner.chunk.row(place))
    }

    /// What has become of a claimed row that is not written down.
    pub fn mark(&self, place: u16) -> Option<Mark> {
        if !self.shared.has(place) || self.written.has(place) {
            return None;
        }
        let successor = self.successor(place);
        let mode = match successor {
            Successor::Row(_) => LockTupleMode::NoKeyExclusive,
            Successor::None | Successor::Elsewhere => LockTupleMode::Exclusive,
        };
        Some(Mark::Changed(successor, mode))
    }

    pub fn successor(&self, place: u16) -> Successor {
        if self.moved.has(place) {
            return Successor::Elsewhere;
        }
        let next = self.next.as_ref().and_then(|(chunk, places)| {
            let next = places[usize::from(place)];
            (next != NONE).then(|| chunk.row(next))
        });
        next.map_or(Successor::None, Successor::Row)
    }

    /// Whether any row was updated.
    pub fn has_updated(&self) -> bool {
        self.next.is_some()
    }

    /// The claimed row whose next version is at a place of a chunk.
    pub fn predecessor_of(&self, chunk: Chunk, place: u16) -> Option<RowId> {
        let (_, places) = self.next.as_ref().filter(|(next, _)| *next == chunk)?;
        let found = (self.places()).find(|&earlier| places[usize::from(earlier)] == place)?;
        Some(self.owner.chunk.row(found))
    }

    /// The places of next versions that are in a chunk.
    pub fn next_versions_in(&self, chunk: Chunk) -> impl Iterator<Item = u16> {
        let places = self.next.as_ref().filter(|(next, _)| *next == chunk);
        let places = places.map_or(&[][..], |(_, places)| places);
        places.iter().copied().filter(|&place| place != NONE)
    }

    /// Gives the page back.
    pub fn release(self) {
        self.shared.release();
    }
}

impl Told {
    /// Writes it down.
    pub fn write_down(&self, changes: &RowChangeCatalog) {
        let Owner {
            key, chunk, cid, ..
        } = self.owner;
        let one = |place, successor, mode| {
            changes.insert(&key, chunk.row(place), Mark::Changed(successor, mode), cid);
        };
        for (places, kind, successor) in [
            (&self.deleted, SetKind::Deleted, Successor::None),
            (&self.moved, SetKind::Moved, Successor::Elsewhere),
        ] {
            if places.len() >= worthwhile() {
                changes.insert_set(&key, &RowSet::gone(chunk, kind, places), cid);
            } else {
                for &place in places {
                    one(place, successor, LockTupleMode::Exclusive);
                }
            }
        }
        let Some((next, places)) = &self.updated else {
            return;
        };
        if places.len() >= worthwhile() {
            for places in places.chunks(MAX_UPDATED) {
                changes.insert_set(&key, &RowSet::updated(chunk, *next, places), cid);
            }
        } else {
            for &(place, next_place) in places {
                let successor = Successor::Row(next.row(next_place));
                one(place, successor, LockTupleMode::NoKeyExclusive);
            }
        }
    }
}

/// So many rows are worth a set, and a page.
pub fn worthwhile() -> usize {
    match guc::claim_rows_after() {
        0 => 1,
        _ => WORTHWHILE,
    }
}
