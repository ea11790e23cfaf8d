//! A borrowed relcache entry.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::pg_sys;

use super::{LockMode, RelFileLocator, TupleDesc, name_text};

/// A relation that someone else holds open, as PostgreSQL's callbacks receive it.
#[derive(Clone, Copy)]
pub struct Relation<'a> {
    raw: NonNull<pg_sys::RelationData>,
    _open: PhantomData<&'a pg_sys::RelationData>,
}

/// `pg_class.relpersistence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Persistence {
    /// WAL-logged, survives everything.
    Permanent,
    /// Not WAL-logged, reset by crash recovery.
    Unlogged,
    /// Seen by one session only.
    Temporary,
}

impl Persistence {
    /// From `pg_class.relpersistence`; what is unknown counts as permanent, the safest.
    pub const fn from_char(persistence: std::ffi::c_char) -> Self {
        match persistence as u8 {
            pg_sys::RELPERSISTENCE_TEMP => Self::Temporary,
            pg_sys::RELPERSISTENCE_UNLOGGED => Self::Unlogged,
            _ => Self::Permanent,
        }
    }

    /// The character in `pg_class.relpersistence`.
    pub const fn as_char(self) -> std::ffi::c_char {
        (match self {
            Self::Permanent => pg_sys::RELPERSISTENCE_PERMANENT,
            Self::Unlogged => pg_sys::RELPERSISTENCE_UNLOGGED,
            Self::Temporary => pg_sys::RELPERSISTENCE_TEMP,
        }) as std::ffi::c_char
    }
}

/// `pg_class.relkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RelationKind {
    Table,
    MaterializedView,
    PartitionedTable,
    Toast,
    Index,
    PartitionedIndex,
    Sequence,
    View,
    CompositeType,
    ForeignTable,
    /// A kind that this version of the framework does not know.
    Other(u8),
}

impl RelationKind {
    /// From `pg_class.relkind`.
    pub const fn from_char(kind: std::ffi::c_char) -> Self {
        match kind as u8 {
            pg_sys::RELKIND_RELATION => Self::Table,
            pg_sys::RELKIND_MATVIEW => Self::MaterializedView,
            pg_sys::RELKIND_PARTITIONED_TABLE => Self::PartitionedTable,
            pg_sys::RELKIND_TOASTVALUE => Self::Toast,
            pg_sys::RELKIND_INDEX => Self::Index,
            pg_sys::RELKIND_PARTITIONED_INDEX => Self::PartitionedIndex,
            pg_sys::RELKIND_SEQUENCE => Self::Sequence,
            pg_sys::RELKIND_VIEW => Self::View,
            pg_sys::RELKIND_COMPOSITE_TYPE => Self::CompositeType,
            pg_sys::RELKIND_FOREIGN_TABLE => Self::ForeignTable,
            other => Self::Other(other),
        }
    }
}

impl<'a> Relation<'a> {
    /// Borrows a relcache entry.
    ///
    /// # Safety
    ///
    /// `raw` is a valid, open relation for all of `'a`: its reference count stays above zero.
    ///
    /// # Panics
    ///
    /// Never; a null pointer is undefined behaviour as any invalid one.
    #[inline]
    pub unsafe fn from_raw(raw: pg_sys::Relation) -> Self {
        debug_assert!(!raw.is_null());
        Self {
            // SAFETY: the caller says that the pointer is valid.
            raw: unsafe { NonNull::new_unchecked(raw) },
            _open: PhantomData,
        }
    }

    /// Borrows a relcache entry that may be absent.
    ///
    /// # Safety
    ///
    /// `raw` is null or as for [`Relation::from_raw`].
    #[inline]
    pub unsafe fn from_nullable(raw: pg_sys::Relation) -> Option<Self> {
        NonNull::new(raw).map(|raw| Self {
            raw,
            _open: PhantomData,
        })
    }

    /// The C pointer.
    #[inline]
    pub fn as_ptr(self) -> pg_sys::Relation {
        self.raw.as_ptr()
    }

    #[inline]
    fn data(&self) -> &pg_sys::RelationData {
        // SAFETY: valid for 'a by the contract of `from_raw`.
        unsafe { self.raw.as_ref() }
    }

    #[inline]
    fn form(&self) -> &pg_sys::FormData_pg_class {
        // SAFETY: an open relation always has its pg_class form.
        unsafe { &*self.data().rd_rel }
    }

    /// The relation's OID.
    #[inline]
    pub fn oid(self) -> pg_sys::Oid {
        self.data().rd_id
    }

    /// The relation's name, without its schema, as [`name_text`] has it.
    pub fn name(self) -> String {
        // SAFETY: a NameData is always terminated within its 64 bytes.
        name_text(unsafe { CStr::from_ptr(self.form().relname.data.as_ptr()) })
    }

    /// The relation's name, without its schema, in the server's encoding.
    pub fn raw_name(self) -> &'a CStr {
        // SAFETY: as above; the form stays as long as the relation is open.
        unsafe { CStr::from_ptr((*self.data().rd_rel).relname.data.as_ptr()) }
    }

    /// Where the relation's storage is at present.
    #[inline]
    pub fn locator(self) -> RelFileLocator {
        RelFileLocator::from_raw(self.data().rd_locator)
    }

    /// `pg_class.relpersistence`.
    pub fn persistence(self) -> Persistence {
        Persistence::from_char(self.form().relpersistence)
    }

    /// `pg_class.relkind`.
    pub fn kind(self) -> RelationKind {
        RelationKind::from_char(self.form().relkind)
    }

    /// The OID of the relation's access method.
    pub fn am_oid(self) -> pg_sys::Oid {
        self.form().relam
    }

    /// `pg_class.relpages` and `pg_class.reltuples`, as the last VACUUM or ANALYZE left them;
    /// `reltuples` is -1 when neither ever ran.
    pub fn statistics(self) -> (i32, f32) {
        (self.form().relpages, self.form().reltuples)
    }

    /// Whether this transaction made the relation (`rd_createSubid`).
    pub fn is_new(self) -> bool {
        // `InvalidSubTransactionId` is 0.
        self.data().rd_createSubid != 0
    }

    /// The table that this transient relation will replace, as ALTER TABLE and CLUSTER make them.
    pub fn rewrite_of(self) -> Option<pg_sys::Oid> {
        Some(self.form().relrewrite).filter(|oid| *oid != pg_sys::InvalidOid)
    }

    /// Whether this session has a lock on it at least as strong as `mode`.
    pub fn is_locked_by_me(self, mode: LockMode) -> bool {
        // SAFETY: looks into the session's own locks.
        unsafe { pg_sys::CheckRelationLockedByMe(self.as_ptr(), mode.to_raw(), true) }
    }

    /// Whether autovacuum is to look after it: the option `autovacuum_enabled` of a table or materialised view.
    pub fn is_autovacuum_enabled(self) -> bool {
        // SAFETY: the options of such a relation are of this type (`heap_reloptions`), and null if none is set.
        unsafe {
            let options = self.data().rd_options.cast::<pg_sys::StdRdOptions>();
            options.is_null() || (*options).autovacuum.enabled
        }
    }

    /// The shape of the relation's rows.
    #[inline]
    pub fn tuple_desc(self) -> TupleDesc<'a> {
        // SAFETY: an open relation has a tuple descriptor, which its reference count keeps as well.
        unsafe { TupleDesc::from_raw(self.data().rd_att) }
    }
}

impl std::fmt::Debug for Relation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Relation({} {})", u32::from(self.oid()), self.name())
    }
}
