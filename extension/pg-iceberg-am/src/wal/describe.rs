//! What records say, for people.

use std::fmt::Write as _;

use pg_lakebase_core::wal::RecordKind;
use pgrx::pg_sys;

use super::record::{
    NOTE_IDENTITY, Payload, REMOVE_FILES, Reader, SYNC_FILES, WRITE_FILES, WRITE_FILES_UNSYNCED,
    read_identity,
};
use crate::directory::TableDirectory;

/// A line about a record: the table's directory, then the files.
pub fn describe(kind: RecordKind, content: &[u8]) -> String {
    text(kind, content).unwrap_or_else(|| "unreadable".to_owned())
}

fn text(kind: RecordKind, content: &[u8]) -> Option<String> {
    if kind == SYNC_FILES {
        return Some(String::new());
    }
    if kind == NOTE_IDENTITY {
        let (timeline, identity) = read_identity(content)?;
        return Some(format!("identity {identity} on timeline {timeline}"));
    }
    let (key, reader) = Reader::new(content)?;
    let mut text = TableDirectory::of(&key).to_string();
    match kind {
        WRITE_FILES | WRITE_FILES_UNSYNCED => {
            for write in reader.writes()? {
                // Writing to a string does not fail.
                let _ = match write.payload {
                    Payload::Raw(bytes) => write!(
                        text,
                        "; {} offset {} bytes {}",
                        write.name,
                        write.offset,
                        bytes.len()
                    ),
                    Payload::Edits { base, edits } => {
                        write!(text, "; {} from {base} edits {}", write.name, edits.len())
                    }
                };
            }
        }
        REMOVE_FILES => {
            let (horizon, names) = reader.removed()?;
            if horizon != pg_sys::InvalidTransactionId {
                let _ = write!(text, "; snapshotConflictHorizon {horizon}");
            }
            for name in names {
                let _ = write!(text, "; {name}");
            }
        }
        _ => {}
    }
    Some(text)
}
