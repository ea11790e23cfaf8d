//! The shape of rows.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::pg_sys;

use super::name_text;

/// A borrowed tuple descriptor.
#[derive(Clone, Copy)]
pub struct TupleDesc<'a> {
    raw: NonNull<pg_sys::TupleDescData>,
    _owner: PhantomData<&'a pg_sys::TupleDescData>,
}

/// A column, as `pg_attribute` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Column number, from 1.
    pub num: i16,
    /// Column name, as [`name_text`] has it.
    pub name: String,
    /// Type OID; zero when dropped.
    pub type_oid: pg_sys::Oid,
    /// Type modifier, -1 when none.
    pub typmod: i32,
    /// Collation OID, zero when none.
    pub collation: pg_sys::Oid,
    /// Whether the column was dropped.
    pub is_dropped: bool,
    /// Whether the column is declared NOT NULL.
    pub not_null: bool,
    /// Whether the column is generated.
    pub generated: bool,
    /// Declared array dimensions (`attndims`); not enforced by PostgreSQL.
    pub ndims: i16,
    /// Whether rows written before the column was added take a default from the catalog
    /// (`atthasmissing`).
    pub has_missing: bool,
}

impl<'a> TupleDesc<'a> {
    /// Borrows a tuple descriptor.
    ///
    /// # Safety
    ///
    /// `raw` is valid and unchanged for all of `'a`.
    #[inline]
    pub unsafe fn from_raw(raw: pg_sys::TupleDesc) -> Self {
        debug_assert!(!raw.is_null());
        Self {
            // SAFETY: the caller says that the pointer is valid.
            raw: unsafe { NonNull::new_unchecked(raw) },
            _owner: PhantomData,
        }
    }

    /// The C pointer.
    #[inline]
    pub fn as_ptr(self) -> pg_sys::TupleDesc {
        self.raw.as_ptr()
    }

    /// The number of columns, dropped ones included.
    #[inline]
    pub fn natts(self) -> usize {
        // SAFETY: valid for 'a by the contract of `from_raw`.
        usize::try_from(unsafe { self.raw.as_ref() }.natts).unwrap_or(0)
    }

    /// The composite type of the rows, and its type modifier.
    pub fn row_type(self) -> (pg_sys::Oid, i32) {
        // SAFETY: valid for 'a by the contract of `from_raw`.
        let data = unsafe { self.raw.as_ref() };
        (data.tdtypeid, data.tdtypmod)
    }

    /// The columns as PostgreSQL holds them.
    #[inline]
    pub fn raw_attributes(self) -> &'a [pg_sys::FormData_pg_attribute] {
        // SAFETY: `attrs` holds `natts` elements right behind the header, for all of 'a.
        unsafe { (*self.raw.as_ptr()).attrs.as_slice(self.natts()) }
    }

    /// Whether rows have the same columns, of the same types, whatever their names are.
    pub fn has_columns_of(self, other: Self) -> bool {
        let shape = |descriptor: Self| {
            let attributes = descriptor.raw_attributes().iter();
            attributes.map(|column| (column.attisdropped, column.atttypid, column.atttypmod))
        };
        self.raw == other.raw || shape(self).eq(shape(other))
    }

    /// Column `index`, from 0; `None` past the end.
    pub fn attribute(self, index: usize) -> Option<Attribute> {
        self.raw_attributes().get(index).map(Attribute::from_raw)
    }

    /// What rows written before column `index`, from 0, was added have in it; `None` if that is NULL. It is there as long as
    /// the process (`getmissingattr`).
    pub fn missing_value(self, index: usize) -> Option<pg_sys::Datum> {
        if !self.raw_attributes().get(index)?.atthasmissing {
            return None;
        }
        let number = i32::try_from(index).ok()? + 1;
        let mut is_null = true;
        // SAFETY: valid for 'a, with a column of this number.
        let value = unsafe { pg_sys::getmissingattr(self.as_ptr(), number, &raw mut is_null) };
        (!is_null).then_some(value)
    }

    /// All columns, dropped ones included.
    pub fn attributes(self) -> impl Iterator<Item = Attribute> + 'a {
        self.raw_attributes().iter().map(Attribute::from_raw)
    }
}

impl Attribute {
    /// Copies a column's description.
    pub fn from_raw(raw: &pg_sys::FormData_pg_attribute) -> Self {
        Self {
            num: raw.attnum,
            // SAFETY: a NameData is always terminated within its 64 bytes.
            name: name_text(unsafe { CStr::from_ptr(raw.attname.data.as_ptr()) }),
            type_oid: raw.atttypid,
            typmod: raw.atttypmod,
            collation: raw.attcollation,
            is_dropped: raw.attisdropped,
            not_null: raw.attnotnull,
            generated: raw.attgenerated != 0,
            ndims: raw.attndims,
            has_missing: raw.atthasmissing,
        }
    }
}
