//! Names of objects: `<identity>/<tablespace>/<database>/<relfilenumber>-x<transaction>/{data,metadata}/<file>`, below the prefix
//! of the store. The tablespace is there because two of a cluster may have one bucket and prefix.
//!
//! A relation file number may be given again while objects of the one that had it before are still kept. So the directory
//! of a storage also tells which transaction made it.

use super::identity::own_identity;
use crate::directory::StorageKey;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::xact;

/// The directory that a storage's new objects go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageDirectory(String);

impl StorageDirectory {
    /// That of the storage `key`, which this transaction is making.
    pub fn new(key: &StorageKey) -> PgResult<Self> {
        Self::made_by(key, xact::full_transaction_id())
    }

    /// That of the storage `key`, which this transaction has made.
    pub fn made_by(key: &StorageKey, maker: u64) -> PgResult<Self> {
        let StorageKey {
            tablespace,
            database,
            rel_number,
            ..
        } = key;
        let identity = own_identity()?;
        Ok(Self(format!(
            "{identity}/{tablespace}/{database}/{rel_number}-x{maker}"
        )))
    }

    /// That of a storage one of whose objects has this name: the same, unless the cluster has another identity since.
    pub fn of_object(name: &str) -> PgResult<Option<Self>> {
        let Some((_, rest)) = directory_of(name).and_then(|directory| directory.split_once('/'))
        else {
            return Ok(None);
        };
        Ok(Some(Self(format!("{}/{rest}", own_identity()?))))
    }

    /// The relation file number of a storage, and the transaction that made it, which the name of its directory tells.
    pub fn storage_of(directory: &str) -> Option<(u32, u64)> {
        let (_, storage) = directory.rsplit_once('/')?;
        let (rel_number, maker) = storage.split_once("-x")?;
        Some((rel_number.parse().ok()?, maker.parse().ok()?))
    }

    /// The database of a storage, which the name of its directory tells.
    pub fn database_of(directory: &str) -> Option<u32> {
        directory.split('/').nth(2)?.parse().ok()
    }

    /// The same under another identity.
    pub fn under(&self, identity: &str) -> String {
        under(&self.0, identity).unwrap_or_else(|| identity.to_owned())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// The directory that a storage has under another identity.
pub fn under(directory: &str, identity: &str) -> Option<String> {
    let (_, rest) = directory.split_once('/')?;
    Some(format!("{identity}/{rest}"))
}

/// The directory of the storage that an object belongs to.
pub fn directory_of(name: &str) -> Option<&str> {
    let (subdirectory, _) = name.rsplit_once('/')?;
    let (directory, _) = subdirectory.rsplit_once('/')?;
    (directory.split('/').count() == 4).then_some(directory)
}

/// The identity of the cluster that made an object, or the directory of a storage's objects; `None` for names of local
/// files, which are relative to their directory and so shorter.
pub fn identity_of(name: &str) -> Option<&str> {
    let mut parts = name.split('/');
    let identity = parts.next()?;
    (parts.count() >= 2).then_some(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_tells_its_storage_and_its_maker() {
        let name = "0f3a/7/5/16384-x748/metadata/00001-x750-k.metadata.json";
        assert_eq!(directory_of(name), Some("0f3a/7/5/16384-x748"));
        assert_eq!(identity_of(name), Some("0f3a"));
        assert_eq!(identity_of("0f3a/5/16384-x748"), Some("0f3a"));
        assert_eq!(identity_of("data/x750-k.parquet"), None);
        assert_eq!(
            StorageDirectory::storage_of("0f3a/5/16384-x748"),
            Some((16384, 748))
        );
        assert_eq!(StorageDirectory::storage_of("0f3a/5/16384"), None);
        assert_eq!(
            StorageDirectory::database_of("0f3a/7/5/16384-x748"),
            Some(5)
        );
        assert_eq!(StorageDirectory::database_of("0f3a/7/owner"), None);
        for name in ["", "a", "a/b", "a/b/c/d/e", "a/b/c/d/e/f/g"] {
            assert_eq!(directory_of(name), None, "{name}");
        }
    }
}
