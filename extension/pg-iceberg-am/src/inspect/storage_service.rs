//! How the storage service is.

use pgrx::prelude::*;

use super::progress::timestamp;
use crate::storage_service::place;
use crate::storage_service::settings::{self, Provider};
use crate::storage_service::supervision::{self, Stage};

#[pg_schema]
mod lakebase {
    use super::*;

    /// How the storage service is: read `lakebase.storage_service` instead.
    #[pg_extern(volatile, parallel_safe)]
    #[expect(clippy::type_complexity, reason = "the columns of a SQL function")]
    fn storage_service_status() -> TableIterator<
        'static,
        (
            name!(status, &'static str),
            name!(socket, Option<String>),
            name!(pid, Option<i32>),
            name!(started, Option<TimestampWithTimeZone>),
            name!(restarts, i64),
            name!(last_error, Option<String>),
            name!(last_error_at, Option<TimestampWithTimeZone>),
        ),
    > {
        let board = supervision::read();
        let provider = settings::provider();
        let status = match (&provider, board.stage) {
            (Provider::Other(_), _) => "external",
            (Provider::Nobody, Stage::Stopped) => "off",
            (_, Stage::Stopped) => "stopped",
            (_, Stage::Asked(_) | Stage::Starting) => "starting",
            (_, Stage::Running) => "running",
            (_, Stage::Failed) => "failed",
        };
        let socket = match provider {
            Provider::Other(socket) => Some(socket),
            Provider::Nobody => None,
            Provider::Server | Provider::ServerIfNeeded => Some(place::absolute(place::socket())),
        };
        TableIterator::once((
            status,
            socket.map(|path| path.to_string_lossy().into_owned()),
            (board.pid != 0).then_some(board.pid),
            board.started.filter(|_| board.pid != 0).and_then(timestamp),
            (board.starts - 1).max(0),
            board.last_failure.map(|failure| failure.message.text()),
            board.last_failure.and_then(|failure| timestamp(failure.at)),
        ))
    }
}
