//! [`Backend`] over the `object_store` crate.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{
    Attribute, Attributes, Error as StoreError, GetOptions, GetRange, GetResult, ObjectStore,
    ObjectStoreExt,
    list::{PaginatedListOptions, PaginatedListStore},
    path::Path,
};
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Backend, Listing, Piece, PutSource, Result, Uploads,
    answers::Answers,
    error::{BackendError, ErrorKind},
    put::{CHECKSUM, Put},
};
use crate::protocol::{Listed, ObjectMeta, ObjectPath, ObjectVersion, PutCondition};

/// Entity tags longer than this are not used: the protocol bounds them.
const MAX_ETAG_BYTES: usize = 256;

/// In which order a store without pages lists its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOrder {
    /// By the bytes of their paths, as S3, GCS and Azure do.
    ByPath,
    /// Any: a page needs the whole listing.
    Unspecified,
}

/// How an upload of many parts is written on a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// By a header of the request that joins the parts.
    Header,
    /// Not at all. One request is, by entity tag.
    LookFirst,
    /// Not at all. One request is, by generation.
    Generation,
}

/// What stores differ in.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoreTraits {
    pub(super) order: ListOrder,
    /// Do objects have metadata of ours?
    pub(super) has_metadata: bool,
    /// Are the last bytes of an object given without knowing its size?
    pub(super) has_suffixes: bool,
    pub(super) condition: Condition,
}

/// A store of the `object_store` crate. It makes one attempt, without time limits; [`super::Bounded`] has those.
pub struct ObjectStoreBackend {
    pub(super) store: Arc<dyn ObjectStore>,
    /// The same store, with requests that are repeated: for the parts of uploads.
    pub(super) patient: Arc<dyn ObjectStore>,
    pages: Option<Arc<dyn PaginatedListStore>>,
    /// Directory of the store within the bucket.
    prefix: Option<Path>,
    pub(super) traits: StoreTraits,
    pub(super) uploads: Uploads,
    has_no_conditions: AtomicBool,
}

impl fmt::Debug for ObjectStoreBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the stores show of themselves may be secret.
        f.debug_struct("ObjectStoreBackend")
            .field("prefix", &self.prefix)
            .field("traits", &self.traits)
            .finish_non_exhaustive()
    }
}

impl ObjectStoreBackend {
    /// A store without pages of its own, nor prefix.
    pub fn new(store: Arc<dyn ObjectStore>, order: ListOrder) -> Self {
        Self {
            patient: Arc::clone(&store),
            store,
            pages: None,
            prefix: None,
            traits: StoreTraits {
                order,
                has_metadata: order == ListOrder::ByPath,
                has_suffixes: true,
                condition: Condition::LookFirst,
            },
            uploads: Uploads::default(),
            has_no_conditions: AtomicBool::new(false),
        }
    }

    #[cfg(feature = "cloud")]
    pub(super) fn cloud<S: ObjectStore + PaginatedListStore>(
        store: S,
        patient: S,
        traits: StoreTraits,
    ) -> Self {
        let store = Arc::new(store);
        Self {
            store: Arc::clone(&store) as Arc<dyn ObjectStore>,
            patient: Arc::new(patient),
            pages: Some(store),
            prefix: None,
            traits,
            uploads: Uploads::default(),
            has_no_conditions: AtomicBool::new(false),
        }
    }

    pub(super) fn with_uploads(self, uploads: Uploads) -> Self {
        Self { uploads, ..self }
    }

    pub(super) fn with_prefix(self, prefix: Option<Path>) -> Self {
        Self { prefix, ..self }
    }

    /// Whether the store refuses conditional writes as such, now that it has refused one.
    pub(super) fn knows_no_conditions(&self) -> bool {
        let answer = Answers::last_of_attempt();
        if answer.is_some_and(|answer| answer.status == Some(501))
            && !self.has_no_conditions.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                "the store has no conditional writes: whether an object exists is asked before it is written"
            );
        }
        self.has_no_conditions.load(Ordering::Relaxed)
    }

    /// The path within the bucket. `ObjectPath` forbids what `Path` forbids; the store has the last word all the same.
    fn location(&self, operation: &'static str, path: &ObjectPath) -> Result<Path> {
        let parsed = Path::parse(path.as_str())
            .map_err(|error| BackendError::new(ErrorKind::Refused, operation, path, error))?;
        Ok(match &self.prefix {
            Some(prefix) => prefix.parts().chain(parsed.parts()).collect(),
            None => parsed,
        })
    }

    /// The path within the store; none for what this protocol cannot name, which was not written through it.
    fn path_of(&self, location: &Path) -> Option<ObjectPath> {
        let within = match &self.prefix {
            None => location.as_ref(),
            Some(prefix) => location
                .as_ref()
                .strip_prefix(prefix.as_ref())?
                .strip_prefix('/')?,
        };
        ObjectPath::new(within)
            .inspect_err(|error| tracing::warn!(%error, "object left out of a listing"))
            .ok()
    }

    async fn read(
        &self,
        path: &ObjectPath,
        version: Option<&ObjectVersion>,
        range: GetRange,
    ) -> Result<Piece> {
        let failed = |error| BackendError::from_store("read", path, error);
        let options = GetOptions {
            range: Some(range),
            if_match: version.and_then(|version| version.etag.clone()),
            ..GetOptions::default()
        };
        let location = self.location("read", path)?;
        let result = self.store.get_opts(&location, options).await;
        let result = result.map_err(failed)?;
        let checksum = checksum_of(&result.attributes);
        let piece = piece(path, result).await.map_err(failed)?;
        let is_whole = piece.data.len() as u64 == piece.meta.version.size;
        if is_whole && checksum.is_some_and(|checksum| checksum != xxh3_64(&piece.data)) {
            let cause = "the bytes that came have not the checksum that they were written with";
            let kind = ErrorKind::Unavailable;
            return Err(BackendError::new(kind, "read", path, cause));
        }
        Ok(piece)
    }

    fn listed(&self, meta: object_store::ObjectMeta) -> Option<Listed> {
        Some(Listed {
            last_modified_ms: meta.last_modified.timestamp_millis(),
            meta: ObjectMeta {
                path: self.path_of(&meta.location)?,
                version: version(meta.size, meta.e_tag),
            },
        })
    }

    /// A page of a store that has none: its token is the last path.
    async fn list_all(
        &self,
        prefix: Option<&Path>,
        token: Option<&str>,
        limit: usize,
    ) -> object_store::Result<Listing> {
        let stream = match token {
            Some(token) => {
                let after = Path::parse(token)?;
                let after = match &self.prefix {
                    Some(prefix) => prefix.parts().chain(after.parts()).collect(),
                    None => after,
                };
                self.store.list_with_offset(prefix, &after)
            }
            None => self.store.list(prefix),
        };
        let mut objects: Vec<object_store::ObjectMeta> = match self.traits.order {
            ListOrder::ByPath => stream.take(limit + 1).try_collect().await?,
            ListOrder::Unspecified => {
                let mut objects: Vec<_> = stream.try_collect().await?;
                objects.sort_by(|a: &object_store::ObjectMeta, b| a.location.cmp(&b.location));
                objects
            }
        };
        let more = objects.len() > limit;
        objects.truncate(limit);
        let objects: Vec<_> = objects
            .into_iter()
            .filter_map(|meta| self.listed(meta))
            .collect();
        let last = objects.last().map(|listed| listed.meta.path.to_string());
        Ok(Listing {
            next: last.filter(|_| more),
            objects,
        })
    }
}

pub(super) fn version(size: u64, etag: Option<String>) -> ObjectVersion {
    ObjectVersion {
        size,
        etag: etag.filter(|etag| etag.len() <= MAX_ETAG_BYTES),
    }
}

/// What an object's metadata say of its bytes, if it was written by [`super::put`].
pub(super) fn checksum_of(attributes: &Attributes) -> Option<u64> {
    let text = attributes.get(&Attribute::Metadata(CHECKSUM.into()))?;
    u64::from_str_radix(text.as_ref(), 16).ok()
}

/// Was the last answer one of success, although it could not be used?
fn is_broken_answer() -> bool {
    let status = Answers::last_of_attempt().and_then(|answer| answer.status);
    status.is_some_and(|status| (200..300).contains(&status))
}

/// An entity tag as HTTP has it. Azure's listings leave out the quotes.
fn quoted(etag: String) -> String {
    match etag.ends_with('"') {
        true => etag,
        false => format!("\"{etag}\""),
    }
}

async fn piece(path: &ObjectPath, result: GetResult) -> object_store::Result<Piece> {
    Ok(Piece {
        meta: ObjectMeta {
            path: path.clone(),
            version: version(result.meta.size, result.meta.e_tag.clone()),
        },
        offset: result.range.start,
        data: result.bytes().await?,
    })
}

#[async_trait]
impl Backend for ObjectStoreBackend {
    async fn head(&self, path: &ObjectPath, _: Instant) -> Result<ObjectMeta> {
        let found = self.store.head(&self.location("look up", path)?).await;
        let found = found.map_err(|error| BackendError::from_store("look up", path, error))?;
        Ok(ObjectMeta {
            path: path.clone(),
            version: version(found.size, found.e_tag),
        })
    }

    async fn get(
        &self,
        path: &ObjectPath,
        version: Option<&ObjectVersion>,
        range: Range<u64>,
        deadline: Instant,
    ) -> Result<Piece> {
        if let Some(version) = version
            && range.is_empty()
        {
            return Ok(Piece {
                meta: ObjectMeta {
                    path: path.clone(),
                    version: version.clone(),
                },
                offset: range.start,
                data: Default::default(),
            });
        }
        let changed = |cause: String| BackendError::new(ErrorKind::Changed, "read", path, cause);
        let piece = match self.read(path, version, range.clone().into()).await {
            // No store has a range of an empty object.
            Err(error) if error.kind == ErrorKind::Changed && version.is_none() => {
                let meta = self.head(path, deadline).await?;
                if meta.version.size > range.start {
                    return Err(error);
                }
                let offset = meta.version.size;
                let data = Default::default();
                Piece { meta, offset, data }
            }
            piece => piece?,
        };
        let size = piece.meta.version.size;
        if let Some(version) = version
            && size != version.size
        {
            let cause = format!("the object has {size} bytes, not {}", version.size);
            return Err(changed(cause));
        }
        let wanted = range.end.min(size).saturating_sub(range.start);
        if piece.data.len() as u64 != wanted {
            let cause = format!("{} bytes came instead of {wanted}", piece.data.len());
            let kind = ErrorKind::Unavailable;
            return Err(BackendError::new(kind, "read", path, cause));
        }
        Ok(piece)
    }

    async fn get_suffix(&self, path: &ObjectPath, length: u64, deadline: Instant) -> Result<Piece> {
        let suffix = match self.traits.has_suffixes {
            true => Some(self.read(path, None, GetRange::Suffix(length)).await),
            false => None,
        };
        match suffix {
            Some(Ok(piece)) => return Ok(piece),
            // Of an object without bytes no store has a range, and MinIO answers one that nobody can read.
            Some(Err(error)) if error.kind != ErrorKind::Changed && !is_broken_answer() => {
                return Err(error);
            }
            _ => {}
        }
        let meta = self.head(path, deadline).await?;
        let range = meta.version.size.saturating_sub(length)..meta.version.size;
        self.get(path, Some(&meta.version), range, deadline).await
    }

    async fn put(
        &self,
        path: &ObjectPath,
        source: &PutSource,
        condition: &PutCondition,
        _: Instant,
    ) -> Result<ObjectMeta> {
        let put = Put {
            backend: self,
            path,
            location: self.location("write", path)?,
            source,
            condition,
        };
        put.run().await
    }

    async fn delete(&self, paths: &[ObjectPath], _: Instant) -> Result<()> {
        let locations = paths
            .iter()
            .map(|path| self.location("delete", path).map(Ok))
            .collect::<Result<Vec<_>>>()?;
        let mut deleted = self.store.delete_stream(stream::iter(locations).boxed());
        let mut failed = None;
        // One that cannot be deleted keeps no other from it.
        while let Some(result) = deleted.next().await {
            match result {
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => {
                    let path = paths.first().map_or("", ObjectPath::as_str);
                    failed = failed.or(Some(BackendError::from_store("delete", path, error)));
                }
            }
        }
        match failed {
            // The bucket is missing, or the store has no word for single objects.
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    async fn list(
        &self,
        prefix: Option<&ObjectPath>,
        token: Option<&str>,
        limit: usize,
        _: Instant,
    ) -> Result<Listing> {
        let name = prefix.map_or("", ObjectPath::as_str);
        let failed = |error| BackendError::from_store("list", name, error);
        let directory = match prefix {
            Some(prefix) => Some(self.location("list", prefix)?),
            None => self.prefix.clone(),
        };
        let Some(pages) = &self.pages else {
            let listing = self.list_all(directory.as_ref(), token, limit).await;
            return listing.map_err(failed);
        };
        let options = PaginatedListOptions {
            max_keys: Some(limit),
            page_token: token.map(str::to_owned),
            ..PaginatedListOptions::default()
        };
        let directory = directory.map(|directory| format!("{directory}/"));
        let page = pages.list_paginated(directory.as_deref(), options).await;
        let page = page.map_err(failed)?;
        Ok(Listing {
            objects: page
                .result
                .objects
                .into_iter()
                .filter_map(|mut meta| {
                    meta.e_tag = meta.e_tag.map(quoted);
                    self.listed(meta)
                })
                .collect(),
            next: page.page_token,
        })
    }
}
