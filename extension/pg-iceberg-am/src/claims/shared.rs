//! Pages of claims in shared memory, for others to look at.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use pg_lakebase_core::shmem::{SharedZeros, Zeroed};
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init};

use crate::directory::StorageKey;
use crate::row_id::{Chunk, RowId};

/// Pages, of 8 kB each.
const PAGES: usize = 512;
const WORDS: usize = Chunk::ROWS / 64;

// SAFETY: no other lock has the name.
static TABLE: PgLwLock<Table> = unsafe { PgLwLock::new(c"pg_iceberg_claims") };
static SHARED: Zeroed<Shared> = Zeroed::new(c"pg_iceberg_claimed_rows");

/// What a page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    pub key: StorageKey,
    pub chunk: Chunk,
    /// Whose it is.
    pub owner: pg_sys::ProcNumber,
    /// The (sub)transaction.
    pub xid: pg_sys::TransactionId,
    pub cid: pg_sys::CommandId,
}

/// Which pages are in use.
struct Table {
    pages: [Option<Heading>; PAGES],
    /// Pages from here on are not.
    end: usize,
}

// SAFETY: plain data.
unsafe impl PGRXSharedMemory for Table {}

impl Default for Table {
    fn default() -> Self {
        Self {
            pages: [None; PAGES],
            end: 0,
        }
    }
}

struct Shared {
    /// How many pages are in use. It grows before whoever has the page looks at what others have noted.
    in_use: AtomicU32,
    pages: [Page; PAGES],
}

// SAFETY: atomics.
unsafe impl SharedZeros for Shared {}

/// The rows of a chunk that a command has claimed. All is read and written under `lock`, but by the owner, who alone
/// claims rows.
struct Page {
    lock: AtomicBool,
    /// Whether others have looked for a row of the chunk since it was last cleared: they may have noted something.
    is_contended: AtomicBool,
    claimed: [AtomicU64; WORDS],
    /// Those for which FOR KEY SHARE does not wait.
    updated: [AtomicU64; WORDS],
}

impl Page {
    /// Runs `work`, which is a matter of some instructions, without others who do so.
    fn locked<T>(&self, work: impl FnOnce(&Self) -> T) -> T {
        while self.lock.swap(true, Ordering::Acquire) {
            while self.lock.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        }
        let done = work(self);
        self.lock.store(false, Ordering::Release);
        done
    }

    /// Until its owner has looked, nothing can be claimed.
    fn clear(&self) {
        self.is_contended.store(true, Ordering::Relaxed);
        for word in self.claimed.iter().chain(&self.updated) {
            word.store(0, Ordering::Relaxed);
        }
    }
}

fn has(words: &[AtomicU64; WORDS], place: u16) -> bool {
    let word = words[usize::from(place / 64)].load(Ordering::Relaxed);
    word & (1 << (place % 64)) != 0
}

fn set(words: &[AtomicU64; WORDS], place: u16) {
    words[usize::from(place / 64)].fetch_or(1 << (place % 64), Ordering::Relaxed);
}

fn places(words: &[AtomicU64; WORDS]) -> impl Iterator<Item = u16> {
    words.iter().enumerate().flat_map(|(index, word)| {
        let mut left = word.load(Ordering::Relaxed);
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            Some((index * 64) as u16 + bit as u16)
        })
    })
}

/// Asks for shared memory; called once, from `_PG_init`.
#[expect(
    unexpected_cfgs,
    reason = "pgrx's macro asks for versions of PostgreSQL by features"
)]
pub fn register() {
    pg_shmem_init!(TABLE = Table::default());
    SHARED.register();
}

/// What came of claiming a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is claimed.
    Yes,
    /// It was claimed before.
    Before,
    /// Others have looked at rows of the chunk; nothing was done.
    Contended,
}

/// A page of this process's own.
pub struct OwnPage {
    index: usize,
    page: &'static Page,
}

impl OwnPage {
    /// Takes a page, which others see at once; `None` if there is none left.
    pub fn take(heading: Heading) -> Option<Self> {
        let shared = SHARED.get()?;
        let mut table = TABLE.exclusive();
        let index = table.pages.iter().position(Option::is_none)?;
        let page = &shared.pages[index];
        page.clear();
        table.pages[index] = Some(heading);
        table.end = table.end.max(index + 1);
        shared.in_use.fetch_add(1, Ordering::SeqCst);
        Some(Self { index, page })
    }

    /// Claims the row at a place, unless others may have noted something of it.
    pub fn claim(&self, place: u16, is_update: bool) -> Claimed {
        self.page.locked(|page| {
            if page.is_contended.load(Ordering::Relaxed) {
                return Claimed::Contended;
            }
            if has(&page.claimed, place) {
                return Claimed::Before;
            }
            set(&page.claimed, place);
            if is_update {
                set(&page.updated, place);
            }
            Claimed::Yes
        })
    }

    /// Whether the row at a place is claimed.
    pub fn has(&self, place: u16) -> bool {
        has(&self.page.claimed, place)
    }

    /// Has this process look as well before it claims another row.
    pub fn contend(&self) {
        self.page
            .locked(|page| page.is_contended.store(true, Ordering::Relaxed));
    }

    /// The places that are claimed, in their order.
    pub fn places(&self) -> impl Iterator<Item = u16> {
        places(&self.page.claimed)
    }

    /// Says that this process is about to look at what others have noted of the chunk's rows, which none of them does
    /// meanwhile.
    pub fn renew(&self) {
        self.page
            .locked(|page| page.is_contended.store(false, Ordering::Relaxed));
    }

    /// Gives the page back.
    pub fn release(self) {
        let mut table = TABLE.exclusive();
        table.pages[self.index] = None;
        while table.end > 0 && table.pages[table.end - 1].is_none() {
            table.end -= 1;
        }
        if let Some(shared) = SHARED.get() {
            shared.in_use.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Who of others has claimed a row, and whether for an update. From now on they look before they claim another row of
/// its chunk.
pub fn claims_of_others(key: &StorageKey, row: RowId) -> Vec<(pg_sys::TransactionId, bool)> {
    let (chunk, place) = Chunk::of(row);
    let mut found = Vec::new();
    each_of_others(key, Some(chunk), |heading, page| {
        page.locked(|page| {
            page.is_contended.store(true, Ordering::Relaxed);
            if has(&page.claimed, place) {
                found.push((heading.xid, has(&page.updated, place)));
            }
        });
    });
    found
}

/// The places in a chunk that others have claimed, in no order. From now on they look before they claim another one.
pub fn places_of_others(key: &StorageKey, chunk: Chunk) -> Vec<u16> {
    let mut found = Vec::new();
    each_of_others(key, Some(chunk), |_, page| {
        page.locked(|page| page.is_contended.store(true, Ordering::Relaxed));
        // What comes after is claimed by looking first.
        found.extend(places(&page.claimed));
    });
    found
}

/// Others who have claimed rows of a storage.
pub fn others(key: &StorageKey) -> Vec<pg_sys::TransactionId> {
    let mut found = Vec::new();
    each_of_others(key, None, |heading, _| found.push(heading.xid));
    found
}

/// In a parallel worker: the rows that its leader has claimed before the command `curcid`.
pub fn rows_of_leader(key: &StorageKey, curcid: pg_sys::CommandId) -> Vec<RowId> {
    // SAFETY: a number that the worker got when it began.
    let leader = unsafe { pg_sys::ParallelLeaderProcNumber };
    let mut found = Vec::new();
    each_of_others(key, None, |heading, page| {
        // SAFETY: a transaction id is looked up among those that the leader has told.
        let is_current = || unsafe { pg_sys::TransactionIdIsCurrentTransactionId(heading.xid) };
        if heading.owner == leader && heading.cid < curcid && is_current() {
            found.extend(places(&page.claimed).map(|place| heading.chunk.row(place)));
        }
    });
    found
}

fn each_of_others(key: &StorageKey, chunk: Option<Chunk>, mut work: impl FnMut(&Heading, &Page)) {
    let Some(shared) = SHARED.get() else {
        return;
    };
    if shared.in_use.load(Ordering::SeqCst) == 0 {
        return;
    }
    // SAFETY: the process's own number.
    let me = unsafe { pg_sys::MyProcNumber };
    let table = TABLE.share();
    for (index, heading) in table.pages[..table.end].iter().enumerate() {
        if let Some(heading) = heading
            && heading.key == *key
            && chunk.is_none_or(|chunk| heading.chunk == chunk)
            && heading.owner != me
        {
            work(heading, &shared.pages[index]);
        }
    }
}
