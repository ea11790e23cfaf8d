//! A server of one page. It speaks as much HTTP as a scraper needs: one request a connection.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

use super::text::metrics_text;
use crate::{
    backend::one_line,
    service::StorageService,
    transport::{PeerPolicy, SocketListener, TransportError},
};

/// Longest request that is read.
const MAX_REQUEST_BYTES: usize = 8192;
/// Longest time for a request to come and its answer to go.
const LIMIT: Duration = Duration::from_secs(5);
/// Scrapers that are answered at once; further ones wait to be accepted.
const CONNECTIONS: usize = 8;
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where metrics are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsAddress {
    /// A port of this machine alone.
    Loopback(SocketAddr),
    Socket(PathBuf),
}

impl FromStr for MetricsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains('/') {
            return Ok(Self::Socket(text.into()));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Loopback(address)),
            Ok(_) => Err("the address is not a loopback address".to_owned()),
            Err(_) => Err("neither a path with a slash nor ADDRESS:PORT".to_owned()),
        }
    }
}

impl fmt::Display for MetricsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback(address) => address.fmt(f),
            Self::Socket(path) => path.display().fmt(f),
        }
    }
}

/// A socket that scrapers connect to.
#[derive(Debug)]
pub enum MetricsListener {
    Loopback(TcpListener),
    Socket(SocketListener),
}

impl MetricsListener {
    /// Listens at `address`; at a socket for the users of `policy`, with permissions `mode`.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn bind(
        address: &MetricsAddress,
        mode: u32,
        policy: PeerPolicy,
    ) -> Result<Self, TransportError> {
        match address {
            MetricsAddress::Loopback(address) => match TcpListener::bind(address).await {
                Ok(listener) => Ok(Self::Loopback(listener)),
                Err(source) => Err(TransportError::Io {
                    operation: "listen at the address for metrics",
                    source,
                }),
            },
            MetricsAddress::Socket(path) => {
                SocketListener::bind(path, mode, policy).map(Self::Socket)
            }
        }
    }

    async fn accept(&self) -> Result<Box<dyn Stream>, TransportError> {
        match self {
            Self::Loopback(listener) => match listener.accept().await {
                Ok((stream, _)) => Ok(Box::new(stream)),
                Err(source) => Err(TransportError::Io {
                    operation: "accept a connection",
                    source,
                }),
            },
            Self::Socket(listener) => Ok(Box::new(listener.accept().await?)),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Answers scrapers until `stop` says so.
pub async fn serve_metrics(
    listener: MetricsListener,
    service: Arc<StorageService>,
    mut stop: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let serving = async {
        loop {
            // Never closed.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let accepted = listener.accept().await;
            let service = Arc::clone(&service);
            match accepted {
                Ok(stream) => {
                    tokio::spawn(async move {
                        let _permit = permit;
                        // A scraper that is gone or too slow misses this answer.
                        let _ = timeout(LIMIT, answer(stream, &service)).await;
                    });
                }
                Err(error @ TransportError::PeerRefused { .. }) => {
                    tracing::debug!(error = one_line(&error), "scraper refused");
                }
                Err(error) => {
                    tracing::warn!(error = one_line(&error), "scraper not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = serving => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

async fn answer(mut stream: Box<dyn Stream>, service: &StorageService) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !is_complete(&request) && request.len() < MAX_REQUEST_BYTES {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    let (status, body) = match target(&request) {
        Some("/metrics" | "/") => ("200 OK", metrics_text(&service.status())),
        Some(_) => ("404 Not Found", "metrics are at /metrics\n".to_owned()),
        None => ("400 Bad Request", "only GET is understood\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

/// Has the head of a request come, to the empty line at its end?
fn is_complete(request: &[u8]) -> bool {
    request.windows(4).any(|end| end == b"\r\n\r\n")
}

/// What a GET is for, without its query.
fn target(request: &[u8]) -> Option<&str> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_get = method == "GET" && version.starts_with("HTTP/1.") && is_complete(request);
    is_get.then(|| target.split('?').next().unwrap_or(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_stay_on_this_machine() {
        for (text, is_allowed) in [
            ("127.0.0.1:9187", true),
            ("[::1]:9187", true),
            ("/run/lakebase/metrics.sock", true),
            ("./metrics", true),
            ("0.0.0.0:9187", false),
            ("10.0.0.1:9187", false),
            ("9187", false),
            ("localhost", false),
        ] {
            assert_eq!(text.parse::<MetricsAddress>().is_ok(), is_allowed, "{text}");
        }
    }

    #[test]
    fn a_request_is_understood_or_refused() {
        let get =
            |line: &str| target(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()).map(str::to_owned);
        assert_eq!(
            get("GET /metrics?a=b HTTP/1.1").as_deref(),
            Some("/metrics")
        );
        for bad in [
            "POST /metrics HTTP/1.1",
            "GET /metrics",
            "",
            "GET /metrics SPDY/3",
        ] {
            assert_eq!(get(bad), None, "{bad}");
        }
        assert_eq!(target(b"GET /metrics HTTP/1.1\r\n"), None);
        assert_eq!(target(b"\xff"), None);
    }
}
