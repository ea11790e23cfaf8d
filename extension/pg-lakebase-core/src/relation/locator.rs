//! Where a relation's storage lies.

use pgrx::pg_sys;

/// PostgreSQL's `RelFileLocator`: tablespace, database and relation file number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RelFileLocator {
    /// The tablespace's OID, never zero.
    pub spc_oid: pg_sys::Oid,
    /// The database's OID; zero for shared relations.
    pub db_oid: pg_sys::Oid,
    /// The relation file number.
    pub rel_number: pg_sys::Oid,
}

impl RelFileLocator {
    /// From the C struct.
    #[inline]
    pub const fn from_raw(raw: pg_sys::RelFileLocator) -> Self {
        Self {
            spc_oid: raw.spcOid,
            db_oid: raw.dbOid,
            rel_number: raw.relNumber,
        }
    }

    /// To the C struct.
    #[inline]
    pub const fn to_raw(self) -> pg_sys::RelFileLocator {
        pg_sys::RelFileLocator {
            spcOid: self.spc_oid,
            dbOid: self.db_oid,
            relNumber: self.rel_number,
        }
    }
}

/// PostgreSQL's `ForkNumber`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ForkNumber {
    /// The data itself.
    Main,
    /// The free space map.
    FreeSpaceMap,
    /// The visibility map.
    VisibilityMap,
    /// The initialisation fork of an unlogged relation.
    Init,
    /// `InvalidForkNumber`, by which size functions mean all forks together.
    All,
}

impl ForkNumber {
    /// From the C number.
    pub const fn from_raw(raw: pg_sys::ForkNumber::Type) -> Self {
        match raw {
            pg_sys::ForkNumber::MAIN_FORKNUM => Self::Main,
            pg_sys::ForkNumber::FSM_FORKNUM => Self::FreeSpaceMap,
            pg_sys::ForkNumber::VISIBILITYMAP_FORKNUM => Self::VisibilityMap,
            pg_sys::ForkNumber::INIT_FORKNUM => Self::Init,
            _ => Self::All,
        }
    }
}
