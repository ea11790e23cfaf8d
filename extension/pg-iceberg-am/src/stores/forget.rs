//! Stores that nobody means any more.

use std::time::Duration;

use pg_lakebase_storage::client::{Client, Uninterrupted};
use pg_lakebase_storage::protocol::StoreId;

use crate::storage_service::{settings, supervision};
use crate::tablespaces::StoreOptions;

/// How long either request may take.
const LIMIT: Duration = Duration::from_secs(1);

/// Has the storage service, if it runs, forget the store of a tablespace and what is cached of it. Until then the name
/// stands for this store there, and can stand for no other. An error is left to whoever needs the name.
pub fn forget(options: &StoreOptions, tablespace: &str) {
    if !supervision::answers() {
        return;
    }
    let Ok(id) = StoreId::new(tablespace) else {
        return;
    };
    let mut config = settings::client();
    config.limit = |_| LIMIT;
    let mut client = Client::new(config, Uninterrupted);
    // Another server's of the same name, in a service of both, is not forgotten.
    let closed =
        (client.open_store(options.spec(id.clone()))).and_then(|()| client.close_store(&id));
    if let Err(error) = closed {
        pgrx::debug1!("the storage service still knows store \"{tablespace}\": {error}");
    }
}
