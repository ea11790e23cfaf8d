//! The operations, one method each, over one connection.

use std::{collections::BTreeMap, fs::File, iter::once, time::Duration};

use super::{
    config::ClientConfig,
    conversation::{Conversation, Reply},
    error::{ClientError, Result, Task},
    interrupt::Interrupts,
    upload::Upload,
};
use crate::protocol::{
    ByteRange, FailureCode, Listed, MAX_LIST_PAGE, MAX_RANGE_BYTES, ObjectMeta, ObjectPath,
    ObjectRef, Request, Response, StoreId, StoreSpec, UploadId,
};

/// A client of the storage service.
pub struct Client<I> {
    config: ClientConfig,
    interrupts: I,
    conversation: Option<Conversation>,
    /// Stores to make known to the daemon before their first use on a connection.
    stores: BTreeMap<StoreId, StoreSpec>,
    next_upload: u32,
}

impl<I: Interrupts> Client<I> {
    /// A client that connects when it is first used.
    pub fn new(config: ClientConfig, interrupts: I) -> Self {
        Self {
            config,
            interrupts,
            conversation: None,
            stores: BTreeMap::new(),
            next_upload: 0,
        }
    }

    /// Makes a store known. The client keeps the specification and repeats it to a daemon that was
    /// restarted.
    ///
    /// # Errors
    /// [`FailureCode::StoreConflict`] when the name is taken by another bucket,
    /// [`FailureCode::InvalidStore`] when the options are not usable.
    pub fn open_store(&mut self, spec: StoreSpec) -> Result<()> {
        let id = spec.id.clone();
        let before = self.stores.insert(id.clone(), spec.clone());
        let task = task("open store", id.as_str(), self.config.timeout);
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

    /// Forgets a store and all that the daemon has cached of it.
    ///
    /// # Errors
    /// Any [`ClientError`]; a store that is not known is no error.
    pub fn close_store(&mut self, store: &StoreId) -> Result<()> {
        self.stores.remove(store);
        let request = Request::CloseStore(store.clone());
        let task = task("close store", store.as_str(), self.config.timeout);
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
        let task = task("look up", &name, self.config.timeout);
        let reply = self.exchange_one(&task, Some(&object.store), request)?;
        match reply.response {
            Response::Object(meta) => Ok(meta),
            other => Err(task.unexpected(describe(&other))),
        }
    }

    /// Reads ranges of an object, of any length each, several requests at a time.
    ///
    /// With `expected_size` cached bytes are served without asking the store, and an object of
    /// another size is [`FailureCode::Changed`].
    ///
    /// # Errors
    /// [`FailureCode::OutOfRange`] when a range is not within the object, and any other
    /// [`ClientError`].
    pub fn get_ranges(
        &mut self,
        object: &ObjectRef,
        expected_size: Option<u64>,
        ranges: &[ByteRange],
    ) -> Result<Vec<Vec<u8>>> {
        let name = object.to_string();
        let all_pieces = ranges.iter().flat_map(|range| pieces(*range));
        // Several answers must be of one version of the object.
        let expected_size = match expected_size {
            None if all_pieces.clone().nth(1).is_some() => Some(self.head(object)?.version.size),
            expected_size => expected_size,
        };
        // Made one by one as they are sent: a range from damaged metadata may have any length, and
        // is refused with the first of its pieces.
        let requests = all_pieces.clone().map(|range| Request::GetRange {
            object: object.clone(),
            expected_size,
            range,
        });
        let task = task("read", &name, self.config.timeout);
        let replies = self.exchange(&task, Some(&object.store), requests)?;
        let mut data = Vec::with_capacity(replies.len());
        for (reply, ByteRange { length, .. }) in replies.into_iter().zip(all_pieces) {
            match reply.response {
                Response::Data(bytes) if bytes.len() as u64 == length => data.push(bytes),
                Response::Data(bytes) => {
                    let what = format!("{} bytes instead of {length}", bytes.len());
                    return Err(task.unexpected(what));
                }
                other => return Err(task.unexpected(describe(&other))),
            }
        }
        let mut data = data.into_iter();
        Ok(ranges
            .iter()
            .map(|range| {
                let mut whole = data.next().unwrap_or_default();
                for piece in data.by_ref().take(pieces(*range).count() - 1) {
                    whole.extend_from_slice(&piece);
                }
                whole
            })
            .collect())
    }

    /// Reads one range; see [`Client::get_ranges`].
    ///
    /// # Errors
    /// As [`Client::get_ranges`].
    pub fn get_range(
        &mut self,
        object: &ObjectRef,
        expected_size: Option<u64>,
        range: ByteRange,
    ) -> Result<Vec<u8>> {
        let data = self.get_ranges(object, expected_size, &[range])?;
        Ok(data.into_iter().next().unwrap_or_default())
    }

    /// Has the daemon bring the whole object to its disk, and opens it there for reading. The file
    /// stays readable as long as it is open, whatever the cache does meanwhile.
    ///
    /// # Errors
    /// [`FailureCode::CacheFull`] when the object is larger than the cache, and any other
    /// [`ClientError`].
    pub fn fetch(
        &mut self,
        object: &ObjectRef,
        expected_size: Option<u64>,
    ) -> Result<(File, ObjectMeta)> {
        let name = object.to_string();
        let task = task("fetch", &name, self.config.transfer_timeout);
        let request = Request::Fetch {
            object: object.clone(),
            expected_size,
        };
        let reply = self.exchange_one(&task, Some(&object.store), request)?;
        match (reply.response, reply.descriptor) {
            (Response::Fetched(meta), Some(descriptor)) => Ok((File::from(descriptor), meta)),
            (other, _) => Err(task.unexpected(describe(&other))),
        }
    }

    /// Begins to write an object. It appears when the upload is finished, whole or not at all.
    ///
    /// # Errors
    /// [`ClientError`] when the daemon cannot be reached; what the store says comes at the end.
    pub fn put(&mut self, object: &ObjectRef) -> Result<Upload<'_, I>> {
        let upload = UploadId(self.next_upload);
        self.next_upload = self.next_upload.wrapping_add(1);
        let name = object.to_string();
        let task = task("write", &name, self.config.timeout);
        let begin = Request::PutBegin {
            upload,
            object: object.clone(),
        };
        self.ready(&task, Some(&object.store))?;
        self.send(&task, &begin)?;
        Ok(Upload::new(self, upload, name))
    }

    /// Deletes an object; that there is none is no error.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub fn delete(&mut self, object: &ObjectRef) -> Result<()> {
        let name = object.to_string();
        let request = Request::Delete(object.clone());
        let task = task("delete", &name, self.config.timeout);
        let reply = self.exchange_one(&task, Some(&object.store), request)?;
        done(reply, &task)
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
        let task = task("list", store.as_str(), self.config.timeout);
        let reply = self.exchange_one(&task, Some(store), request)?;
        match reply.response {
            Response::Page { objects, next } => Ok((objects, next)),
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
        let replies = self.converse(task, once(request))?;
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
    fn converse(
        &mut self,
        task: &Task<'_>,
        requests: impl Iterator<Item = Request>,
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
    fn exchange(
        &mut self,
        task: &Task<'_>,
        store: Option<&StoreId>,
        requests: impl Iterator<Item = Request> + Clone,
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
        self.exchange(task, store, once(request))?
            .pop()
            .ok_or_else(|| task.unexpected("no answer"))
    }

    fn forget_opened(&mut self, store: Option<&StoreId>) -> bool {
        match (store, &mut self.conversation) {
            (Some(store), Some(conversation)) => conversation.opened.remove(store),
            _ => false,
        }
    }

    /// Sends a request that is not answered.
    pub(super) fn send(&mut self, task: &Task<'_>, request: &Request) -> Result<()> {
        let Some(conversation) = &mut self.conversation else {
            return Err(task.disconnected(std::io::ErrorKind::NotConnected.into()));
        };
        let sent = conversation.send(task, request, &mut self.interrupts);
        if sent.is_err() {
            self.conversation = None;
        }
        sent.map(|_| ())
    }

    /// Ends an upload on the connection that it was begun on.
    pub(super) fn finish_upload(
        &mut self,
        task: &Task<'_>,
        upload: UploadId,
    ) -> Result<ObjectMeta> {
        let request = Request::PutFinish { upload };
        let replies = self.converse(task, once(request))?;
        match replies.into_iter().next().map(|reply| reply.response) {
            Some(Response::Object(meta)) => Ok(meta),
            Some(other) => Err(task.unexpected(describe(&other))),
            None => Err(task.unexpected("no answer")),
        }
    }

    /// Closes the connection, which cancels in the daemon what is under way on it.
    pub(super) fn disconnect(&mut self) {
        self.conversation = None;
    }

    pub(super) fn config(&self) -> &ClientConfig {
        &self.config
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

/// Cuts a range into pieces that one request may ask for; at least one, of length 0 if need be.
fn pieces(range: ByteRange) -> impl Iterator<Item = ByteRange> + Clone {
    let count = range.length.div_ceil(MAX_RANGE_BYTES).max(1);
    (0..count).map(move |piece| {
        let skipped = piece * MAX_RANGE_BYTES;
        ByteRange {
            // Saturating makes an impossible range one that the daemon refuses.
            offset: range.offset.saturating_add(skipped),
            length: (range.length - skipped).min(MAX_RANGE_BYTES),
        }
    })
}
