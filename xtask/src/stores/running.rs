//! All stores for a command that needs them as long as it runs.

use super::place::{Faults, Place, STORES};
use crate::cache::{Cache, remove_tree};
use crate::guardian::Guardian;
use crate::progress::note;
use anyhow::Result;
use std::fs::File;

/// Empty stores, each with a proxy before it, in a directory of their own. They are stopped when this is dropped, and when
/// this process ends without doing so.
pub struct Running {
    places: Vec<Place>,
    _guardian: Guardian,
    _lock: File,
}

impl Running {
    pub fn start(cache: &Cache) -> Result<Self> {
        let lock = cache.lock("stores")?;
        let dir = cache.root().join("stores").join("tests");
        let places = || STORES.map(|store| Place::at(&dir, store)).into_iter();
        // What an earlier run left behind.
        places().try_for_each(|place| place?.stop())?;
        remove_tree(&dir)?;
        let directories = STORES.map(|store| Place::directories(&dir, store));
        let running = Self {
            _guardian: Guardian::over(directories.into_iter().flatten())?,
            places: places().collect::<Result<_>>()?,
            _lock: lock,
        };
        for place in &running.places {
            place.start(cache, Faults::OnCommand)?;
        }
        Ok(running)
    }

    /// What the tests of `storage` want to know of them.
    pub fn variables(&self) -> Result<Vec<(&'static str, String)>> {
        let mut all = Vec::new();
        for place in &self.places {
            all.extend(place.variables()?);
        }
        Ok(all)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for place in &self.places {
            if let Err(error) = place.stop() {
                note(format!("{error:#}"));
            }
        }
    }
}
