//! Metadata files: names, compression, reading and writing.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::table_metadata::TableMetadata;
use crate::error::{Error, Result};
use crate::io::FileIo;

/// The longest metadata that is read, in bytes, uncompressed.
pub const MAX_METADATA_BYTES: u64 = 512 << 20;

/// The property that names the compression of new metadata files: `none` or `gzip`.
pub const METADATA_COMPRESSION: &str = "write.metadata.compression-codec";

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How files begin that are neither JSON nor gzipped, and what that says of them.
const UNREAD_FORMATS: [(&[u8], &str); 6] = [
    (&[0x28, 0xb5, 0x2f, 0xfd], "compressed with zstd"),
    (&[0x04, 0x22, 0x4d, 0x18], "compressed with lz4"),
    (b"\xff\x06\0\0sNaPpY", "compressed with snappy"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\0", "compressed with xz"),
    (ENCRYPTED_MAGIC, "that is encrypted"),
];

/// How a file begins that is encrypted as a stream (specification "AES GCM Stream").
pub(crate) const ENCRYPTED_MAGIC: &[u8] = b"AGS1";

impl TableMetadata {
    /// Reads a metadata file, gzipped or not whatever its name says.
    pub fn read_from(io: &dyn FileIo, path: &str) -> Result<Self> {
        Self::read_from_after(io, path, None)
    }

    /// As [`Self::read_from`], and faster when `known` are earlier metadata of the same table, with which
    /// snapshots are shared.
    pub fn read_from_after(io: &dyn FileIo, path: &str, known: Option<&Self>) -> Result<Self> {
        let bytes = io.open(path, None)?.read_all(MAX_METADATA_BYTES)?;
        Self::from_file_bytes_after(path, &bytes, known)
    }

    /// Reads the content of a metadata file, gzipped or not.
    pub fn from_file_bytes(path: &str, bytes: &[u8]) -> Result<Self> {
        Self::from_file_bytes_after(path, bytes, None)
    }

    fn from_file_bytes_after(path: &str, bytes: &[u8], known: Option<&Self>) -> Result<Self> {
        if !bytes.starts_with(&GZIP_MAGIC) {
            require_text(path, bytes)?;
            return Self::from_json_after(path, bytes, known);
        }
        let mut text = Vec::new();
        GzDecoder::new(bytes)
            .take(MAX_METADATA_BYTES + 1)
            .read_to_end(&mut text)
            .map_err(|e| Error::io("decompress", path, e))?;
        if text.len() as u64 > MAX_METADATA_BYTES {
            let reason = format!("is longer than {MAX_METADATA_BYTES} bytes when decompressed");
            return Err(Error::invalid_metadata(path, "", reason));
        }
        Self::from_json_after(path, &text, known)
    }

    /// Writes a new metadata file, gzipped if its name ends in `.gz.metadata.json`.
    pub fn write_to(&self, io: &dyn FileIo, path: &str) -> Result<()> {
        let mut bytes = self.to_json_in(io.buffer())?;
        if path.ends_with(".gz.metadata.json") {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            let compressed = encoder.write_all(&bytes).and_then(|()| encoder.finish());
            bytes = compressed.map_err(|e| Error::io("compress", path, e))?;
        }
        let mut file = io.create(path)?;
        file.write_owned(bytes)?;
        file.finish()?;
        Ok(())
    }

    /// The location of the metadata file after the one at `previous`: the version in its name plus
    /// one, or 0 for a new table. `unique` tells it from others of the same version.
    pub fn next_metadata_location(&self, previous: Option<&str>, unique: &str) -> String {
        let version = match previous {
            None => 0,
            // A name without a version follows no catalog's rule: the log tells as much.
            Some(path) => metadata_version(path).unwrap_or(self.metadata_log.len() as u64) + 1,
        };
        let gzip = self
            .properties
            .get(METADATA_COMPRESSION)
            .is_some_and(|codec| codec == "gzip");
        let suffix = if gzip {
            "gz.metadata.json"
        } else {
            "metadata.json"
        };
        format!("{}/metadata/{version:05}-{unique}.{suffix}", self.location)
    }
}

/// Refuses what other engines can make of a metadata file and this library does not read.
fn require_text(path: &str, bytes: &[u8]) -> Result<()> {
    let known = UNREAD_FORMATS
        .iter()
        .find(|(magic, _)| bytes.starts_with(magic));
    match known {
        None => Ok(()),
        Some((_, what)) => Err(Error::unsupported(format!(
            "metadata file \"{path}\" {what}"
        ))),
    }
}

/// The version in the name of a metadata file: `00007-<uuid>.metadata.json` or `v7.metadata.json`.
fn metadata_version(path: &str) -> Option<u64> {
    let name = path.rsplit('/').next()?;
    let (stem, _) = name.split_once('.')?;
    let digits = match stem.split_once('-') {
        Some((digits, _)) => digits,
        None => stem.strip_prefix('v')?,
    };
    digits
        .parse()
        .ok()
        .filter(|&version: &u64| version < u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_of_metadata_files_is_named() {
        for (bytes, what) in [
            (&b"\x28\xb5\x2f\xfd\0"[..], "compressed with zstd"),
            (b"AGS1\0\0\x10\0", "that is encrypted"),
            (b"BZh91AY", "compressed with bzip2"),
        ] {
            let error = TableMetadata::from_file_bytes("/t/v1.metadata.json", bytes);
            let Err(error @ Error::Unsupported { .. }) = error else {
                unreachable!("{what}: {error:?}")
            };
            let expected = format!("not supported: metadata file \"/t/v1.metadata.json\" {what}");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn the_version_is_taken_from_both_styles_of_names() {
        assert_eq!(
            metadata_version("s3://b/t/metadata/00042-aa-bb.metadata.json"),
            Some(42)
        );
        assert_eq!(metadata_version("/t/metadata/v7.metadata.json"), Some(7));
        assert_eq!(metadata_version("/t/metadata/v8.gz.metadata.json"), Some(8));
        assert_eq!(metadata_version("/t/metadata/current.metadata.json"), None);
        assert_eq!(metadata_version("metadata"), None);
    }
}
