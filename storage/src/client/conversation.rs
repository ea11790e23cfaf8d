//! One connection: greeting, requests in flight, replies by request id.

use std::{
    collections::BTreeSet,
    os::fd::{BorrowedFd, OwnedFd},
};

use super::{
    config::ClientConfig,
    error::{Result, Task},
    interrupt::Interrupts,
    socket::Socket,
};
use crate::protocol::{PROTOCOL_VERSIONS, Request, RequestId, Response, StoreId};

/// Requests in flight at once. Requests that are pipelined are small, so that this many always fit
/// the socket's buffer and the client never waits to send while the daemon waits to send.
const WINDOW: usize = 8;

pub(super) struct Conversation {
    socket: Socket,
    next_request: u64,
    /// Stores made known on this connection.
    pub(super) opened: BTreeSet<StoreId>,
}

/// A request and the descriptor that goes with it.
#[derive(Clone)]
pub(super) struct Outgoing<'a> {
    pub(super) request: Request,
    pub(super) descriptor: Option<BorrowedFd<'a>>,
}

impl From<Request> for Outgoing<'_> {
    fn from(request: Request) -> Self {
        Self {
            request,
            descriptor: None,
        }
    }
}

/// A response and the descriptor that came with it.
pub(super) struct Reply {
    pub(super) response: Response,
    pub(super) descriptor: Option<OwnedFd>,
}

impl Reply {
    /// A response that is no failure.
    pub(super) fn success(self, task: &Task<'_>) -> Result<Self> {
        match self.response {
            Response::Failed(failure) => Err(task.failed(failure)),
            _ => Ok(self),
        }
    }
}

impl Conversation {
    /// Connects and agrees on a protocol version.
    pub(super) fn begin(
        config: &ClientConfig,
        task: &Task<'_>,
        interrupts: &mut impl Interrupts,
    ) -> Result<Self> {
        let mut conversation = Self {
            socket: Socket::connect(
                &config.socket,
                config.poll_interval,
                &config.trusted_uids,
                task,
                interrupts,
            )?,
            next_request: 0,
            opened: BTreeSet::new(),
        };
        let hello = Request::Hello {
            oldest: *PROTOCOL_VERSIONS.start(),
            newest: *PROTOCOL_VERSIONS.end(),
        };
        let replies = conversation.exchange(task, std::iter::once(hello.into()), interrupts)?;
        for reply in replies {
            match reply.success(task)?.response {
                Response::Welcome { version } if PROTOCOL_VERSIONS.contains(&version) => {}
                other => return Err(task.unexpected(format!("{other:?} as its greeting"))),
            }
        }
        Ok(conversation)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.socket.is_broken()
    }

    pub(super) fn send(
        &mut self,
        task: &Task<'_>,
        request: &Outgoing<'_>,
        interrupts: &mut impl Interrupts,
    ) -> Result<RequestId> {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        let frame = request.request.encode(id).within(task.limit);
        self.socket
            .send(frame.as_bytes(), request.descriptor, task, interrupts)?;
        Ok(id)
    }

    /// Sends requests, a few at a time, and returns their replies in the order of the requests.
    /// After a failure no more are sent, so that the last reply may be a failure and there may be
    /// fewer replies than requests.
    pub(super) fn exchange<'a>(
        &mut self,
        task: &Task<'_>,
        requests: impl Iterator<Item = Outgoing<'a>>,
        interrupts: &mut impl Interrupts,
    ) -> Result<Vec<Reply>> {
        let first = self.next_request;
        let mut replies: Vec<Option<Reply>> = Vec::new();
        let mut unsent = Some(requests);
        let mut in_flight = 0;
        loop {
            while in_flight < WINDOW
                && let Some(request) = unsent.as_mut().and_then(Iterator::next)
            {
                self.send(task, &request, interrupts)?;
                replies.push(None);
                in_flight += 1;
            }
            if in_flight == 0 {
                break;
            }
            let (header, payload) = self.socket.receive(task, interrupts)?;
            let response =
                Response::decode(header.kind, &payload).map_err(|source| task.malformed(source))?;
            if matches!(response, Response::Failed(_)) {
                unsent = None;
            }
            let descriptor = match response {
                Response::Have(_) => self.socket.take_descriptor(),
                _ => None,
            };
            let place = header
                .request_id
                .0
                .checked_sub(first)
                .and_then(|index| replies.get_mut(usize::try_from(index).ok()?))
                .filter(|place| place.is_none())
                .ok_or_else(|| task.unexpected("an answer to no request"))?;
            *place = Some(Reply {
                response,
                descriptor,
            });
            in_flight -= 1;
        }
        Ok(replies.into_iter().flatten().collect())
    }
}
