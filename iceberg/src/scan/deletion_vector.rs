//! Deletion vectors: bitmaps of deleted positions in Puffin files (Puffin specification, blob type
//! `deletion-vector-v1`).

use super::row_ranges::RowRanges;

const MAGIC: [u8; 4] = [0xd1, 0xd3, 0x39, 0x64];
/// Cookies of the 32-bit Roaring format, without and with run containers.
const COOKIE: u32 = 12346;
const RUN_COOKIE: u32 = 12347;
/// With fewer containers a bitmap with runs has no offset table.
const NO_OFFSET_THRESHOLD: usize = 4;
/// Containers of more values than this are bitmaps.
const ARRAY_LIMIT: usize = 4096;
const BITMAP_BYTES: usize = 8192;

/// Reads a blob; the error is a sentence.
pub(super) fn parse_deletion_vector(blob: &[u8]) -> Result<RowRanges, String> {
    let mut input = Input(blob);
    let length = u32::from_be_bytes(input.array()?);
    let length = usize::try_from(length).map_err(|e| e.to_string())?;
    let vector = input.bytes(length)?;
    let checksum = u32::from_be_bytes(input.array()?);
    let mut crc = flate2::Crc::new();
    crc.update(vector);
    if crc.sum() != checksum {
        return Err("the checksum of the deletion vector is wrong".to_owned());
    }
    let mut input = Input(vector);
    if input.array::<4>()? != MAGIC {
        return Err("the deletion vector does not begin with its magic number".to_owned());
    }
    let mut rows = Rows::default();
    let bitmaps = u64::from_le_bytes(input.array()?);
    for _ in 0..bitmaps {
        let high = u32::from_le_bytes(input.array()?);
        read_bitmap(&mut input, u64::from(high) << 32, &mut rows)?;
    }
    if !input.0.is_empty() {
        return Err("bytes follow the deletion vector's last bitmap".to_owned());
    }
    Ok(RowRanges::from_ranges(rows.0))
}

/// Ranges of rows as they are found.
#[derive(Default)]
struct Rows(Vec<std::ops::Range<u64>>);

impl Rows {
    fn add(&mut self, start: u64, end: u64) {
        match self.0.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => self.0.push(start..end),
        }
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (head, tail) = self
            .0
            .split_at_checked(length)
            .ok_or("the deletion vector ends too early")?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.bytes(N)?
            .try_into()
            .map_err(|_| "the deletion vector ends too early".to_owned())
    }

    fn u16(&mut self) -> Result<u16, String> {
        self.array().map(u16::from_le_bytes)
    }
}

/// A bitmap in the 32-bit Roaring format, whose values are added to `base`.
fn read_bitmap(input: &mut Input<'_>, base: u64, rows: &mut Rows) -> Result<(), String> {
    let cookie = u32::from_le_bytes(input.array()?);
    let (containers, runs) = if cookie & 0xffff == RUN_COOKIE {
        let containers = (cookie >> 16) as usize + 1;
        (containers, Some(input.bytes(containers.div_ceil(8))?))
    } else if cookie == COOKIE {
        let containers = u32::from_le_bytes(input.array()?);
        (
            usize::try_from(containers).map_err(|e| e.to_string())?,
            None,
        )
    } else {
        return Err(format!(
            "the deletion vector has a bitmap of unknown kind {cookie}"
        ));
    };
    if containers > 1 << 16 {
        return Err(format!(
            "the deletion vector has a bitmap of {containers} containers"
        ));
    }
    let mut headers = Vec::with_capacity(containers);
    for _ in 0..containers {
        headers.push((input.u16()?, usize::from(input.u16()?) + 1));
    }
    if runs.is_none() || containers >= NO_OFFSET_THRESHOLD {
        input.bytes(4 * containers)?;
    }
    for (index, (key, cardinality)) in headers.into_iter().enumerate() {
        let base = base + (u64::from(key) << 16);
        if runs.is_some_and(|runs| runs[index / 8] & (1 << (index % 8)) != 0) {
            for _ in 0..input.u16()? {
                let start = base + u64::from(input.u16()?);
                let end = start + u64::from(input.u16()?) + 1;
                if end > base + (1 << 16) {
                    return Err("a run of the deletion vector leaves its container".to_owned());
                }
                rows.add(start, end);
            }
        } else if cardinality <= ARRAY_LIMIT {
            for _ in 0..cardinality {
                let row = base + u64::from(input.u16()?);
                rows.add(row, row + 1);
            }
        } else {
            for (index, byte) in input.bytes(BITMAP_BYTES)?.iter().enumerate() {
                for bit in (0..8).filter(|bit| byte & (1 << bit) != 0) {
                    let row = base + index as u64 * 8 + bit;
                    rows.add(row, row + 1);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blob(vector: &[u8]) -> Vec<u8> {
        let mut crc = flate2::Crc::new();
        crc.update(vector);
        let length = u32::try_from(vector.len()).unwrap();
        [
            &length.to_be_bytes()[..],
            vector,
            &crc.sum().to_be_bytes()[..],
        ]
        .concat()
    }

    /// One 32-bit bitmap under the key 1 with an array, a bitmap and, if asked for, a run.
    fn vector(with_run: bool) -> (Vec<u8>, RowRanges) {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        let containers: u16 = if with_run { 3 } else { 2 };
        if with_run {
            bytes.extend((RUN_COOKIE | (u32::from(containers) - 1) << 16).to_le_bytes());
            bytes.push(0b100);
        } else {
            bytes.extend(COOKIE.to_le_bytes());
            bytes.extend(u32::from(containers).to_le_bytes());
        }
        let evens: Vec<u16> = (0..5000).map(|n| n * 2).collect();
        for (key, cardinality) in [(0_u16, 3_u16), (2, 5000), (9, 101)]
            .iter()
            .take(containers.into())
        {
            bytes.extend(key.to_le_bytes());
            bytes.extend((cardinality - 1).to_le_bytes());
        }
        if !with_run {
            bytes.extend([0; 8]);
        }
        for value in [1_u16, 2, 65535] {
            bytes.extend(value.to_le_bytes());
        }
        let mut bitmap = vec![0_u8; BITMAP_BYTES];
        for even in &evens {
            bitmap[usize::from(*even) / 8] |= 1 << (even % 8);
        }
        bytes.extend(bitmap);
        if with_run {
            for value in [1_u16, 10, 100] {
                bytes.extend(value.to_le_bytes());
            }
        }
        let base = 1_u64 << 32;
        let mut rows = vec![base + 1, base + 2, base + 65535];
        rows.extend(evens.iter().map(|even| base + (2 << 16) + u64::from(*even)));
        if with_run {
            rows.extend((10..=110).map(|n| base + (9 << 16) + n));
        }
        (bytes, RowRanges::from_positions(rows))
    }

    #[test]
    fn arrays_bitmaps_and_runs_are_read() {
        for with_run in [false, true] {
            let (bytes, rows) = vector(with_run);
            assert_eq!(parse_deletion_vector(&blob(&bytes)).unwrap(), rows);
        }
    }

    /// Bitmaps as CRoaring serialises them, with runs, with and without an offset table.
    #[test]
    fn bitmaps_of_another_library_are_read() {
        let with_offsets = "3b300400010000630001000000030001000400000005000000\
            2d0000003300000035000000390000003b000000\
            01000000630005000700090000000100";
        let without = "3b30010001000009000100000001000a0009000500";
        let rows = |low: std::ops::Range<u64>, others: &[u64]| {
            RowRanges::from_positions(low.chain(others.iter().copied()))
        };
        let third = 3 << 16;
        for (hex, expected) in [
            (
                with_offsets,
                rows(
                    0..100,
                    &[65541, third + 7, third + 9, 4 << 16, (5 << 16) + 1],
                ),
            ),
            (without, rows(10..20, &[65541])),
        ] {
            let digits: Vec<_> = hex
                .bytes()
                .map(|d| char::from(d).to_digit(16).unwrap())
                .collect();
            let bitmap = digits
                .chunks(2)
                .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap());
            let mut vector = MAGIC.to_vec();
            vector.extend(1_u64.to_le_bytes());
            vector.extend(0_u32.to_le_bytes());
            vector.extend(bitmap);
            assert_eq!(parse_deletion_vector(&blob(&vector)).unwrap(), expected);
        }
    }

    #[test]
    fn damage_is_noticed() {
        let (bytes, _) = vector(true);
        let good = blob(&bytes);
        let mut flipped = good.clone();
        flipped[100] ^= 1;
        assert!(parse_deletion_vector(&flipped).is_err());
        for length in 0..bytes.len() {
            assert!(
                parse_deletion_vector(&blob(&bytes[..length])).is_err(),
                "{length}"
            );
        }
        assert!(parse_deletion_vector(&good[..good.len() - 1]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_rows_or_an_error(bytes: Vec<u8>, run: bool, at in 0_usize..60, value: u8) {
            let _ = parse_deletion_vector(&bytes);
            let (mut bytes, _) = vector(run);
            bytes[at] = value;
            let _ = parse_deletion_vector(&blob(&bytes));
        }
    }
}
