//! The layout of one-dimensional arrays (`utils/array.h`).

use crate::error::ValueError;

/// `MAXIMUM_ALIGNOF` of the platforms that PostgreSQL 17 runs on with 8-byte datums.
const MAXIMUM_ALIGNOF: usize = 8;
/// `vl_len_`, `ndim`, `dataoffset`, `elemtype`.
const HEADER: usize = 16;
/// The header with one dimension and one lower bound.
const HEADER_1D: usize = HEADER + 8;

/// `MaxAllocSize`.
pub(crate) const MAX_ALLOC_SIZE: usize = 0x3FFF_FFFF;
/// `MaxArraySize`.
pub(crate) const MAX_ARRAY_SIZE: usize = MAX_ALLOC_SIZE / size_of::<usize>();

/// `TYPEALIGN`: `alignment` is a power of two.
#[inline]
pub(crate) fn align(offset: usize, alignment: usize) -> usize {
    (offset + alignment - 1) & !(alignment - 1)
}

/// An array of at most one dimension whose subscripts begin at 1.
pub(crate) struct ArrayView<'a> {
    /// The whole datum, varlena header included.
    pub(crate) bytes: &'a [u8],
    /// `ARR_ELEMTYPE`.
    pub(crate) element_oid: u32,
    /// Number of elements.
    pub(crate) count: usize,
    /// `ARR_NULLBITMAP`: a bit that is 0 means NULL.
    nulls: Option<&'a [u8]>,
    /// `ARR_DATA_OFFSET`.
    pub(crate) data_offset: usize,
}

impl<'a> ArrayView<'a> {
    /// Reads the header of a detoasted array datum.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ValueError> {
        let dimensions = word(bytes, 4)?;
        let data_offset = word(bytes, 8)?;
        let element_oid = word(bytes, 12)? as u32;
        match dimensions {
            0 => {
                return Ok(Self {
                    bytes,
                    element_oid,
                    count: 0,
                    nulls: None,
                    data_offset: bytes.len(),
                });
            }
            1 => {}
            _ => return Err(ValueError::MultiDimensionalArray(dimensions)),
        }
        let count = usize::try_from(word(bytes, HEADER)?).map_err(|_| corrupt())?;
        let lower_bound = word(bytes, HEADER + 4)?;
        if lower_bound != 1 && count != 0 {
            return Err(ValueError::ArrayLowerBound(lower_bound));
        }
        let (nulls, data_offset) = if data_offset == 0 {
            (None, align(HEADER_1D, MAXIMUM_ALIGNOF))
        } else {
            let nulls = bytes
                .get(HEADER_1D..HEADER_1D + count.div_ceil(8))
                .ok_or_else(corrupt)?;
            (
                Some(nulls),
                usize::try_from(data_offset).map_err(|_| corrupt())?,
            )
        };
        if data_offset > bytes.len() {
            return Err(corrupt());
        }
        Ok(Self {
            bytes,
            element_oid,
            count,
            nulls,
            data_offset,
        })
    }

    /// Whether the element at `index` (from 0) is NULL.
    #[inline]
    pub(crate) fn is_null(&self, index: usize) -> bool {
        self.nulls
            .is_some_and(|nulls| nulls[index / 8] & (1 << (index % 8)) == 0)
    }
}

fn word(bytes: &[u8], offset: usize) -> Result<i32, ValueError> {
    bytes
        .get(offset..)
        .and_then(|rest| rest.first_chunk::<4>())
        .map(|word| i32::from_ne_bytes(*word))
        .ok_or_else(corrupt)
}

#[cold]
fn corrupt() -> ValueError {
    ValueError::Corrupt("array")
}

/// Bytes before the data of an array with `count` elements.
pub(crate) fn data_offset(count: usize, has_nulls: bool) -> usize {
    match count {
        0 => HEADER,
        _ if has_nulls => align(HEADER_1D + count.div_ceil(8), MAXIMUM_ALIGNOF),
        _ => align(HEADER_1D, MAXIMUM_ALIGNOF),
    }
}

/// Writes the header after `vl_len_`; the null bitmap is left zeroed, all elements NULL.
///
/// `out` is the whole array, at least [`data_offset`] bytes of it.
pub(crate) fn write_header(out: &mut [u8], element_oid: u32, count: usize, has_nulls: bool) {
    let data_offset = data_offset(count, has_nulls);
    out[4..data_offset].fill(0);
    put_word(out, 12, element_oid);
    if count == 0 {
        return;
    }
    put_word(out, 4, 1);
    if has_nulls {
        put_word(out, 8, data_offset as u32);
    }
    put_word(out, HEADER, count as u32);
    put_word(out, HEADER + 4, 1);
}

/// Marks the element at `index` as not NULL, in an array that has a null bitmap.
#[inline]
pub(crate) fn set_not_null(out: &mut [u8], index: usize) {
    out[HEADER_1D + index / 8] |= 1 << (index % 8);
}

fn put_word(out: &mut [u8], offset: usize, word: u32) {
    out[offset..offset + 4].copy_from_slice(&word.to_ne_bytes());
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn array(count: usize, has_nulls: bool) -> Vec<u8> {
        let mut bytes = vec![0xFF; data_offset(count, has_nulls) + 4 * count];
        write_header(&mut bytes, 23, count, has_nulls);
        bytes
    }

    #[test]
    fn headers_round_trip() {
        for (count, has_nulls) in [(0, false), (1, false), (1, true), (64, true), (65, true)] {
            let bytes = array(count, has_nulls);
            let view = ArrayView::parse(&bytes).unwrap();
            assert_eq!(view.count, count);
            assert_eq!(view.element_oid, 23);
            assert_eq!(view.data_offset, data_offset(count, has_nulls));
        }
    }

    #[test]
    fn null_bitmap_marks_elements() {
        let mut bytes = array(10, true);
        set_not_null(&mut bytes, 0);
        set_not_null(&mut bytes, 9);
        let view = ArrayView::parse(&bytes).unwrap();
        let nulls: Vec<bool> = (0..10).map(|index| view.is_null(index)).collect();
        assert_eq!(
            nulls,
            [false, true, true, true, true, true, true, true, true, false]
        );
    }

    #[test]
    fn other_shapes_are_refused() {
        let mut bytes = array(2, false);
        put_word(&mut bytes, 20, 5);
        assert_eq!(
            ArrayView::parse(&bytes).err(),
            Some(ValueError::ArrayLowerBound(5))
        );
        put_word(&mut bytes, 4, 2);
        assert_eq!(
            ArrayView::parse(&bytes).err(),
            Some(ValueError::MultiDimensionalArray(2))
        );
        assert_eq!(ArrayView::parse(&bytes[..10]).err(), Some(corrupt()));
    }
}
