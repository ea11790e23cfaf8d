//! Writing through the `object_store` crate: one request for small objects, parts for large ones.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use object_store::{
    MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutResult, path::Path,
};

use super::{
    Result, Upload,
    error::{BackendError, one_line},
    object_store_backend::version,
};
use crate::protocol::{ObjectMeta, ObjectPath};

/// Bytes of a part; stores want at least 5 MiB. 10,000 parts make objects of up to 80 GiB.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Gathers a part at a time. An object that fits one part is written by one request.
pub(super) struct BufferedUpload {
    store: Arc<dyn ObjectStore>,
    path: ObjectPath,
    location: Path,
    part: BytesMut,
    written: u64,
    multipart: Option<Box<dyn MultipartUpload>>,
}

impl BufferedUpload {
    pub(super) fn new(store: Arc<dyn ObjectStore>, path: ObjectPath, location: Path) -> Self {
        Self {
            store,
            path,
            location,
            part: BytesMut::new(),
            written: 0,
            multipart: None,
        }
    }

    fn failed(&self) -> impl Fn(object_store::Error) -> BackendError + use<> {
        let path = self.path.clone();
        move |error| BackendError::from_store("write", &path, error)
    }

    async fn write_part(&mut self) -> Result<()> {
        let failed = self.failed();
        let part = PutPayload::from_bytes(self.part.split().freeze());
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            none => {
                let begun = self.store.put_multipart(&self.location).await;
                none.insert(begun.map_err(&failed)?)
            }
        };
        multipart.put_part(part).await.map_err(failed)
    }
}

#[async_trait]
impl Upload for BufferedUpload {
    async fn write(&mut self, mut data: Bytes) -> Result<()> {
        self.written += data.len() as u64;
        while !data.is_empty() {
            if self.part.len() == PART_BYTES {
                self.write_part().await?;
            }
            let room = PART_BYTES - self.part.len();
            let now = data.split_to(room.min(data.len()));
            self.part.extend_from_slice(&now);
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<ObjectMeta> {
        let failed = self.failed();
        let finished: Result<PutResult> = async {
            if self.multipart.is_some() {
                self.write_part().await?;
            }
            match &mut self.multipart {
                Some(multipart) => multipart.complete().await.map_err(&failed),
                None => {
                    let whole = PutPayload::from_bytes(self.part.split().freeze());
                    let put = self.store.put(&self.location, whole).await;
                    put.map_err(&failed)
                }
            }
        }
        .await;
        match finished {
            Ok(result) => Ok(ObjectMeta {
                path: self.path,
                version: version(self.written, result.e_tag),
            }),
            Err(error) => {
                // The first error is the one to tell.
                if let Err(error) = self.abort().await {
                    tracing::warn!(
                        error = one_line(&error),
                        "parts of a failed upload are left"
                    );
                }
                Err(error)
            }
        }
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        let failed = self.failed();
        match &mut self.multipart {
            Some(multipart) => multipart.abort().await.map_err(failed),
            None => Ok(()),
        }
    }
}
