//! Arrays, into Arrow lists.

use super::bytes::take_offsets;
use super::column::Column;
use crate::codec::array::{ArrayView, align};
use crate::error::ValueError;
use crate::types::{ArrayKind, Storage};
use crate::varlena::{self, Detoasted};
use arrow::array::{ArrayRef, ListArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use pgrx::pg_sys::Datum;
use std::sync::Arc;

pub(super) struct ListValues {
    element_oid: u32,
    storage: Storage,
    /// Where each list begins in `elements`, and where the last one ends.
    offsets: Vec<i32>,
    length: usize,
    elements: Column,
    element_width: usize,
}

impl ListValues {
    pub(super) fn new(array: &ArrayKind, arrow_type: &DataType) -> Self {
        let elements = match arrow_type {
            DataType::List(field) => Column::new(&array.element, field.data_type()),
            _ => Column::new(&array.element, &array.element.arrow_type()),
        };
        let element_width = elements.fixed_width();
        Self {
            element_oid: array.element_oid.to_u32(),
            storage: array.storage,
            offsets: vec![0],
            length: 0,
            elements,
            element_width,
        }
    }

    /// # Safety
    ///
    /// `datum` is a valid array datum.
    pub(super) unsafe fn append(
        &mut self,
        datum: Datum,
        bytes: &mut usize,
    ) -> Result<(), ValueError> {
        // SAFETY: arrays are a varlena type.
        let array = unsafe { Detoasted::aligned(datum) };
        let view = ArrayView::parse(array.as_bytes())?;
        if view.element_oid != self.element_oid {
            return Err(ValueError::TypeMismatch {
                expected: self.element_oid,
                found: view.element_oid,
            });
        }
        let length = self.length + view.count;
        let end = i32::try_from(length).map_err(|_| ValueError::BatchTooLarge)?;
        // SAFETY: elements of the array are of the column's element type, as checked.
        unsafe { self.append_elements(&view, bytes)? };
        *bytes += view.count * self.element_width;
        self.length = length;
        self.offsets.push(end);
        Ok(())
    }

    /// Walks the elements as `deconstruct_array` does.
    ///
    /// # Safety
    ///
    /// The array has elements of the column's element type.
    unsafe fn append_elements(
        &mut self,
        view: &ArrayView<'_>,
        bytes: &mut usize,
    ) -> Result<(), ValueError> {
        let mut offset = view.data_offset;
        for index in 0..view.count {
            if view.is_null(index) {
                self.elements.append_null();
                continue;
            }
            offset = align(offset, self.storage.alignment);
            let element = view
                .bytes
                .get(offset..)
                .ok_or(ValueError::Corrupt("array"))?;
            let size = match usize::try_from(self.storage.length) {
                Ok(size) => Some(size).filter(|size| *size <= element.len()),
                Err(_) => varlena::size_at(element),
            }
            .ok_or(ValueError::Corrupt("array"))?;
            // SAFETY: the element has `size` bytes inside of the array, which outlives the call.
            unsafe {
                let datum = fetch_att(&element[..size], self.storage);
                self.elements.append(datum, false, bytes)?;
            }
            offset += size;
        }
        Ok(())
    }

    /// Appends what stands for NULL.
    pub(super) fn append_empty(&mut self) {
        // The elements never pass i32::MAX.
        self.offsets.push(self.length as i32);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.length = self.offsets.last().map_or(0, |end| *end as usize);
        self.elements.truncate(self.length);
    }

    pub(super) fn variable_bytes(&self) -> usize {
        self.length * self.element_width + self.elements.variable_bytes()
    }

    pub(super) fn finish(
        &mut self,
        nulls: Option<NullBuffer>,
        arrow_type: &DataType,
    ) -> Result<ArrayRef, ArrowError> {
        let DataType::List(field) = arrow_type else {
            return Err(ArrowError::SchemaError(format!(
                "expected a list, found {arrow_type}"
            )));
        };
        self.length = 0;
        let offsets = take_offsets(&mut self.offsets);
        let elements = self.elements.finish(field.data_type())?;
        Ok(Arc::new(ListArray::try_new(
            Arc::clone(field),
            offsets,
            elements,
            nulls,
        )?))
    }
}

/// `fetch_att`: the value as a datum, or a pointer to it.
///
/// # Safety
///
/// `bytes` is a value of a type with this storage, and outlives the datum.
#[inline]
pub(super) unsafe fn fetch_att(bytes: &[u8], storage: Storage) -> Datum {
    if !storage.by_value {
        return Datum::from(bytes.as_ptr().cast_mut());
    }
    match *bytes {
        [a] => Datum::from(a as i8),
        [a, b] => Datum::from(i16::from_ne_bytes([a, b])),
        [a, b, c, d] => Datum::from(i32::from_ne_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => Datum::from(i64::from_ne_bytes([a, b, c, d, e, f, g, h])),
        // No type is passed by value in another length.
        _ => Datum::null(),
    }
}
