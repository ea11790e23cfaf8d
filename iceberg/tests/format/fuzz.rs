//! The fuzz targets' entry functions on damaged fixtures.

use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::Index;

use iceberg_lite::manifest::encode_data_file;

use crate::support::{data_file, fixtures, testdata};

#[path = "../../fuzz/entry.rs"]
mod entry;

const TABLES: [&str; 3] = [
    "pyiceberg-v1-partitioned",
    "pyiceberg-v2-partitioned",
    "pyiceberg-v2-types",
];

fn files(suffix: &str, directories: &[&str]) -> Vec<Vec<u8>> {
    let names = directories.iter().flat_map(|directory| {
        fixtures(directory, suffix)
            .into_iter()
            .map(move |name| testdata().join(directory).join(name))
    });
    names.map(|path| std::fs::read(path).unwrap()).collect()
}

fn metadata_files() -> &'static [Vec<u8>] {
    static FILES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    FILES.get_or_init(|| files(".metadata.json", &["", "broken", TABLES[1]]))
}

fn avro_files() -> &'static [Vec<u8>] {
    static FILES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    FILES.get_or_init(|| {
        let mut files = files(".avro", &["broken", TABLES[0], TABLES[1], TABLES[2]]);
        files.push(encode_data_file(&data_file("a", 3)).unwrap());
        files
    })
}

/// Some bytes are replaced, a part is cut out, another is said twice.
fn damage(
    bytes: &[u8],
    edits: Vec<(Index, u8)>,
    cut: (Index, usize),
    copy: (Index, usize),
) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, byte) in edits {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
    }
    let part = |length: usize, (at, wanted): (Index, usize)| {
        let start = at.index(length + 1);
        start..(start + wanted).min(length)
    };
    let copied = bytes[part(bytes.len(), copy)].to_vec();
    bytes.drain(part(bytes.len(), cut));
    let at = copy.0.index(bytes.len() + 1);
    bytes.splice(at..at, copied);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_metadata_never_panic(
        file in any::<Index>(),
        edits in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        cut in (any::<Index>(), 0_usize..20),
        copy in (any::<Index>(), 0_usize..60),
    ) {
        entry::metadata_json(&damage(file.get::<Vec<u8>>(metadata_files()), edits, cut, copy));
    }

    #[test]
    fn damaged_manifests_never_panic(
        file in any::<Index>(),
        edits in proptest::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        cut in (any::<Index>(), 0_usize..20),
        copy in (any::<Index>(), 0_usize..60),
    ) {
        entry::manifest_avro(&damage(file.get::<Vec<u8>>(avro_files()), edits, cut, copy));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        entry::metadata_json(&bytes);
        entry::manifest_avro(&bytes);
        let container = [b"Obj\x01".as_slice(), &bytes].concat();
        entry::manifest_avro(&container);
    }
}

#[test]
fn undamaged_fixtures_pass_too() {
    metadata_files()
        .iter()
        .for_each(|bytes| entry::metadata_json(bytes));
    avro_files()
        .iter()
        .for_each(|bytes| entry::manifest_avro(bytes));
}
