//! Writing: one request for small objects, parts side by side for large ones.

use std::{fs::File, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use object_store::{
    Attribute, Attributes, Error as StoreError, GetOptions, MultipartUpload, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, UpdateVersion, path::Path,
};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{
    BackendError, ErrorKind, ObjectStoreBackend, PutBody, PutSource, Result,
    object_store_backend::{Condition, checksum_of, version},
    one_line,
    uploads::OpenUpload,
};
use crate::protocol::{ObjectMeta, ObjectPath, PutCondition};

/// Objects of up to this many bytes are written by one request.
pub const ONE_REQUEST_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of a part. Stores allow 10,000 parts, so an object has at most 156 GiB; a larger one has larger parts.
const PART_BYTES: u64 = 16 * 1024 * 1024;
const MOST_PARTS: u64 = 10_000;
/// Parts of one upload that are under way at once.
const PARTS_AT_ONCE: usize = 4;
/// The name under which an object's metadata has its checksum, in hexadecimal digits.
pub(super) const CHECKSUM: &str = "xxh3";

/// An object on its way into a store.
pub(super) struct Put<'a> {
    pub(super) backend: &'a ObjectStoreBackend,
    pub(super) path: &'a ObjectPath,
    pub(super) location: Path,
    pub(super) source: &'a PutSource,
    pub(super) condition: &'a PutCondition,
}

impl Put<'_> {
    pub(super) async fn run(self) -> Result<ObjectMeta> {
        let written = if self.source.length <= ONE_REQUEST_BYTES {
            self.put_whole().await
        } else {
            self.put_parts().await
        };
        let written = written.map_err(|mut error| {
            // An unmet condition has the same status, whichever it was.
            if error.kind == ErrorKind::Changed && *self.condition == PutCondition::Absent {
                error.kind = ErrorKind::Exists;
            }
            error
        });
        match written {
            Ok(written) => Ok(self.meta(written.e_tag)),
            // NotFound: the parts were joined, and the answer to that did not come.
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::Exists | ErrorKind::Changed | ErrorKind::NotFound
                ) =>
            {
                self.written_before().await.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn meta(&self, e_tag: Option<String>) -> ObjectMeta {
        ObjectMeta {
            path: self.path.clone(),
            version: version(self.source.length, e_tag),
        }
    }

    fn failed(&self, error: StoreError) -> BackendError {
        BackendError::from_store("write", self.path, error)
    }

    fn error(&self, kind: ErrorKind, cause: impl Into<String>) -> BackendError {
        BackendError::new(kind, "write", self.path, cause.into())
    }

    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::new();
        if self.backend.traits.has_metadata {
            attributes.insert(
                Attribute::Metadata(CHECKSUM.into()),
                format!("{:016x}", self.source.checksum).into(),
            );
        }
        attributes
    }

    async fn put_whole(&self) -> Result<PutResult> {
        let _room = self.backend.uploads.room_for(self.source.length).await;
        let data = match &self.source.body {
            PutBody::Bytes(data) => data.clone(),
            PutBody::File(file) => self.read(file, 0, self.source.length).await?,
        };
        if data.len() as u64 != self.source.length || xxh3_64(&data) != self.source.checksum {
            return Err(self.damaged());
        }
        let mode = match self.condition {
            PutCondition::Any => PutMode::Overwrite,
            PutCondition::Absent => PutMode::Create,
            PutCondition::Matches(etag) => PutMode::Update(self.expected(etag).await?),
        };
        let is_create = matches!(mode, PutMode::Create);
        let options = PutOptions {
            mode,
            attributes: self.attributes(),
            ..PutOptions::default()
        };
        let store = &self.backend.store;
        let payload = PutPayload::from_bytes(data.clone());
        let refused = match store.put_opts(&self.location, payload, options).await {
            Ok(written) => return Ok(written),
            Err(error) => self.failed(error),
        };
        // A store without conditional writes says 501 to them.
        if !is_create || refused.kind != ErrorKind::Refused || !self.backend.knows_no_conditions() {
            return Err(refused);
        }
        self.refuse_existing().await?;
        let options = PutOptions {
            attributes: self.attributes(),
            ..PutOptions::default()
        };
        store
            .put_opts(&self.location, data.into(), options)
            .await
            .map_err(|error| self.failed(error))
    }

    /// What an update asks for. GCS knows conditions on generations only: that of the object with the entity tag.
    async fn expected(&self, etag: &str) -> Result<UpdateVersion> {
        let mut expected = UpdateVersion {
            e_tag: Some(etag.to_owned()),
            version: None,
        };
        if self.backend.traits.condition == Condition::Generation {
            let found = self.backend.store.head(&self.location).await;
            let found = found.map_err(|error| match error {
                StoreError::NotFound { .. } => self.error(ErrorKind::Changed, "the object is gone"),
                error => self.failed(error),
            })?;
            if found.e_tag.as_deref() != Some(etag) {
                return Err(self.error(ErrorKind::Changed, "the object has another entity tag"));
            }
            expected.version = found.version;
        }
        Ok(expected)
    }

    async fn refuse_existing(&self) -> Result<()> {
        match self.backend.store.head(&self.location).await {
            Err(StoreError::NotFound { .. }) => Ok(()),
            Ok(_) => Err(self.error(ErrorKind::Exists, "the object is there already")),
            Err(error) => Err(self.failed(error)),
        }
    }

    async fn put_parts(&self) -> Result<PutResult> {
        let is_conditional = self.backend.traits.condition == Condition::Header;
        match self.condition {
            PutCondition::Absent => self.refuse_existing().await?,
            PutCondition::Matches(_) if !is_conditional => {
                let cause = "the store has no condition on the entity tag of so large an object";
                return Err(self.error(ErrorKind::Refused, cause));
            }
            _ => {}
        }
        let options = PutMultipartOptions {
            attributes: self.attributes(),
            ..PutMultipartOptions::default()
        };
        let open = self.backend.uploads.open();
        let begun = self
            .backend
            .patient
            .put_multipart_opts(&self.location, options);
        // Declared before the parts, so that they end before it is aborted.
        let mut upload = GivenUpUnlessJoined {
            upload: Some(begun.await.map_err(|error| self.failed(error))?),
            path: self.path.clone(),
            open: Some(open),
        };
        self.send_parts(&mut upload).await?;
        let Some(parts) = &mut upload.upload else {
            return Err(self.error(ErrorKind::Refused, "the upload has ended"));
        };
        let joined = self.join(parts, is_conditional).await;
        match joined.map_err(|error| self.failed(error)) {
            Ok(written) => {
                upload.upload = None;
                Ok(written)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads parts in order, and sends some of them at once.
    async fn send_parts(&self, upload: &mut GivenUpUnlessJoined) -> Result<()> {
        let length = self.source.length;
        let part_bytes = PART_BYTES.max(length.div_ceil(MOST_PARTS));
        let mut checksum = Xxh3::new();
        let mut sending: FuturesUnordered<BoxFuture<'_, Result<()>>> = FuturesUnordered::new();
        let mut offset = 0;
        while offset < length {
            let bytes = part_bytes.min(length - offset);
            // Room comes free as parts are sent, so they go on meanwhile.
            let mut room = Box::pin(self.backend.uploads.room_for(bytes));
            let room = loop {
                let is_full = sending.len() >= PARTS_AT_ONCE;
                tokio::select! {
                    Some(sent) = sending.next(), if !sending.is_empty() => sent?,
                    room = &mut room, if !is_full => break room,
                }
            };
            let data = match &self.source.body {
                PutBody::Bytes(all) => {
                    // A body of bytes is in memory as a whole.
                    let (start, end) = (offset as usize, (offset + bytes) as usize);
                    match all.len() >= end {
                        true => all.slice(start..end),
                        false => return Err(self.damaged()),
                    }
                }
                PutBody::File(file) => self.read(file, offset, bytes).await?,
            };
            checksum.update(&data);
            let Some(parts) = &mut upload.upload else {
                return Err(self.error(ErrorKind::Refused, "the upload has ended"));
            };
            let part = parts.put_part(data.into());
            sending.push(Box::pin(async move {
                let sent = part.await;
                drop(room);
                sent.map_err(|error| self.failed(error))
            }));
            offset += bytes;
        }
        while let Some(sent) = sending.next().await {
            sent?;
        }
        match checksum.digest() == self.source.checksum {
            true => Ok(()),
            false => Err(self.damaged()),
        }
    }

    /// Makes the object of its parts.
    async fn join(
        &self,
        parts: &mut Box<dyn MultipartUpload>,
        is_conditional: bool,
    ) -> object_store::Result<PutResult> {
        #[cfg(feature = "cloud")]
        if is_conditional {
            use super::observed_http::on_condition;
            let condition = match self.condition {
                PutCondition::Any => None,
                PutCondition::Absent => Some(("if-none-match", "*")),
                PutCondition::Matches(etag) => Some(("if-match", etag.as_str())),
            };
            if let Some((header, value)) = condition {
                let value = object_store::HeaderValue::from_str(value).map_err(|error| {
                    StoreError::NotSupported {
                        source: error.into(),
                    }
                })?;
                return on_condition(header, value, parts.complete()).await;
            }
        }
        let _ = is_conditional;
        parts.complete().await
    }

    /// The object, if it is what is to be written: then an earlier try of this put wrote it, though its answer got lost.
    async fn written_before(&self) -> Option<ObjectMeta> {
        let options = GetOptions {
            head: self.backend.traits.has_metadata,
            ..GetOptions::default()
        };
        let found = self.backend.store.get_opts(&self.location, options).await;
        let found = found.ok()?;
        if found.meta.size != self.source.length {
            return None;
        }
        let e_tag = found.meta.e_tag.clone();
        let checksum = if self.backend.traits.has_metadata {
            checksum_of(&found.attributes)?
        } else {
            let mut checksum = Xxh3::new();
            let mut data = found.into_stream();
            while let Some(data) = data.next().await {
                checksum.update(&data.ok()?);
            }
            checksum.digest()
        };
        (checksum == self.source.checksum).then(|| self.meta(e_tag))
    }

    async fn read(&self, file: &Arc<File>, offset: u64, bytes: u64) -> Result<Bytes> {
        let file = Arc::clone(file);
        let read = tokio::task::spawn_blocking(move || {
            let mut data = vec![0; bytes as usize];
            file.read_exact_at(&mut data, offset).map(|()| data)
        });
        match read.await {
            Ok(Ok(data)) => Ok(data.into()),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(self.damaged())
            }
            Ok(Err(error)) => {
                Err(self.error(ErrorKind::Damaged, format!("could not read it: {error}")))
            }
            Err(error) => Err(self.error(
                ErrorKind::Unavailable,
                format!("could not read it: {error}"),
            )),
        }
    }

    fn damaged(&self) -> BackendError {
        let cause =
            "the bytes to write have not the length and checksum that they are said to have";
        self.error(ErrorKind::Damaged, cause)
    }
}

/// An upload whose parts are removed unless they have become an object, however it ends.
struct GivenUpUnlessJoined {
    upload: Option<Box<dyn MultipartUpload>>,
    path: ObjectPath,
    open: Option<OpenUpload>,
}

impl Drop for GivenUpUnlessJoined {
    fn drop(&mut self) {
        let (Some(mut upload), Some(open)) = (self.upload.take(), self.open.take()) else {
            return;
        };
        let path = self.path.clone();
        open.abort(async move {
            match upload.abort().await {
                Ok(()) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => {
                    let error = one_line(&error);
                    tracing::warn!(%path, error, "parts of an upload are left in the store");
                }
            }
        });
    }
}
