//! The operations, one method each, over one connection.

use std::{collections::BTreeMap, iter::once, time::Duration};

use super::{
    cached_file::CachedFile,
    config::ClientConfig,
    conversation::{Conversation, Outgoing, Reply},
    error::{ClientError, Result, Task},
    interrupt::Interrupts,
    put::Put,
};
use crate::protocol::{
    ByteRange, FailureCode, Listed, MAX_DELETIONS, MAX_LIST_PAGE, MAX_RANGES, ObjectMeta,
    ObjectPath, ObjectRef, Request, Response, Status, StoreId, StoreSpec,
};

/// A client of the storage service.
pub struct Client<I> {
    config: ClientConfig,
    interrupts: I,
    conversation: Option<Conversation>,
    /// Stores to make known to the daemon before their first use on a connection.
    stores: BTreeMap<StoreId, StoreSpec>,
}

impl<I: Interrupts> Client<I> {
    /// A client that connects when it is first used.
    pub fn new(config: ClientConfig, interrupts: I) -> Self {
        Self {
            config,
            interrupts,
            conversation: None,
            stores: BTreeMap::new(),
        }
    }

    /// Makes a store known. The client keeps the specification and repeats it to a daemon that was
    /// restarted.
    ///
    /// # Errors
    /// [`FailureCode::StoreConflict`] when the id is taken by another specification,
    /// [`FailureCode::InvalidStore`] when the options are not usable.
    pub fn open_store(&mut self, spec: StoreSpec) -> Result<()> {
        let id = spec.id.clone();
        let before = self.stores.insert(id.clone(), spec.clone());
        let task = task("open store", id.as_str(), (self.config.limit)(0));
        let opened = self
            .exchange_one(&task, None, Request::OpenStore(spec))
            .and_then(|reply| done(reply, &task));
        match &opened {
            Ok(()) => {
                if let Some(conversation) = &mut self.conversation {
                    conversation.opened.insert(id);
                }
            }
            Err(ClientError::Failed { .. }) => match before {
                Some(before) => {
                    self.stores.insert(id, before);
                }
                None => {
                    self.stores.remove(&id);
                }
            },
            Err(_) => {}
        }
        opened
    }

    /// Forgets a store, and all that the daemon has cached of it unless the same place is open by another id.
    ///
    /// # Errors
    /// Any [`ClientError`]; a store that is not known is no error.
    pub fn close_store(&mut self, store: &StoreId) -> Result<()> {
        self.stores.remove(store);
        let request = Request::CloseStore(store.clone());
        let task = task("close store", store.as_str(), (self.config.limit)(0));
        let reply = self.exchange_one(&task, None, request)?;
        done(reply, &task)
    }

    /// Size and entity tag of an object, asked of the store.
    ///
    /// # Errors
    /// [`FailureCode::NotFound`] and any other [`ClientError`].
    pub fn head(&mut self, object: &ObjectRef) -> Result<ObjectMeta> {
        let name = object.to_string();
        let request = Request::Head(object.clone());
        let task = task("look up", &name, (self.config.limit)(0));
        let reply = self.exchange_one(&task, Some(&object.store), request)?;
        match reply.response {
            Response::Object(meta) => Ok(meta),
            other => Err(task.unexpected(describe(&other))),
        }
    }

    /// Has the daemon bring ranges of an object into its cache, and opens the cache's file. The file stays readable as
    /// long as it is open, whatever the cache does meanwhile. Ranges are cut at the object's end.
    ///
    /// With `size` nobody asks the store what it has in the cache already, and an object of another size is
    /// [`FailureCode::Changed`].
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub fn want(
        &mut self,
        object: &ObjectRef,
        size: Option<u64>,
        ranges: &[ByteRange],
    ) -> Result<CachedFile> {
        let name = object.to_string();
        let bytes = (ranges.iter()).fold(0u64, |sum, range| sum.saturating_add(range.length));
        let task = task("read", &name, (self.config.limit)(bytes));
        // More than one request has room for come in several; the last answer has a file with all of them, unless the
        // cache is too small.
        let mut cached = None;
        let parts = ranges.chunks(MAX_RANGES);
        let parts = parts
            .map(<[_]>::to_vec)
            .chain(ranges.is_empty().then(Vec::new));
        for ranges in parts {
            let request = Request::Want {
                object: object.clone(),
                size,
                ranges,
            };
            let reply = self.exchange_one(&task, Some(&object.store), request)?;
            cached = match (reply.response, reply.descriptor) {
                (Response::Have(meta), Some(descriptor)) => {
                    Some(CachedFile::new(descriptor, meta.version))
                }
                (other, _) => return Err(task.unexpected(describe(&other))),
            };
        }
        cached.ok_or_else(|| task.unexpected("no answer"))
    }

    /// Writes objects, each of which appears whole or not at all; all are there when this returns. What is given are their
    /// descriptions, in the order of `puts`.
    ///
    /// # Errors
    /// [`FailureCode::Exists`] when there is such an object, with other content, and any other [`ClientError`]. Some of the
    /// objects may be there then.
    pub fn put(&mut self, puts: &[Put<'_>]) -> Result<Vec<ObjectMeta>> {
        let Some(first) = puts.first() else {
            return Ok(Vec::new());
        };
        let name = first.object.to_string();
        let bytes = puts.iter().map(|put| put.length).sum();
        let task = task("write", &name, (self.config.limit)(bytes));
        let requests = puts.iter().map(|put| Outgoing {
            request: Request::Put {
                object: put.object.clone(),
                length: put.length,
                checksum: put.checksum,
                condition: put.condition.clone(),
            },
            descriptor: Some(put.file),
        });
        // Repeated after a broken connection: an object with the same content counts as written.
        let replies = self.exchange(&task, Some(&first.object.store), requests)?;
        let metas = replies.into_iter().map(|reply| match reply.response {
            Response::Object(meta) => Ok(meta),
            other => Err(task.unexpected(describe(&other))),
        });
        metas.collect()
    }

    /// Tells the daemon that a cached object is still used.
    ///
    /// # Errors
    /// Any [`ClientError`] of reaching the daemon.
    pub fn touch(&mut self, object: &ObjectRef) -> Result<()> {
        self.tell("touch", object, Request::Touch(object.clone()))
    }

    /// Has the daemon begin to bring ranges of an object of this size into its cache, and waits for nothing. Of more ranges
    /// than a request has room for, the last are left out.
    ///
    /// # Errors
    /// Any [`ClientError`] of reaching the daemon.
    pub fn prefetch(&mut self, object: &ObjectRef, size: u64, ranges: &[ByteRange]) -> Result<()> {
        let ranges = ranges.iter().take(MAX_RANGES).copied().collect();
        let request = Request::Prefetch {
            object: object.clone(),
            size,
            ranges,
        };
        self.tell("prefetch", object, request)
    }

    /// Sends a request that is not answered.
    fn tell(&mut self, what: &'static str, object: &ObjectRef, request: Request) -> Result<()> {
        let name = object.to_string();
        let task = task(what, &name, (self.config.limit)(0));
        self.ready(&task, Some(&object.store))?;
        let Some(conversation) = &mut self.conversation else {
            return Err(task.disconnected(std::io::ErrorKind::NotConnected.into()));
        };
        let sent = conversation.send(&task, &request.into(), &mut self.interrupts);
        if sent.is_err() {
            self.conversation = None;
        }
        sent.map(drop)
    }

    /// Deletes objects of one store; that there is none is no error.
    ///
    /// # Errors
    /// Any [`ClientError`]; some of the objects may be gone then.
    pub fn delete(&mut self, objects: &[ObjectRef]) -> Result<()> {
        for part in objects.chunks(MAX_DELETIONS) {
            let Some(first) = part.first() else {
                continue;
            };
            let name = first.to_string();
            let request = Request::Delete {
                store: first.store.clone(),
                paths: part.iter().map(|object| object.path.clone()).collect(),
            };
            let task = task("delete", &name, (self.config.limit)(0));
            let reply = self.exchange_one(&task, Some(&first.store), request)?;
            done(reply, &task)?;
        }
        Ok(())
    }

    /// All objects below the directory `prefix` (of the store, without one), in byte order.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub fn list(&mut self, store: &StoreId, prefix: Option<&ObjectPath>) -> Result<Vec<Listed>> {
        let mut objects = Vec::new();
        let mut token = None;
        loop {
            let (page, next) = self.list_page(store, prefix, token, MAX_LIST_PAGE)?;
            objects.extend(page);
            if next.is_none() {
                return Ok(objects);
            }
            token = next;
        }
    }

    /// One page of a listing: at most `limit` objects, the first ones or those that follow the page that gave `token`,
    /// and the token for the next one.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub fn list_page(
        &mut self,
        store: &StoreId,
        prefix: Option<&ObjectPath>,
        token: Option<String>,
        limit: u32,
    ) -> Result<(Vec<Listed>, Option<String>)> {
        let request = Request::List {
            store: store.clone(),
            prefix: prefix.cloned(),
            token,
            limit,
        };
        let task = task("list", store.as_str(), (self.config.limit)(0));
        let reply = self.exchange_one(&task, Some(store), request)?;
        match reply.response {
            Response::Page { objects, next } => Ok((objects, next)),
            other => Err(task.unexpected(describe(&other))),
        }
    }

    /// What the service has done since its start, and what its cache has.
    ///
    /// # Errors
    /// Any [`ClientError`] of reaching the daemon.
    pub fn status(&mut self) -> Result<Status> {
        let task = task("ask for the status of", "service", (self.config.limit)(0));
        let reply = self.exchange_one(&task, None, Request::Status)?;
        match reply.response {
            Response::Status(status) => Ok(status),
            other => Err(task.unexpected(describe(&other))),
        }
    }

    /// Connects, unless connected, and makes `store` known if this connection has not yet.
    fn ready(&mut self, task: &Task<'_>, store: Option<&StoreId>) -> Result<()> {
        if self
            .conversation
            .as_ref()
            .is_some_and(Conversation::is_broken)
        {
            self.conversation = None;
        }
        if self.conversation.is_none() {
            let conversation = Conversation::begin(&self.config, task, &mut self.interrupts)?;
            self.conversation = Some(conversation);
        }
        let Some(spec) = store.and_then(|store| self.stores.get(store)) else {
            return Ok(());
        };
        let opened = |conversation: &Conversation| conversation.opened.contains(&spec.id);
        if self.conversation.as_ref().is_some_and(opened) {
            return Ok(());
        }
        let id = spec.id.clone();
        let request = Request::OpenStore(spec.clone());
        let replies = self.converse(task, once(request.into()))?;
        for reply in replies {
            done(reply, task)?;
        }
        if let Some(conversation) = &mut self.conversation {
            conversation.opened.insert(id);
        }
        Ok(())
    }

    /// Sends requests and receives their replies on the present connection, which is closed when
    /// that does not come to an end.
    fn converse<'a>(
        &mut self,
        task: &Task<'_>,
        requests: impl Iterator<Item = Outgoing<'a>>,
    ) -> Result<Vec<Reply>> {
        let Some(conversation) = &mut self.conversation else {
            return Err(task.disconnected(std::io::ErrorKind::NotConnected.into()));
        };
        let replies = conversation.exchange(task, requests, &mut self.interrupts);
        if replies.is_err() {
            self.conversation = None;
        }
        replies?
            .into_iter()
            .map(|reply| reply.success(task))
            .collect()
    }

    /// Exchanges idempotent requests, a second time when the first connection broke or the daemon
    /// does not know the store any more.
    fn exchange<'a>(
        &mut self,
        task: &Task<'_>,
        store: Option<&StoreId>,
        requests: impl Iterator<Item = Outgoing<'a>> + Clone,
    ) -> Result<Vec<Reply>> {
        let attempt = |client: &mut Self| {
            client.ready(task, store)?;
            client.converse(task, requests.clone())
        };
        let first = attempt(self);
        let again = match &first {
            Err(ClientError::Disconnected { .. }) => true,
            Err(ClientError::Failed { source, .. }) => {
                // Another client closed the store since this connection opened it.
                source.code == FailureCode::UnknownStore && self.forget_opened(store)
            }
            _ => false,
        };
        if again { attempt(self) } else { first }
    }

    fn exchange_one(
        &mut self,
        task: &Task<'_>,
        store: Option<&StoreId>,
        request: Request,
    ) -> Result<Reply> {
        self.exchange(task, store, once(request.into()))?
            .pop()
            .ok_or_else(|| task.unexpected("no answer"))
    }

    fn forget_opened(&mut self, store: Option<&StoreId>) -> bool {
        match (store, &mut self.conversation) {
            (Some(store), Some(conversation)) => conversation.opened.remove(store),
            _ => false,
        }
    }
}

fn task<'a>(operation: &'static str, object: &'a str, limit: Duration) -> Task<'a> {
    Task {
        operation,
        object,
        limit,
    }
}

fn done(reply: Reply, task: &Task<'_>) -> Result<()> {
    match reply.response {
        Response::Done => Ok(()),
        other => Err(task.unexpected(describe(&other))),
    }
}

fn describe(response: &Response) -> String {
    format!("a response of kind {}", response.kind())
}
