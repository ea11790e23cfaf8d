//! Composite values, into Arrow structs.

use super::column::Column;
use super::list::fetch_att;
use crate::codec::array::align;
use crate::error::ValueError;
use crate::types::{CompositeKind, RowType, Storage};
use crate::varlena::{self, Detoasted};
use arrow::array::{ArrayRef, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use pgrx::pg_sys::{self, Datum, Oid};
use std::mem::offset_of;
use std::sync::Arc;

pub(super) struct StructValues {
    type_oid: Oid,
    /// In attribute order, dropped ones included: their values may lie in the tuple.
    attributes: Vec<AttributeValues>,
}

struct AttributeValues {
    storage: Storage,
    /// Name and values, unless the attribute is dropped.
    live: Option<(String, Column)>,
}

impl StructValues {
    pub(super) fn new(composite: &CompositeKind, arrow_type: &DataType) -> Self {
        let fields = match arrow_type {
            DataType::Struct(fields) => Some(fields),
            _ => None,
        };
        let mut position = 0;
        let attributes = composite
            .attributes
            .iter()
            .map(|attribute| {
                let live = attribute.column.as_ref().map(|column| {
                    let field = fields.and_then(|fields| fields.get(position));
                    position += 1;
                    let values = match field {
                        Some(field) => Column::new(column, field.data_type()),
                        None => Column::new(column, &column.arrow_type()),
                    };
                    (column.name().to_owned(), values)
                });
                AttributeValues {
                    storage: attribute.storage,
                    live,
                }
            })
            .collect();
        Self {
            type_oid: composite.type_oid,
            attributes,
        }
    }

    fn columns(&self) -> impl Iterator<Item = &Column> {
        self.attributes
            .iter()
            .filter_map(|attribute| Some(&attribute.live.as_ref()?.1))
    }

    fn columns_mut(&mut self) -> impl Iterator<Item = &mut Column> {
        self.attributes
            .iter_mut()
            .filter_map(|attribute| Some(&mut attribute.live.as_mut()?.1))
    }

    pub(super) fn fixed_width(&self) -> usize {
        self.columns().map(Column::fixed_width).sum()
    }

    pub(super) fn variable_bytes(&self) -> usize {
        self.columns().map(Column::variable_bytes).sum()
    }

    /// # Safety
    ///
    /// `datum` is a valid datum of a composite type.
    pub(super) unsafe fn append(
        &mut self,
        datum: Datum,
        bytes: &mut usize,
    ) -> Result<(), ValueError> {
        // SAFETY: composite datums are varlenas; expanded records are flattened.
        let row = unsafe { Detoasted::aligned(datum) };
        // SAFETY: a detoasted composite datum is a heap tuple header with its attributes.
        let header = unsafe { &*row.as_ptr().cast::<pg_sys::HeapTupleHeaderData>() };
        // SAFETY: in a composite datum the union holds the datum fields.
        let found = unsafe { header.t_choice.t_datum.datum_typeid };
        if found != self.type_oid {
            return Err(ValueError::TypeMismatch {
                expected: self.type_oid.to_u32(),
                found: found.to_u32(),
            });
        }
        let stored = usize::from(header.t_infomask2 & pg_sys::HEAP_NATTS_MASK as u16);
        if stored == self.attributes.len() {
            // SAFETY: the tuple is of the type that the attributes were resolved from.
            unsafe { self.append_tuple(row.as_bytes(), header, bytes) }
        } else {
            // SAFETY: as above.
            unsafe { self.append_by_catalog(&row, bytes) }
        }
    }

    /// Walks the attributes as `heap_deform_tuple` does.
    ///
    /// # Safety
    ///
    /// `tuple` is a tuple of this type with a value for each attribute, `header` its header.
    unsafe fn append_tuple(
        &mut self,
        tuple: &[u8],
        header: &pg_sys::HeapTupleHeaderData,
        bytes: &mut usize,
    ) -> Result<(), ValueError> {
        let has_nulls = header.t_infomask & pg_sys::HEAP_HASNULL as u16 != 0;
        let corrupt = || ValueError::Corrupt("composite");
        let bitmap = offset_of!(pg_sys::HeapTupleHeaderData, t_bits);
        let bitmap = tuple.get(bitmap..).ok_or_else(corrupt)?;
        if has_nulls && bitmap.len() < self.attributes.len().div_ceil(8) {
            return Err(corrupt());
        }
        let mut offset = usize::from(header.t_hoff);
        for (index, attribute) in self.attributes.iter_mut().enumerate() {
            if has_nulls && bitmap[index / 8] & (1 << (index % 8)) == 0 {
                if let Some((_, column)) = &mut attribute.live {
                    column.append_null();
                }
                continue;
            }
            let storage = attribute.storage;
            // att_align_pointer: a varlena that is not at a pad byte is not aligned.
            let packed = storage.length == -1 && tuple.get(offset).is_some_and(|byte| *byte != 0);
            if !packed {
                offset = align(offset, storage.alignment);
            }
            let value = tuple.get(offset..).ok_or_else(corrupt)?;
            let size = match usize::try_from(storage.length) {
                Ok(size) => Some(size).filter(|size| *size <= value.len()),
                Err(_) => varlena::size_at(value),
            }
            .ok_or_else(corrupt)?;
            if let Some((name, column)) = &mut attribute.live {
                // SAFETY: the value has `size` bytes inside of the tuple, which outlives the call.
                unsafe {
                    let datum = fetch_att(&value[..size], storage);
                    column
                        .append(datum, false, bytes)
                        .map_err(|error| error.in_field(name))?;
                }
            }
            offset += size;
        }
        Ok(())
    }

    /// Reads a tuple made before attributes were added, with the catalog's defaults for them.
    ///
    /// # Safety
    ///
    /// `row` is a composite datum of this type.
    #[cold]
    unsafe fn append_by_catalog(
        &mut self,
        row: &Detoasted,
        bytes: &mut usize,
    ) -> Result<(), ValueError> {
        let row_type = RowType::copy_of(self.type_oid);
        if row_type.attributes().len() != self.attributes.len() {
            return Err(ValueError::CompositeChanged(self.type_oid.to_u32()));
        }
        let mut values = vec![Datum::null(); self.attributes.len()];
        let mut isnull = vec![true; self.attributes.len()];
        let mut tuple = pg_sys::HeapTupleData {
            // Lengths of datums fit u32.
            t_len: row.as_bytes().len() as u32,
            t_data: row.as_ptr().cast(),
            ..Default::default()
        };
        // SAFETY: the tuple is of the row type, and the outputs have room for its attributes.
        unsafe {
            pg_sys::heap_deform_tuple(
                &mut tuple,
                row_type.as_ptr(),
                values.as_mut_ptr(),
                isnull.as_mut_ptr(),
            );
        }
        for (index, attribute) in self.attributes.iter_mut().enumerate() {
            if let Some((name, column)) = &mut attribute.live {
                // SAFETY: the datum was deformed as the attribute's type; `row` outlives the call.
                unsafe { column.append(values[index], isnull[index], bytes) }
                    .map_err(|error| error.in_field(name))?;
            }
        }
        Ok(())
    }

    pub(super) fn append_null(&mut self) {
        self.columns_mut().for_each(Column::append_null);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.columns_mut().for_each(|column| column.truncate(rows));
    }

    pub(super) fn finish(
        &mut self,
        nulls: Option<NullBuffer>,
        arrow_type: &DataType,
    ) -> Result<ArrayRef, ArrowError> {
        let DataType::Struct(fields) = arrow_type else {
            return Err(ArrowError::SchemaError(format!(
                "expected a struct, found {arrow_type}"
            )));
        };
        let arrays: Vec<_> = self
            .columns_mut()
            .zip(fields)
            .map(|(column, field)| column.finish(field.data_type()))
            .collect();
        let arrays = arrays.into_iter().collect::<Result<_, _>>()?;
        Ok(Arc::new(StructArray::try_new(
            fields.clone(),
            arrays,
            nulls,
        )?))
    }
}
