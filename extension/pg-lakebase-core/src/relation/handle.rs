//! A borrowed relcache entry.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::pg_sys;

use super::{RelFileLocator, TupleDesc};

/// A relation that someone else holds open, as PostgreSQL's callbacks receive it.
#[derive(Clone, Copy)]
pub struct Relation<'a> {
    raw: NonNull<pg_sys::RelationData>,
    _open: PhantomData<&'a pg_sys::RelationData>,
}

/// `InvalidSubTransactionId`, a macro with a cast, which bindgen leaves out.
const INVALID_SUBXACT: pg_sys::SubTransactionId = 0;

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

    /// The relation's name, without its schema.
    pub fn name(self) -> String {
        // SAFETY: a NameData is always terminated within its 64 bytes.
        unsafe { CStr::from_ptr(self.form().relname.data.as_ptr()) }
            .to_string_lossy()
            .into_owned()
    }

    /// The OID of the relation's schema.
    pub fn namespace_oid(self) -> pg_sys::Oid {
        self.form().relnamespace
    }

    /// The name of the relation's schema; `None` when it is gone meanwhile.
    pub fn namespace(self) -> Option<String> {
        // SAFETY: a syscache look-up that gives a palloc'd copy or null.
        unsafe {
            let name = pg_sys::get_namespace_name(self.namespace_oid());
            if name.is_null() {
                return None;
            }
            let copy = CStr::from_ptr(name).to_string_lossy().into_owned();
            pg_sys::pfree(name.cast());
            Some(copy)
        }
    }

    /// `schema.name`, quoted where SQL needs it.
    pub fn qualified_name(self) -> String {
        let name = pgrx::spi::quote_identifier(self.name());
        match self.namespace() {
            Some(namespace) => format!("{}.{name}", pgrx::spi::quote_identifier(namespace)),
            None => name,
        }
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

    /// `pg_class.reltablespace`: zero for the database's default tablespace.
    pub fn tablespace_oid(self) -> pg_sys::Oid {
        self.form().reltablespace
    }

    /// The relation's owner.
    pub fn owner_oid(self) -> pg_sys::Oid {
        self.form().relowner
    }

    /// The table that this transient relation will replace, as ALTER TABLE and CLUSTER make them.
    pub fn rewrite_of(self) -> Option<pg_sys::Oid> {
        Some(self.form().relrewrite).filter(|oid| *oid != pg_sys::InvalidOid)
    }

    /// `pg_class.relpages` and `pg_class.reltuples`, as the last VACUUM or ANALYZE left them;
    /// `reltuples` is -1 when neither ever ran.
    pub fn statistics(self) -> (i32, f32) {
        (self.form().relpages, self.form().reltuples)
    }

    /// Whether the table is a temporary one.
    pub fn is_temp(self) -> bool {
        self.persistence() == Persistence::Temporary
    }

    /// Whether the table is a temporary one of another session (`RELATION_IS_OTHER_TEMP`).
    pub fn is_other_temp(self) -> bool {
        self.is_temp() && !self.data().rd_islocaltemp
    }

    /// `pg_class.relispopulated`: false for a materialised view made WITH NO DATA.
    pub fn is_populated(self) -> bool {
        self.form().relispopulated
    }

    /// Whether the table is a partition.
    pub fn is_partition(self) -> bool {
        self.form().relispartition
    }

    /// The subtransaction that created the relation, when that is in the present transaction.
    pub fn created_subid(self) -> Option<pg_sys::SubTransactionId> {
        Some(self.data().rd_createSubid).filter(|id| *id != INVALID_SUBXACT)
    }

    /// The subtransaction that gave the relation its present storage, if that is of this
    /// transaction (`rd_newRelfilelocatorSubid`).
    pub fn new_relfilelocator_subid(self) -> Option<pg_sys::SubTransactionId> {
        Some(self.data().rd_newRelfilelocatorSubid).filter(|id| *id != INVALID_SUBXACT)
    }

    /// The first subtransaction of this transaction that gave the relation new storage
    /// (`rd_firstRelfilelocatorSubid`).
    pub fn first_relfilelocator_subid(self) -> Option<pg_sys::SubTransactionId> {
        Some(self.data().rd_firstRelfilelocatorSubid).filter(|id| *id != INVALID_SUBXACT)
    }

    /// `RelationNeedsWAL`: whether changes of the relation must be WAL-logged now.
    pub fn needs_wal(self) -> bool {
        // SAFETY: reading a setting that is fixed while the server runs.
        let wal_level = unsafe { pg_sys::wal_level };
        self.persistence() == Persistence::Permanent
            && (wal_level >= pg_sys::WalLevel::WAL_LEVEL_REPLICA as i32
                || (self.created_subid().is_none() && self.first_relfilelocator_subid().is_none()))
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
