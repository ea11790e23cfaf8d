//! Offsets and data of variable-length columns.

use super::column::take_keeping_capacity;
use crate::error::ValueError;
use arrow::array::{ArrayRef, BinaryArray, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use std::sync::Arc;

/// Byte strings, one after the other.
pub(super) struct ByteValues {
    /// Where each value begins, and where the last one ends.
    offsets: Vec<i32>,
    data: Vec<u8>,
}

impl Default for ByteValues {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            data: Vec::new(),
        }
    }
}

impl ByteValues {
    #[inline]
    pub(super) fn push(&mut self, value: &[u8], bytes: &mut usize) -> Result<(), ValueError> {
        let end =
            i32::try_from(self.data.len() + value.len()).map_err(|_| ValueError::BatchTooLarge)?;
        self.data.extend_from_slice(value);
        self.offsets.push(end);
        *bytes += value.len();
        Ok(())
    }

    #[inline]
    pub(super) fn push_empty(&mut self) {
        // The data never passes i32::MAX bytes.
        self.offsets.push(self.data.len() as i32);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        if rows + 1 < self.offsets.len() {
            self.data.truncate(self.offsets[rows] as usize);
            self.offsets.truncate(rows + 1);
        }
    }

    pub(super) fn byte_len(&self) -> usize {
        self.data.len()
    }

    pub(super) fn finish_utf8(&mut self, nulls: Option<NullBuffer>) -> ArrayRef {
        let (offsets, data) = self.take();
        // SAFETY: the offsets ascend from 0 to the data's length, and every value pushed to a
        // string column was valid UTF-8 by itself.
        Arc::new(unsafe { StringArray::new_unchecked(offsets, data, nulls) })
    }

    pub(super) fn finish_binary(&mut self, nulls: Option<NullBuffer>) -> ArrayRef {
        let (offsets, data) = self.take();
        // SAFETY: the offsets ascend from 0 to the data's length.
        Arc::new(unsafe { BinaryArray::new_unchecked(offsets, data, nulls) })
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let data = Buffer::from_vec(take_keeping_capacity(&mut self.data));
        (take_offsets(&mut self.offsets), data)
    }
}

/// The offsets as a buffer; `offsets` is back to the single 0 that begins a column.
pub(super) fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let taken = ScalarBuffer::from(take_keeping_capacity(offsets));
    offsets.push(0);
    // SAFETY: columns begin with offset 0 and push the ascending ends of their values.
    unsafe { OffsetBuffer::new_unchecked(taken) }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};

    #[test]
    fn truncated_values_leave_no_bytes_behind() {
        let mut values = ByteValues::default();
        let mut bytes = 0;
        values.push(b"kept", &mut bytes).unwrap();
        values.push(b"dropped", &mut bytes).unwrap();
        values.push_empty();
        values.truncate(1);
        values.truncate(7);
        values.push(b"next", &mut bytes).unwrap();
        assert_eq!(values.byte_len(), 8);
        let array = values.finish_utf8(None);
        assert_eq!(
            array
                .as_string::<i32>()
                .iter()
                .flatten()
                .collect::<Vec<_>>(),
            ["kept", "next"]
        );
    }

    #[test]
    fn finished_values_start_over() {
        let mut values = ByteValues::default();
        values.push(b"first", &mut 0).unwrap();
        assert_eq!(values.finish_binary(None).len(), 1);
        assert_eq!(values.finish_binary(None).len(), 0);
        values.push(b"second", &mut 0).unwrap();
        let array = values.finish_binary(None);
        assert_eq!(array.as_binary::<i32>().value(0), b"second");
    }
}
