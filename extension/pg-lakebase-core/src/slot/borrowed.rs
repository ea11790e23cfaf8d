//! Slots that PostgreSQL passes to callbacks.

use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::pg_sys;

use super::{SlotKind, Tid};

/// A slot that someone else owns, as PostgreSQL's callbacks receive it.
pub struct Slot<'a> {
    raw: NonNull<pg_sys::TupleTableSlot>,
    _owner: PhantomData<&'a mut pg_sys::TupleTableSlot>,
}

impl<'a> Slot<'a> {
    /// Borrows a slot.
    ///
    /// # Safety
    ///
    /// `raw` is a valid slot with a tuple descriptor for all of `'a`, and nobody else uses it
    /// meanwhile.
    #[inline]
    pub unsafe fn from_raw(raw: *mut pg_sys::TupleTableSlot) -> Self {
        debug_assert!(!raw.is_null());
        Self {
            // SAFETY: the caller says that the pointer is valid.
            raw: unsafe { NonNull::new_unchecked(raw) },
            _owner: PhantomData,
        }
    }

    /// The C pointer.
    #[inline]
    pub fn as_ptr(&self) -> *mut pg_sys::TupleTableSlot {
        self.raw.as_ptr()
    }

    #[inline]
    fn data(&self) -> &pg_sys::TupleTableSlot {
        // SAFETY: valid for 'a by the contract of `from_raw`.
        unsafe { self.raw.as_ref() }
    }

    #[inline]
    fn data_mut(&mut self) -> &mut pg_sys::TupleTableSlot {
        // SAFETY: valid and ours alone for 'a by the contract of `from_raw`.
        unsafe { self.raw.as_mut() }
    }

    /// The shape of the slot's tuples.
    #[inline]
    pub fn tuple_desc(&self) -> crate::relation::TupleDesc<'_> {
        // SAFETY: slots of the executor have a descriptor, which they keep a reference of.
        unsafe { crate::relation::TupleDesc::from_raw(self.data().tts_tupleDescriptor) }
    }

    /// The number of columns.
    #[inline]
    pub fn natts(&self) -> usize {
        // SAFETY: slots of the executor have a descriptor.
        let natts = unsafe { (*self.data().tts_tupleDescriptor).natts };
        usize::try_from(natts).unwrap_or(0)
    }

    /// Whether the slot holds no tuple.
    #[inline]
    pub fn is_empty(&self) -> bool {
        u32::from(self.data().tts_flags) & pg_sys::TTS_FLAG_EMPTY != 0
    }

    /// Whether the slot is of a virtual kind.
    #[inline]
    pub fn is_virtual(&self) -> bool {
        let ops = self.data().tts_ops;
        std::ptr::eq(ops, SlotKind::VirtualWithTid.as_ptr())
            || std::ptr::eq(ops, SlotKind::Virtual.as_ptr())
    }

    /// Empties the slot (`ExecClearTuple`).
    #[inline]
    pub fn clear(&mut self) {
        let raw = self.as_ptr();
        if self.is_virtual() {
            // SAFETY: `tts_virtual_clear` frees a copy and resets fields; it cannot raise, so that
            // the call needs no guard. Every slot kind has the callback.
            unsafe {
                if let Some(clear) = (*self.data().tts_ops).clear {
                    clear(raw);
                }
            }
        } else {
            // SAFETY: the slot is valid; the call is guarded.
            unsafe {
                pg_sys::ExecClearTuple(raw);
            }
        }
    }

    /// The slot's column arrays, to be filled after [`Slot::clear`] and before
    /// [`Slot::store_virtual`]. What the datums point to has to live until the slot is cleared.
    #[inline]
    pub fn columns_mut(&mut self) -> (&mut [pg_sys::Datum], &mut [bool]) {
        let natts = self.natts();
        let data = self.data_mut();
        // SAFETY: a slot with a descriptor has both arrays, of `natts` elements each.
        unsafe {
            (
                std::slice::from_raw_parts_mut(data.tts_values, natts),
                std::slice::from_raw_parts_mut(data.tts_isnull, natts),
            )
        }
    }

    /// Declares the filled column arrays to be the slot's tuple (`ExecStoreVirtualTuple`).
    #[inline]
    pub fn store_virtual(&mut self) {
        let natts = self.natts();
        let data = self.data_mut();
        data.tts_flags &= !(pg_sys::TTS_FLAG_EMPTY as u16);
        data.tts_nvalid = natts as pg_sys::AttrNumber;
    }

    /// All columns, deformed (`slot_getallattrs`). Not for empty slots.
    #[inline]
    pub fn load_all(&mut self) -> (&[pg_sys::Datum], &[bool]) {
        let natts = self.natts();
        if usize::try_from(self.data().tts_nvalid).unwrap_or(0) < natts {
            // SAFETY: the slot is valid and holds a tuple; the call is guarded.
            unsafe { pg_sys::slot_getallattrs(self.as_ptr()) }
        }
        let data = self.data();
        // SAFETY: as in `columns_mut`; all columns are valid now.
        unsafe {
            (
                std::slice::from_raw_parts(data.tts_values, natts),
                std::slice::from_raw_parts(data.tts_isnull, natts),
            )
        }
    }

    /// Makes the slot's tuple independent of memory that it does not own (`ExecMaterializeSlot`).
    pub fn materialize(&mut self) {
        // SAFETY: the slot is valid; the call is guarded.
        unsafe { pg_sys::ExecMaterializeSlot(self.as_ptr()) }
    }

    /// The identifier of the slot's tuple.
    #[inline]
    pub fn tid(&self) -> Tid {
        Tid::from_raw(self.data().tts_tid)
    }

    /// Sets the identifier of the slot's tuple.
    #[inline]
    pub fn set_tid(&mut self, tid: Tid) {
        self.data_mut().tts_tid = tid.to_raw();
    }

    /// The table of the slot's tuple.
    #[inline]
    pub fn table_oid(&self) -> pg_sys::Oid {
        self.data().tts_tableOid
    }

    /// Sets the table of the slot's tuple.
    #[inline]
    pub fn set_table_oid(&mut self, oid: pg_sys::Oid) {
        self.data_mut().tts_tableOid = oid;
    }
}
