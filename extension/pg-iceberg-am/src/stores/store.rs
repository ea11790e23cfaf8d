//! The store of a tablespace.

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_storage::protocol::{ObjectPath, ObjectRef, StoreId, StoreSpec};
use pgrx::pg_sys;

use crate::tablespaces::catalog::{self, Stored};

/// An object store, as the options of a tablespace describe it.
#[derive(Debug)]
pub struct Store {
    tablespace: u32,
    spec: StoreSpec,
    root: String,
}

impl Store {
    /// The store of a tablespace; `None` for one on local disk.
    pub fn of(number: u32) -> PgResult<Option<Self>> {
        let tablespace = pg_sys::Oid::from(number);
        if catalog::is_default(tablespace) {
            return Ok(None);
        }
        let Some(options) = Stored::of(tablespace).store()? else {
            return Ok(None);
        };
        let id = StoreId::new(catalog::name(tablespace)).map_err(invalid)?;
        Ok(Some(Self {
            tablespace: number,
            spec: options.spec(id),
            root: options.root(),
        }))
    }

    /// Its tablespace.
    pub fn tablespace(&self) -> u32 {
        self.tablespace
    }

    /// How the storage service comes by it.
    pub fn spec(&self) -> &StoreSpec {
        &self.spec
    }

    /// The URI that other engines know an object by.
    pub fn uri_of(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    /// The name of the object that a URI means, if it is one of this store.
    pub fn name_of<'a>(&self, uri: &'a str) -> Option<&'a str> {
        uri.strip_prefix(&*self.root)?.strip_prefix('/')
    }

    /// The object of this name.
    pub fn object(&self, name: &str) -> PgResult<ObjectRef> {
        Ok(ObjectRef {
            store: self.spec.id.clone(),
            path: path(name)?,
        })
    }
}

/// An object's name as the storage service takes it.
pub(super) fn path(name: &str) -> PgResult<ObjectPath> {
    ObjectPath::new(name).map_err(invalid)
}

/// What no tablespace should lead to.
pub(super) fn invalid(error: impl std::fmt::Display) -> PgError {
    PgError::internal(error.to_string())
}
