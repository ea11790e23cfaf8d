//! Names of new files, which tell who made them.

use std::cell::Cell;

use pg_lakebase_core::xact;

thread_local! {
    static LAST: Cell<Option<(u32, u32)>> = const { Cell::new(None) };
    /// The same of files that are written outside of transactions.
    static LAST_MERGED: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

/// What tells a new file from all others of its table: `x<transaction>-<unique>`, with the id of the transaction,
/// its epoch included, in decimal. It is given one now unless it has one.
///
/// An id may be used again after a crash, when the log does not know of it. So the second part tells processes
/// apart, and files of one process.
pub fn new_file_name() -> String {
    let mut name = format!("x{}-", xact::full_transaction_id());
    push_unique(&mut name);
    name
}

/// As [`new_file_name`], for a file that is written outside of transactions: `m<unique>`.
pub fn new_merged_file_name() -> String {
    let (process, count) = LAST_MERGED
        .get()
        .unwrap_or_else(|| (uuid::Uuid::new_v4().as_u64_pair().0, 0));
    LAST_MERGED.set(Some((process, count + 1)));
    let mut name = "m".to_owned();
    push_base_35(&mut name, process, 13);
    push_base_35(&mut name, count, 1);
    name
}

/// Whether a file, named relative to its table's directory, was written outside of transactions.
pub fn is_merged_file(name: &str) -> bool {
    name.rsplit_once("data/")
        .is_some_and(|(_, file)| file.starts_with('m'))
}

fn push_unique(name: &mut String) {
    let (process, count) = LAST.get().unwrap_or_else(|| {
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        ((high ^ low) as u32 % 35_u32.pow(4), 0)
    });
    LAST.set(Some((process, count.wrapping_add(1))));
    push_base_35(name, process.into(), 4);
    push_base_35(name, count.into(), 1);
}

/// Without a z: DuckDB takes what ends with `gz.metadata.json` for compressed.
fn push_base_35(name: &mut String, mut number: u64, width: usize) {
    let mut digits = Vec::new();
    while number > 0 || digits.len() < width {
        digits.push(char::from_digit((number % 35) as u32, 35).unwrap_or('0'));
        number /= 35;
    }
    name.extend(digits.into_iter().rev());
}

/// The transaction that made a file, named relative to its table's directory; `None` for files that have their
/// names from elsewhere.
pub fn transaction_of(name: &str) -> Option<u64> {
    let file = name.rsplit('/').next()?;
    // Names of manifest lists and of metadata files begin with something else.
    file.split(['-', '.']).take(2).find_map(|part| {
        let digits = part.strip_prefix('x')?;
        let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
        is_plain.then(|| digits.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transaction_is_read_from_every_kind_of_name() {
        for name in [
            "data/x748-k3x91.parquet",
            "metadata/00007-x748-k3x91.metadata.json",
            "metadata/snap-x748-k3x91.avro",
            "metadata/x748-k3x91-m0.avro",
        ] {
            assert_eq!(transaction_of(name), Some(748), "{name}");
        }
        for name in [
            "data/left.parquet",
            "data/mx7480.parquet",
            "data/00000-12-7b1f.parquet",
            "data/x0748-k3x91.parquet",
            "data/x-1.parquet",
            "data/x74f-1.parquet",
            "data/x99999999999999999999-1.parquet",
            "metadata/a-b-x748.avro",
            "",
        ] {
            assert_eq!(transaction_of(name), None, "{name}");
        }
    }

    #[test]
    fn numbers_are_written_with_35_digits() {
        let mut name = String::new();
        push_base_35(&mut name, 35_u64.pow(4) - 1, 4);
        push_base_35(&mut name, 35, 1);
        push_base_35(&mut name, 0, 4);
        assert_eq!(name, "yyyy100000");
    }

    /// Once in 1,296 metadata files DuckDB said "Input is not a GZIP stream".
    #[test]
    fn no_metadata_file_looks_compressed() {
        for number in 0..5000 {
            let mut name = String::new();
            push_base_35(&mut name, number, 1);
            assert!(!name.ends_with("gz"), "{name}");
        }
    }

    #[test]
    fn merged_files_have_names_of_their_own() {
        let names = [new_merged_file_name(), new_merged_file_name()];
        assert_ne!(names[0], names[1]);
        for name in names {
            let name = format!("data/{name}.parquet");
            assert!(is_merged_file(&name));
            assert_eq!(transaction_of(&name), None);
        }
    }
}
