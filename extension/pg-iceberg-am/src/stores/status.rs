//! What the storage service tells of itself.

use std::time::Duration;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_storage::client::{Client, ClientError};
use pg_lakebase_storage::protocol::Status;

use super::client::{QueryInterrupts, outcome};
use crate::error::StoreError;
use crate::storage_service::{settings, supervision};

/// How long it may take: it asks no store for that.
const LIMIT: Duration = Duration::from_secs(2);

/// What has come of asking for it.
pub enum Told {
    /// There is no service; none is started for the question.
    Nothing,
    /// It does not answer.
    Error(ClientError),
    /// Its status.
    Status(Status),
}

/// Asks the service for its status.
///
/// # Errors
/// What interrupts raise.
pub fn status() -> PgResult<Told> {
    if !supervision::answers() {
        return Ok(Told::Nothing);
    }
    let mut config = settings::client();
    config.limit = |_| LIMIT;
    match outcome(Client::new(config, QueryInterrupts).status()) {
        Ok(status) => Ok(Told::Status(status)),
        Err(StoreError::Client(error)) => Ok(Told::Error(error)),
        Err(StoreError::Raised(error)) => Err(error),
    }
}
