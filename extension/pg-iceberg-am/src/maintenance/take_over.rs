//! Saying of former owners of objects that they are gone.

use std::ffi::CString;

use pg_lakebase_core::error::{PgError, PgResult};
use pgrx::prelude::*;

use super::orphans::check_superuser;
use crate::stores::{self, Store};
use crate::tablespaces::catalog::find;

#[pg_schema]
mod lakebase {
    use super::*;

    /// Takes over the objects in the store of a tablespace that this cluster made before it was promoted, restored or copied:
    /// whoever calls this says that no other server uses them. Returns the identities under which they lie. For superusers.
    #[pg_extern(volatile, parallel_unsafe, strict)]
    fn take_over(tablespace: &str) -> SetOfIterator<'static, String> {
        let taken = super::take_over(tablespace).unwrap_or_else(|error| error.raise());
        SetOfIterator::new(taken)
    }
}

fn take_over(tablespace: &str) -> PgResult<Vec<String>> {
    check_superuser("take over the objects of other servers")?;
    let found = CString::new(tablespace).ok().and_then(|name| find(&name));
    let Some(number) = found else {
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("tablespace \"{tablespace}\" does not exist"),
        ));
    };
    match Store::of(number.to_u32())? {
        Some(store) => stores::take_over(&store),
        None => Err(PgError::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("tablespace \"{tablespace}\" is not in an object store"),
        )),
    }
}
