//! The state machine of a connection: greeting, then requests side by side.

use std::{any::Any, fmt::Display, fs::File, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    net::UnixStream,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    protocol::{
        Failure, FailureCode, FrameHeader, PROTOCOL_VERSIONS, Request, RequestId, Response,
        answer_limit, service_limit,
    },
    service::StorageService,
    transport::{FrameReader, FrameWriter, OutgoingFrame, TransportError},
};

/// What a connection may use.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Longest time for the greeting, for the rest of a frame that has begun to come in, and for a
    /// frame to go out.
    pub frame: Duration,
    /// Requests in flight; more are refused.
    pub requests: usize,
    /// Longest time that requests under way get when the daemon stops.
    pub stop: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            frame: Duration::from_secs(30),
            requests: 32,
            stop: Duration::from_secs(5),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    service: Arc<StorageService>,
    limits: ConnectionLimits,
    stop: watch::Receiver<bool>,
}

/// Where answers go. Waits while the client does not take them.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    outgoing: mpsc::Sender<OutgoingFrame>,
}

impl Answers {
    pub(super) async fn send(&self, id: RequestId, response: &Response, descriptor: Option<File>) {
        let frame = response.encode(id);
        // The writer is gone when the client is; nobody wants the answer then.
        let _ = self
            .outgoing
            .send(OutgoingFrame { frame, descriptor })
            .await;
    }

    async fn refuse(&self, id: RequestId, message: &str) {
        let failure = Failure::permanent(FailureCode::BadRequest, "connection", message);
        self.send(id, &Response::Failed(failure), None).await;
    }
}

impl Session {
    pub fn new(
        service: Arc<StorageService>,
        limits: ConnectionLimits,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            service,
            limits,
            stop,
        }
    }

    /// Serves a client until it goes away or the daemon stops.
    ///
    /// # Errors
    /// [`TransportError`] when the connection breaks or the client does not keep to the protocol.
    pub async fn run(self, stream: UnixStream) -> Result<(), TransportError> {
        let (read, write) = stream.into_split();
        let mut reader = FrameReader::new(read, self.limits.frame);
        let mut writer = FrameWriter::new(write, self.limits.frame);
        let (outgoing, mut queue) = mpsc::channel::<OutgoingFrame>(1);
        let writing = async move {
            while let Some(frame) = queue.recv().await {
                writer.write(&frame).await?;
            }
            Ok(())
        };
        let serving = async {
            let answers = Answers { outgoing };
            self.greet(&mut reader, &answers).await?;
            self.serve(&mut reader, answers).await
        };
        // The writer ends after the last answer. When it ends early, the other side sees the queue
        // closed, and has its uploads to abort before it ends.
        let (served, written): (_, Result<(), TransportError>) = tokio::join!(serving, writing);
        served.and(written)
    }

    /// The first frame must be a greeting with a version that is spoken here.
    async fn greet(
        &self,
        reader: &mut FrameReader,
        answers: &Answers,
    ) -> Result<(), TransportError> {
        let ended = |source| TransportError::Io {
            operation: "greet",
            source,
        };
        let frame = timeout(self.limits.frame, reader.next())
            .await
            .map_err(|_| TransportError::TimedOut {
                operation: "greet",
                limit: self.limits.frame,
            })??;
        // Connected and gone: somebody looked whether we listen.
        let Some((header, payload)) = frame else {
            return Ok(());
        };
        let refusal = match Request::decode(header.kind, &payload) {
            Ok(Request::Hello { oldest, newest }) => {
                let version = newest.min(*PROTOCOL_VERSIONS.end());
                if version >= oldest && PROTOCOL_VERSIONS.contains(&version) {
                    let welcome = Response::Welcome { version };
                    answers.send(header.request_id, &welcome, None).await;
                    return Ok(());
                }
                Failure::permanent(
                    FailureCode::UnsupportedVersion,
                    "connection",
                    format!(
                        "the client speaks protocol versions {oldest} to {newest}, the service {} to {}",
                        PROTOCOL_VERSIONS.start(),
                        PROTOCOL_VERSIONS.end()
                    ),
                )
            }
            _ => Failure::permanent(
                FailureCode::BadRequest,
                "connection",
                "the first request is not a greeting",
            ),
        };
        let message = refusal.message.clone();
        let response = Response::Failed(refusal);
        answers.send(header.request_id, &response, None).await;
        Err(ended(std::io::Error::other(message)))
    }

    async fn serve(
        &self,
        reader: &mut FrameReader,
        answers: Answers,
    ) -> Result<(), TransportError> {
        let mut stop = self.stop.clone();
        // Dropped with this future: that cancels them.
        let mut requests = JoinSet::new();
        let ended = loop {
            let frame = tokio::select! {
                frame = reader.next() => frame,
                _ = stop.wait_for(|stop| *stop) => break Ending::Stopping,
                () = answers.outgoing.closed() => break Ending::ClientGone,
            };
            // Before requests in flight are counted.
            while requests.try_join_next().is_some() {}
            match frame {
                Ok(Some((header, payload))) => {
                    let begun = self.begin(header, &payload, reader, &mut requests, &answers);
                    begun.await;
                }
                Ok(None) => break Ending::ClientGone,
                Err(error) => break Ending::Broken(error),
            }
        };
        match ended {
            Ending::Stopping => {
                while requests.join_next().await.is_some() {}
                Ok(())
            }
            Ending::ClientGone => {
                requests.shutdown().await;
                Ok(())
            }
            Ending::Broken(error) => {
                requests.shutdown().await;
                Err(error)
            }
        }
    }

    async fn begin(
        &self,
        header: FrameHeader,
        payload: &[u8],
        reader: &mut FrameReader,
        requests: &mut JoinSet<()>,
        answers: &Answers,
    ) {
        let id = header.request_id;
        let request = match Request::decode(header.kind, payload) {
            Ok(request) => request,
            Err(error) => return answers.refuse(id, &error.to_string()).await,
        };
        match request {
            Request::Hello { .. } => answers.refuse(id, "greeted already").await,
            Request::Touch(object) => self.service.touch(&object),
            Request::Prefetch {
                object,
                size,
                ranges,
            } => self.service.prefetch(object, size, ranges),
            request if requests.len() >= self.limits.requests => {
                if matches!(request, Request::Put { .. }) {
                    drop(reader.take_descriptor());
                }
                let message = format!(
                    "a request of kind {} is one more than {} in flight",
                    request.kind(),
                    self.limits.requests
                );
                answers.refuse(id, &message).await;
            }
            request => {
                let descriptor = match request {
                    Request::Put { .. } => match reader.take_descriptor() {
                        Some(descriptor) => Some(File::from(descriptor)),
                        None => return answers.refuse(id, "no descriptor came with it").await,
                    },
                    _ => None,
                };
                let (service, answers) = (Arc::clone(&self.service), answers.clone());
                let limit = service_limit(header.limit.unwrap_or_else(|| answer_limit(0)));
                let deadline = Instant::now() + limit;
                requests.spawn(async move {
                    let kind = request.kind();
                    let answered = answer(&service, request, descriptor, deadline);
                    // What the request had of the service is given back as when it is cancelled.
                    let answered = AssertUnwindSafe(answered).catch_unwind().await;
                    let (response, descriptor) = answered
                        .unwrap_or_else(|panic| (Response::Failed(panicked(kind, &*panic)), None));
                    answers.send(id, &response, descriptor).await;
                });
            }
        }
    }
}

enum Ending {
    ClientGone,
    Stopping,
    Broken(TransportError),
}

/// What the client is told of a request that has panicked. The log says where.
fn panicked(kind: impl Display, panic: &(dyn Any + Send)) -> Failure {
    let said = (panic.downcast_ref::<&str>().copied())
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = format!(
        "the service is at fault: a request of kind {kind} panicked: {}",
        said.unwrap_or("it does not say why").replace('\n', " ")
    );
    Failure::permanent(FailureCode::Internal, "connection", message)
}

/// Carries out a request before its deadline; `descriptor` came with it, if it is one that has any.
async fn answer(
    service: &Arc<StorageService>,
    request: Request,
    descriptor: Option<File>,
    deadline: Instant,
) -> (Response, Option<File>) {
    let response = match (request, descriptor) {
        (Request::OpenStore(spec), _) => service.open_store(spec).await.map(|()| Response::Done),
        (Request::CloseStore(store), _) => {
            service.close_store(&store).await.map(|()| Response::Done)
        }
        (Request::Head(object), _) => service.head(&object, deadline).await.map(Response::Object),
        (
            Request::Want {
                object,
                size,
                ranges,
            },
            _,
        ) => match service.want(&object, size, &ranges, deadline).await {
            Ok((file, meta)) => return (Response::Have(meta), Some(file)),
            Err(failure) => Err(failure),
        },
        (
            Request::Put {
                object,
                length,
                checksum,
                condition,
            },
            Some(file),
        ) => service
            .put(&object, file, length, checksum, &condition, deadline)
            .await
            .map(Response::Object),
        (Request::Delete { store, paths }, _) => service
            .delete(&store, paths, deadline)
            .await
            .map(|()| Response::Done),
        (
            Request::List {
                store,
                prefix,
                token,
                limit,
            },
            _,
        ) => {
            service
                .list(&store, prefix.as_ref(), token.as_deref(), limit, deadline)
                .await
        }
        (Request::Status, _) => Ok(Response::Status(service.status())),
        (
            Request::Hello { .. }
            | Request::Touch(_)
            | Request::Prefetch { .. }
            | Request::Put { .. },
            _,
        ) => Err(Failure::permanent(
            FailureCode::BadRequest,
            "connection",
            "the request belongs to the connection",
        )),
    };
    (response.unwrap_or_else(Response::Failed), None)
}
