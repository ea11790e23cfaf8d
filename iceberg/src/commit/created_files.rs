//! File IO that remembers what it created, so that a failed call can take it back.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::Result;
use crate::io::{FileIo, InputFile, OutputFile};
use crate::manifest::ManifestCache;
use crate::scan::{DeleteCache, FooterCache};

/// A decorator that notes every created file.
pub struct CreatedFiles<'a> {
    io: &'a dyn FileIo,
    paths: RefCell<Vec<String>>,
}

impl<'a> CreatedFiles<'a> {
    pub fn new(io: &'a dyn FileIo) -> Self {
        Self {
            io,
            paths: RefCell::default(),
        }
    }

    /// Runs `work`; if it fails, what it created is deleted. Returns what was created.
    pub fn guard<T>(self, work: impl FnOnce(&Self) -> Result<T>) -> Result<(T, Vec<String>)> {
        match work(&self) {
            Ok(value) => Ok((value, self.paths.into_inner())),
            Err(error) => {
                for path in self.paths.into_inner() {
                    // The error of the work is what the caller must see; a file that cannot be
                    // deleted is an orphan, which maintenance finds.
                    let _ = self.io.delete(&path);
                }
                Err(error)
            }
        }
    }
}

#[deny(clippy::missing_trait_methods)]
impl FileIo for CreatedFiles<'_> {
    fn open(&self, path: &str, length: Option<u64>) -> Result<Arc<dyn InputFile>> {
        self.io.open(path, length)
    }

    fn create(&self, path: &str) -> Result<Box<dyn OutputFile>> {
        let file = self.io.create(path)?;
        self.paths.borrow_mut().push(path.to_owned());
        Ok(file)
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.paths.borrow_mut().retain(|created| created != path);
        self.io.delete(path)
    }

    fn unique_name(&self) -> String {
        self.io.unique_name()
    }

    fn buffer(&self) -> Vec<u8> {
        self.io.buffer()
    }

    fn manifest_cache(&self) -> Option<Rc<ManifestCache>> {
        self.io.manifest_cache()
    }

    fn footer_cache(&self) -> Option<Rc<FooterCache>> {
        self.io.footer_cache()
    }

    fn delete_cache(&self) -> Option<Rc<DeleteCache>> {
        self.io.delete_cache()
    }
}
