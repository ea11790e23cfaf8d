//! Stores that nobody means any more.

use std::time::Duration;

use pg_lakebase_storage::client::{Client, Uninterrupted};

use super::store::Store;
use crate::storage_service::{settings, supervision};

/// How long either request may take.
const LIMIT: Duration = Duration::from_secs(1);

/// Has the storage service, if it runs, forget a store, and what is cached of it unless another has the same place: such as
/// `successor`, which takes its place. Who still uses it makes it known again. An error leaves a store that nobody uses.
pub fn forget(store: &Store, successor: Option<&Store>) {
    if !supervision::answers() {
        return;
    }
    let mut config = settings::client();
    config.limit = |_| LIMIT;
    let mut client = Client::new(config, Uninterrupted);
    let opened = match successor {
        Some(successor) => client.open_store(successor.spec().clone()),
        None => Ok(()),
    };
    let id = &store.spec().id;
    if let Err(error) = opened.and_then(|()| client.close_store(id)) {
        pgrx::debug1!("the storage service still knows store \"{id}\": {error}");
    }
}
