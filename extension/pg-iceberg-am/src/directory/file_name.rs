//! Names of new files, which tell who made them.

use std::cell::Cell;

use pg_lakebase_core::xact;

thread_local! {
    static LAST: Cell<Option<(u32, u32)>> = const { Cell::new(None) };
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
    let mut name = "m".to_owned();
    push_unique(&mut name);
    name
}

/// Whether a file, named relative to its table's directory, was written outside of transactions.
pub fn is_merged_file(name: &str) -> bool {
    name.strip_prefix("data/m").is_some()
}

fn push_unique(name: &mut String) {
    let (process, count) = LAST.get().unwrap_or_else(|| {
        let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
        ((high ^ low) as u32 % 36_u32.pow(4), 0)
    });
    LAST.set(Some((process, count.wrapping_add(1))));
    push_base_36(name, process, 4);
    push_base_36(name, count, 1);
}

fn push_base_36(name: &mut String, mut number: u32, width: usize) {
    let mut digits = Vec::new();
    while number > 0 || digits.len() < width {
        digits.push(char::from_digit(number % 36, 36).unwrap_or('0'));
        number /= 36;
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
    fn numbers_are_written_with_36_digits() {
        let mut name = String::new();
        push_base_36(&mut name, 36_u32.pow(4) - 1, 4);
        push_base_36(&mut name, 36, 1);
        push_base_36(&mut name, 0, 4);
        assert_eq!(name, "zzzz100000");
    }
}
