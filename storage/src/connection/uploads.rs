//! The uploads of a connection: one task each, fed by `PutData`, ended by `PutFinish` or the
//! connection's end.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    sync::Arc,
};

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinSet};
use xxhash_rust::xxh3::Xxh3;

use super::session::{Answers, ConnectionLimits};
use crate::{
    backend::{PutBody, PutSource},
    protocol::{Failure, FailureCode, ObjectRef, RequestId, Response, UploadId},
    service::StorageService,
};

/// Pieces waiting for the store; more wait in the socket, so that a client is as fast as its store.
const QUEUED_PIECES: usize = 4;

enum Step {
    Data(Bytes),
    Finish(RequestId, Answers),
}

/// Uploads under way. A step to an upload that does not exist, or has failed, is remembered until
/// its end is asked for: only that is answered.
#[derive(Debug)]
pub(super) struct Uploads {
    service: Arc<StorageService>,
    limits: ConnectionLimits,
    open: HashMap<UploadId, mpsc::Sender<Step>>,
    tasks: JoinSet<()>,
}

impl Uploads {
    pub(super) fn new(service: Arc<StorageService>, limits: ConnectionLimits) -> Self {
        Self {
            service,
            limits,
            open: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    pub(super) fn begin(&mut self, upload: UploadId, object: ObjectRef) {
        while self.tasks.try_join_next().is_some() {}
        // Without a place it fails at its end, as an upload that was never begun.
        if self.open.len() >= self.limits.uploads {
            return;
        }
        let (steps, queue) = mpsc::channel(QUEUED_PIECES);
        self.open.insert(upload, steps);
        let service = Arc::clone(&self.service);
        self.tasks.spawn(run(service, object, queue));
    }

    pub(super) async fn data(&mut self, upload: UploadId, data: Bytes) {
        if let Some(steps) = self.open.get(&upload) {
            // The task takes steps until its queue is closed.
            let _ = steps.send(Step::Data(data)).await;
        }
    }

    pub(super) async fn finish(&mut self, upload: UploadId, id: RequestId, answers: Answers) {
        match self.open.remove(&upload) {
            Some(steps) => {
                let _ = steps.send(Step::Finish(id, answers)).await;
            }
            None => {
                let failure = Failure::permanent(
                    FailureCode::BadRequest,
                    "connection",
                    format!(
                        "upload {} was not begun, or was one more than {} at once",
                        upload.0, self.limits.uploads
                    ),
                );
                answers.send(id, &Response::Failed(failure), None).await;
            }
        }
    }

    /// Aborts uploads that were not asked to finish, and waits for all to end.
    pub(super) async fn end(&mut self) {
        self.open.clear();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn run(service: Arc<StorageService>, object: ObjectRef, mut queue: mpsc::Receiver<Step>) {
    let mut spool = Spool::new();
    while let Some(step) = queue.recv().await {
        match step {
            Step::Data(data) => {
                if let Ok(writing) = spool {
                    spool = writing.write(data).await;
                }
            }
            Step::Finish(id, answers) => {
                let written = match spool {
                    Ok(spool) => service.put(&object, &spool.into_source()).await,
                    Err(error) => Err(Failure::transient(
                        FailureCode::Internal,
                        &object,
                        format!("could not keep what is to be written: {error}"),
                    )),
                };
                let response = written.map_or_else(Response::Failed, Response::Object);
                return answers.send(id, &response, None).await;
            }
        }
    }
    tracing::debug!(%object, "upload is given up");
}

/// What a client has sent of an object, in a file without a name.
struct Spool {
    file: File,
    length: u64,
    checksum: Xxh3,
}

impl Spool {
    fn new() -> io::Result<Self> {
        Ok(Self {
            file: tempfile::tempfile()?,
            length: 0,
            checksum: Xxh3::new(),
        })
    }

    async fn write(mut self, data: Bytes) -> io::Result<Self> {
        let written = tokio::task::spawn_blocking(move || {
            self.file.write_all(&data)?;
            self.length += data.len() as u64;
            self.checksum.update(&data);
            Ok(self)
        });
        written.await.map_err(io::Error::other)?
    }

    fn into_source(self) -> PutSource {
        PutSource {
            body: PutBody::File(Arc::new(self.file)),
            length: self.length,
            checksum: self.checksum.digest(),
        }
    }
}
