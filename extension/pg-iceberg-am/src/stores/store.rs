//! The store of a tablespace.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_storage::protocol::{NameError, ObjectPath, ObjectRef, StoreId, StoreSpec};
use pgrx::pg_sys;

use crate::tablespaces::StoreOptions;
use crate::tablespaces::catalog::{self, Stored};

/// A row of `pg_tablespace`, and the store that it tells of.
type Known = (Vec<u8>, Option<Arc<Store>>);

thread_local! {
    /// Of tablespaces, by number: each transaction asks several times.
    static KNOWN: RefCell<BTreeMap<u32, Known>> = const { RefCell::new(BTreeMap::new()) };
}

/// Longest name in an id: that of a tablespace, if it is in UTF-8.
const MOST_NAME_BYTES: usize = 63;

/// An object store, as the options of a tablespace describe it.
#[derive(Debug)]
pub struct Store {
    tablespace: u32,
    spec: StoreSpec,
    root: String,
}

impl Store {
    /// The store of a tablespace; `None` for one on local disk.
    pub fn of(number: u32) -> PgResult<Option<Arc<Self>>> {
        let tablespace = pg_sys::Oid::from(number);
        if catalog::is_default(tablespace) {
            return Ok(None);
        }
        let Some(row) = catalog::row(tablespace) else {
            return Ok(None);
        };
        let known = KNOWN.with_borrow(|known| {
            let known = known.get(&number).filter(|(known, _)| *known == row);
            known.map(|(_, store)| store.clone())
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let options = Stored::of(tablespace).store()?;
        let store = options.map(|options| Self::new(tablespace, &options).map(Arc::new));
        let store = store.transpose()?;
        KNOWN.with_borrow_mut(|known| known.insert(number, (row, store.clone())));
        Ok(store)
    }

    /// The store that a tablespace with these options has.
    pub fn new(tablespace: pg_sys::Oid, options: &StoreOptions) -> PgResult<Self> {
        let id = id(tablespace, options).map_err(invalid)?;
        Ok(Self {
            tablespace: tablespace.to_u32(),
            spec: options.spec(id),
            root: options.root(),
        })
    }

    /// Whether both have the same objects.
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.spec.identity() == other.spec.identity()
    }

    /// Its tablespace.
    pub fn tablespace(&self) -> u32 {
        self.tablespace
    }

    /// How the storage service comes by it.
    pub fn spec(&self) -> &StoreSpec {
        &self.spec
    }

    /// The URI that other engines know it by.
    pub fn root(&self) -> &str {
        &self.root
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

/// What the storage service knows the store by: `<name>@<tablespace>-<hash of the options>`. Each specification has an id of its
/// own, so a transaction that has begun with one goes on with it, whatever others are told since. The name is for
/// messages.
fn id(tablespace: pg_sys::Oid, options: &StoreOptions) -> Result<StoreId, NameError> {
    let name = catalog::name(tablespace).replace(|c: char| c.is_ascii_control(), "_");
    let name = &name[..name.floor_char_boundary(MOST_NAME_BYTES)];
    let number = tablespace.to_u32();
    StoreId::new(format!("{name}@{number}-{:016x}", options.hash()))
}

/// An object's name as the storage service takes it.
pub(super) fn path(name: &str) -> PgResult<ObjectPath> {
    ObjectPath::new(name).map_err(invalid)
}

/// What no tablespace should lead to.
pub(super) fn invalid(error: impl std::fmt::Display) -> PgError {
    PgError::internal(error.to_string())
}
