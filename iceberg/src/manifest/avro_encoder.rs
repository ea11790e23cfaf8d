//! Writing Avro: records are encoded straight from the library's types.
//!
//! Small commits write little else than a manifest and a manifest list, so records take no detour
//! over generic values. The encoding is that of the Avro specification, sections "Binary Encoding"
//! and "Object Container Files". Property tests read with the Avro library what is written here.

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use uuid::Uuid;

use super::avro_schema::decimal_bytes;
use crate::error::{Error, Result};
use crate::io::FileIo;
use crate::spec::Datum;

/// Uncompressed bytes in a block, from which on the next one begins.
const BLOCK_BYTES: usize = 64 << 10;

/// Files whose records take less are not compressed: they take some blocks of the file system all the
/// same, and setting up the compressor takes longer than everything else.
const COMPRESSED_FROM_BYTES: usize = 32 << 10;

/// One record in Avro's binary encoding, field after field in the order of the schema.
pub struct AvroEncoder<'a>(&'a mut Vec<u8>);

impl<'a> AvroEncoder<'a> {
    /// Appends to `bytes`.
    pub fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self(bytes)
    }

    /// A `long`: zigzag, then seven bits a byte.
    pub fn long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.0.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    /// An `int`, which is encoded as a `long` is.
    pub fn int(&mut self, value: i32) {
        self.long(value.into());
    }

    pub fn boolean(&mut self, value: bool) {
        self.0.push(value.into());
    }

    /// `bytes`: their number first.
    pub fn bytes(&mut self, value: &[u8]) {
        self.long(value.len() as i64);
        self.0.extend_from_slice(value);
    }

    /// A `string`, which is encoded as its UTF-8 bytes are.
    pub fn string(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// A union of `null` and one other type.
    pub fn optional<T>(&mut self, value: Option<T>, encode: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.long(0),
            Some(value) => {
                self.long(1);
                encode(self, value);
            }
        }
    }

    /// An `array`, in one block.
    pub fn array<T>(
        &mut self,
        elements: impl ExactSizeIterator<Item = T>,
        mut encode: impl FnMut(&mut Self, T),
    ) {
        if elements.len() > 0 {
            self.long(elements.len() as i64);
            elements.for_each(|element| encode(self, element));
        }
        self.long(0);
    }

    /// An optional map with integer keys, as an array of pairs; null if it is empty.
    pub fn map<T>(&mut self, map: &BTreeMap<i32, T>, mut encode: impl FnMut(&mut Self, &T)) {
        self.optional((!map.is_empty()).then_some(map), |encoder, map| {
            encoder.array(map.iter(), |encoder, (key, value)| {
                encoder.int(*key);
                encode(encoder, value);
            });
        });
    }

    /// A partition value (specification, appendix A).
    pub fn datum(&mut self, datum: &Datum) {
        match datum {
            Datum::Boolean(flag) => self.boolean(*flag),
            Datum::Int(number) | Datum::Date(number) => self.int(*number),
            Datum::Long(number)
            | Datum::Time(number)
            | Datum::Timestamp(number)
            | Datum::Timestamptz(number)
            | Datum::TimestampNs(number)
            | Datum::TimestamptzNs(number) => self.long(*number),
            Datum::Float(number) => self.fixed(&number.to_le_bytes()),
            Datum::Double(number) => self.fixed(&number.to_le_bytes()),
            Datum::Decimal {
                unscaled,
                precision,
                ..
            } => self.fixed(&unscaled.to_be_bytes()[16 - decimal_bytes(*precision)..]),
            Datum::String(text) => self.string(text),
            Datum::Uuid(uuid) => self.fixed(uuid.as_bytes()),
            Datum::Fixed(bytes) => self.fixed(bytes),
            Datum::Binary(bytes) => self.bytes(bytes),
        }
    }

    fn fixed(&mut self, value: &[u8]) {
        self.0.extend_from_slice(value);
    }
}

/// The records of an Avro file that is being made in memory.
#[derive(Default)]
pub struct AvroRecords {
    /// Full blocks, each with the number of its records, and the one being filled.
    blocks: Vec<(usize, Vec<u8>)>,
    bytes: usize,
}

impl AvroRecords {
    /// Appends the record that `encode` writes.
    pub fn append(&mut self, encode: impl FnOnce(&mut AvroEncoder<'_>)) {
        if self
            .blocks
            .last()
            .is_none_or(|(_, block)| block.len() >= BLOCK_BYTES)
        {
            self.blocks.push((0, Vec::new()));
        }
        if let Some((count, block)) = self.blocks.last_mut() {
            let before = block.len();
            encode(&mut AvroEncoder(block));
            *count += 1;
            self.bytes += block.len() - before;
        }
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Writes the file at `path`, whose records have the schema of this JSON text, with `header`
    /// among its metadata; returns its length in bytes.
    pub fn write(
        &self,
        io: &dyn FileIo,
        path: &str,
        schema_text: &str,
        header: &[(&str, &str)],
    ) -> Result<u64> {
        let compressed = self.bytes >= COMPRESSED_FROM_BYTES;
        let marker = Uuid::new_v4().into_bytes();
        let codec = if compressed { "deflate" } else { "null" };
        let standard = [("avro.schema", schema_text), ("avro.codec", codec)];

        let mut bytes = b"Obj\x01".to_vec();
        let mut encoder = AvroEncoder(&mut bytes);
        encoder.array(
            standard
                .iter()
                .chain(header)
                .collect::<Vec<_>>()
                .into_iter(),
            |encoder, (key, value)| {
                encoder.string(key);
                encoder.string(value);
            },
        );
        encoder.fixed(&marker);
        for (count, block) in &self.blocks {
            encoder.long(*count as i64);
            if compressed {
                encoder.bytes(&deflate(block).map_err(|e| Error::io("compress", path, e))?);
            } else {
                encoder.bytes(block);
            }
            encoder.fixed(&marker);
        }
        let mut file = io.create(path)?;
        file.write_owned(bytes)?;
        file.finish()
    }
}

fn deflate(block: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(block)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the Avro specification, section "Primitive Types".
    #[test]
    fn longs_are_zigzag_and_of_variable_length() {
        for (value, expected) in [
            (0, &[0x00][..]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (-2, &[0x03]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
        ] {
            let mut bytes = Vec::new();
            AvroEncoder(&mut bytes).long(value);
            assert_eq!(bytes, expected, "{value}");
        }
        for value in [i64::MIN, i64::MAX] {
            let mut bytes = Vec::new();
            AvroEncoder(&mut bytes).long(value);
            assert_eq!(bytes.len(), 10, "{value}");
        }
    }

    #[test]
    fn strings_and_arrays_tell_their_length_first() {
        let mut bytes = Vec::new();
        let mut encoder = AvroEncoder(&mut bytes);
        encoder.string("foo");
        encoder.array([3, 27].into_iter(), |encoder, number| encoder.long(number));
        encoder.array([0_i64; 0].into_iter(), |encoder, number| {
            encoder.long(number)
        });
        assert_eq!(
            bytes,
            [0x06, 0x66, 0x6f, 0x6f, 0x04, 0x06, 0x36, 0x00, 0x00]
        );
    }
}
