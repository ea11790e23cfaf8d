//! Connections as they come.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::session::{ConnectionLimits, Session};
use crate::{
    backend::one_line,
    service::StorageService,
    transport::{SocketListener, TransportError},
};

/// Pause after a connection could not be accepted: without descriptors, the next cannot either.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Peers who may not connect are told of so often.
const REFUSALS: Duration = Duration::from_secs(10);

/// Serves connections until `stop` says so, then lets requests under way end, within the limit.
pub async fn serve(
    listener: SocketListener,
    service: Arc<StorageService>,
    limits: ConnectionLimits,
    mut stop: watch::Receiver<bool>,
) {
    let mut sessions = JoinSet::new();
    let mut refused: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok(stream) => {
                let session = Session::new(Arc::clone(&service), limits, stop.clone());
                sessions.spawn(async move {
                    if let Err(error) = session.run(stream).await {
                        tracing::info!(error = one_line(&error), "connection ended");
                    }
                });
            }
            // Whoever may not connect delays nobody who may, and fills no log.
            Err(error @ TransportError::PeerRefused { .. }) => {
                if refused.is_none_or(|told| told.elapsed() >= REFUSALS) {
                    tracing::warn!(error = one_line(&error), "connection refused");
                    refused = Some(Instant::now());
                }
            }
            Err(error) => {
                tracing::warn!(error = one_line(&error), "connection not accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
        while sessions.try_join_next().is_some() {}
    }
    // Nobody finds the socket from here on.
    drop(listener);
    let ended = async { while sessions.join_next().await.is_some() {} };
    if timeout(limits.stop, ended).await.is_err() {
        tracing::warn!("requests are given up");
    }
    sessions.shutdown().await;
}
