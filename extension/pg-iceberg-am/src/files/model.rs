//! Files that others are logged by: as the difference from them.

use std::cell::RefCell;

use crate::directory::TableDirectory;

thread_local! {
    static LAST: RefCell<Option<(TableDirectory, Model)>> = const { RefCell::new(None) };
}

/// A file that is in the log.
pub struct Model {
    /// Its name, relative to the table's directory.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Model {
    /// The file `name` of a table. It is read for the log's sake alone: if that is not possible, the
    /// other file is logged whole.
    pub fn find(directory: &TableDirectory, name: &str) -> Option<Self> {
        let last = LAST.take();
        if let Some((last_directory, last)) = last
            && last_directory == *directory
            && last.name == name
        {
            return Some(last);
        }
        let bytes = std::fs::read(format!("{directory}/{name}")).ok()?;
        Some(Self {
            name: name.to_owned(),
            bytes,
        })
    }

    /// Keeps a file just logged: the next one is likely to be like it.
    pub fn keep(directory: &TableDirectory, name: String, bytes: Vec<u8>) {
        LAST.set(Some((directory.clone(), Self { name, bytes })));
    }
}
