//! Deletion vectors: bitmaps of deleted positions in Puffin files (Puffin specification, blob type
//! `deletion-vector-v1`).

use std::io;

use roaring::RoaringTreemap;

use super::row_ranges::RowRanges;

const MAGIC: [u8; 4] = [0xd1, 0xd3, 0x39, 0x64];
/// Bytes of the length and the checksum around the vector.
const LENGTH_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 4;

/// Reads a blob; the error is a sentence.
pub(super) fn parse_deletion_vector(blob: &[u8]) -> Result<RowRanges, String> {
    let too_short = "the deletion vector ends too early";
    let (length, rest) = blob.split_first_chunk::<LENGTH_BYTES>().ok_or(too_short)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|e| e.to_string())?;
    let (vector, rest) = rest.split_at_checked(length).ok_or(too_short)?;
    let checksum = rest.first_chunk::<CHECKSUM_BYTES>().ok_or(too_short)?;
    if crc_of(vector) != u32::from_be_bytes(*checksum) {
        return Err("the checksum of the deletion vector is wrong".to_owned());
    }
    let Some(mut bitmap) = vector.strip_prefix(&MAGIC) else {
        return Err("the deletion vector does not begin with its magic number".to_owned());
    };
    let rows = RoaringTreemap::deserialize_from(&mut bitmap)
        .map_err(|error| format!("the deletion vector cannot be read: {error}"))?;
    if !bitmap.is_empty() {
        return Err("bytes follow the deletion vector's last bitmap".to_owned());
    }
    Ok(ranges_of(&rows))
}

fn ranges_of(rows: &RoaringTreemap) -> RowRanges {
    let mut ranges = RowRanges::default();
    for (high, bitmap) in rows.bitmaps() {
        let base = u64::from(high) << 32;
        let mut iter = bitmap.iter();
        while let Some(range) = iter.next_range() {
            ranges.push(base + u64::from(*range.start())..base + u64::from(*range.end()) + 1);
        }
    }
    ranges
}

/// The blob of a deletion vector of these rows.
pub(crate) fn encode_deletion_vector(rows: &RowRanges) -> io::Result<Vec<u8>> {
    let mut bitmap = RoaringTreemap::new();
    for range in rows.ranges() {
        bitmap.insert_range(range.clone());
    }
    let mut blob = vec![0; LENGTH_BYTES];
    blob.extend(MAGIC);
    bitmap.serialize_into(&mut blob)?;
    let vector = &blob[LENGTH_BYTES..];
    let length = u32::try_from(vector.len()).map_err(io::Error::other)?;
    let checksum = crc_of(vector);
    blob[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    blob.extend(checksum.to_be_bytes());
    Ok(blob)
}

fn crc_of(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blob(vector: &[u8]) -> Vec<u8> {
        let length = u32::try_from(vector.len()).unwrap();
        [
            &length.to_be_bytes()[..],
            vector,
            &crc_of(vector).to_be_bytes()[..],
        ]
        .concat()
    }

    /// One 32-bit bitmap under the key 1 with an array, a bitmap and, if asked for, a run, laid out by hand as the
    /// specification of the Roaring format says.
    fn vector(with_run: bool) -> (Vec<u8>, RowRanges) {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(1_u64.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        let start = bytes.len();
        let containers: u16 = if with_run { 3 } else { 2 };
        if with_run {
            bytes.extend((12347 | (u32::from(containers) - 1) << 16).to_le_bytes());
            bytes.push(0b100);
        } else {
            bytes.extend(12346_u32.to_le_bytes());
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
            // Where the containers begin.
            let first = u32::try_from(bytes.len() - start + 8).unwrap();
            bytes.extend(first.to_le_bytes());
            bytes.extend((first + 6).to_le_bytes());
        }
        for value in [1_u16, 2, 65535] {
            bytes.extend(value.to_le_bytes());
        }
        let mut bitmap = vec![0_u8; 8192];
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
        let longer = [&bytes[..], &[0]].concat();
        assert!(parse_deletion_vector(&blob(&longer)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_rows_or_an_error(bytes: Vec<u8>, run: bool, at in 0_usize..60, value: u8) {
            let _ = parse_deletion_vector(&bytes);
            let (mut bytes, _) = vector(run);
            bytes[at] = value;
            let _ = parse_deletion_vector(&blob(&bytes));
        }

        #[test]
        fn what_is_written_is_read_back(
            ranges in prop::collection::vec((0_u64..1 << 34, 1_u64..100_000), 0..20),
        ) {
            let rows = RowRanges::from_ranges(ranges.iter().map(|(start, count)| *start..start + count));
            let blob = encode_deletion_vector(&rows).unwrap();
            prop_assert_eq!(parse_deletion_vector(&blob), Ok(rows));
        }
    }
}
