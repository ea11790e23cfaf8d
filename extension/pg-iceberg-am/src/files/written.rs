//! What a transaction has written into a storage: to log and to make durable before it commits, or to remove.

use std::cell::{Cell, RefCell};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file::{self, VfdFile};
use pg_lakebase_core::injection;
use pg_lakebase_core::relation::Persistence;
use pg_lakebase_core::wal as core_wal;

use super::held::{self, Held};
use super::model::Model;
use super::sync_queue::Handover;
use crate::directory::{StorageKey, TableDirectory};
use crate::wal::{self, FileContent};

/// The files that a transaction has made in one storage.
pub struct Written {
    key: StorageKey,
    directory: TableDirectory,
    /// Whether the storage has to survive a crash.
    durable: bool,
    /// Whether it also goes into the write-ahead log.
    logged: bool,
    /// Names of the files created, relative to the table's directory.
    created: RefCell<Vec<String>>,
    /// Whether the log knows of any of them.
    in_log: Cell<bool>,
    finished: RefCell<Vec<Finished>>,
}

/// A whole file that is not durable yet.
struct Finished {
    name: String,
    file: VfdFile,
    /// What is not in the log yet: the file from this offset on.
    unlogged: Option<(u64, Held)>,
}

impl Finished {
    /// What is not in the log yet; a file of which nothing is may be told as the difference from `model`.
    fn unlogged_content<'a>(&'a self, model: Option<&'a Model>) -> Option<FileContent<'a>> {
        let (offset, content) = self.unlogged.as_ref()?;
        let model = model.filter(|_| *offset == 0);
        Some(FileContent {
            name: &self.name,
            offset: *offset,
            bytes: content.bytes(),
            like: model.map(|model| (&*model.name, &*model.bytes)),
        })
    }
}

impl Written {
    /// Nothing yet. Without a persistence, for a storage that is only read.
    pub fn new(key: StorageKey, persistence: Option<Persistence>) -> Self {
        let durable = persistence == Some(Persistence::Permanent);
        Self {
            key,
            directory: TableDirectory::of(&key),
            durable,
            logged: durable && core_wal::is_needed(),
            created: RefCell::default(),
            in_log: Cell::new(false),
            finished: RefCell::default(),
        }
    }

    /// The directory that the files lie in.
    pub fn directory(&self) -> &TableDirectory {
        &self.directory
    }

    /// Whether files have to survive a crash.
    pub fn is_durable(&self) -> bool {
        self.durable
    }

    /// Notes a file that was created.
    pub fn note_created(&self, name: String) {
        self.created.borrow_mut().push(name);
    }

    /// Forgets a file that was deleted.
    pub fn note_deleted(&self, name: &str) {
        self.created.borrow_mut().retain(|created| created != name);
        self.finished.borrow_mut().retain(|file| file.name != name);
        if self.in_log.get() {
            wal::remove_files(&self.key, None, [name].into_iter());
        }
    }

    /// Logs a part of a large file, which is on disk by now.
    pub fn log_chunk(&self, name: &str, offset: u64, bytes: &[u8]) {
        if self.logged {
            self.in_log.set(true);
            let chunk = FileContent {
                name,
                offset,
                bytes,
                like: None,
            };
            wal::write_files(&self.key, &[chunk]);
        }
    }

    /// Takes over a file that is whole, of which nothing from `offset` on, which is `rest`, is in the log yet.
    pub fn finish(&self, name: String, file: VfdFile, offset: u64, rest: Vec<u8>) {
        if !self.durable {
            return;
        }
        let unlogged = self.logged.then(|| (offset, Held::new(rest)));
        self.finished.borrow_mut().push(Finished {
            name,
            file,
            unlogged,
        });
        if held::is_too_much() {
            self.log_finished();
        }
    }

    /// Logs the files that are whole.
    fn log_finished(&self) {
        let mut finished = self.finished.borrow_mut();
        let unlogged: Vec<FileContent<'_>> = finished
            .iter()
            .filter_map(|file| file.unlogged_content(None))
            .collect();
        self.in_log.set(true);
        wal::write_files(&self.key, &unlogged);
        for file in finished.iter_mut() {
            file.unlogged = None;
        }
    }

    /// Makes every finished file durable: by the log, where there is one, or on disk.
    ///
    /// `like` names, of a file, another one that it repeats for the most part.
    pub fn sync<'a>(&self, like: impl Fn(&str) -> Option<&'a str>) -> PgResult<()> {
        let finished = self.finished.take();
        if finished.is_empty() {
            return Ok(());
        }
        if !self.logged {
            return self.sync_now(&finished);
        }
        let models: Vec<Option<Model>> = finished
            .iter()
            .map(|file| Model::find(&self.directory, like(&file.name)?))
            .collect();
        let handover = Handover::begin();
        let unlogged: Vec<FileContent<'_>> = finished
            .iter()
            .zip(&models)
            .filter_map(|(file, model)| file.unlogged_content(model.as_ref()))
            .collect();
        self.in_log.set(true);
        let all_small = finished
            .iter()
            .all(|file| matches!(file.unlogged, Some((0, _))));
        if all_small {
            wal::write_files_unsynced(&self.key, &unlogged, handover.delay());
        } else {
            wal::write_files(&self.key, &unlogged);
        }
        injection::point(c"iceberg-files-logged");
        let paths: Vec<&str> = finished.iter().map(|file| file.file.path()).collect();
        if !(all_small && handover.leave_to_syncer(&paths)) {
            self.sync_now(&finished)?;
            if all_small {
                wal::sync_files();
            }
        }
        drop(handover);
        for (file, model) in finished.into_iter().zip(models) {
            if let (Some(model), Some((0, content))) = (model, file.unlogged) {
                held::recycle(model.bytes);
                Model::keep(&self.directory, file.name, content.take());
            }
        }
        Ok(())
    }

    /// Write-back of all files begins before the first is waited for.
    fn sync_now(&self, finished: &[Finished]) -> PgResult<()> {
        for Finished { file, .. } in finished {
            file.start_writeback(file.size().unwrap_or(0));
        }
        for Finished { file, .. } in finished {
            file.sync()
                .map_err(|source| PgError::file_access("sync file", file.path(), &source))?;
        }
        self.directory.sync()
    }

    /// Removes every file created: the transaction is rolled back.
    ///
    /// Failures are ignored: the file is an orphan then, which no metadata names.
    pub fn remove_created(&self) {
        self.finished.borrow_mut().clear();
        let created = self.created.take();
        for name in &created {
            let _ = file::remove_file(&format!("{}/{name}", self.directory));
        }
        if self.in_log.get() && !created.is_empty() {
            wal::remove_files(&self.key, None, created.iter().map(String::as_str));
        }
    }
}
