//! A blocking Unix domain socket whose waits are cut into slices.

use std::{
    collections::VecDeque,
    io,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{self, AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType},
};

use super::{
    error::{ClientError, Result, Task},
    interrupt::Interrupts,
};
use crate::{
    descriptors::{receive, send_with},
    protocol::{FrameHeader, HEADER_BYTES},
};

/// Wait between attempts while the daemon's queue of connections is full.
const CONNECT_RETRY: Duration = Duration::from_millis(10);

pub(super) struct Socket {
    stream: UnixStream,
    /// Descriptors received with bytes of frames, in the order of those frames.
    descriptors: VecDeque<OwnedFd>,
}

impl Socket {
    /// Connects without ever blocking for longer than a slice.
    pub(super) fn connect(
        path: &Path,
        poll_interval: Duration,
        trusted_uids: &[u32],
        task: &Task<'_>,
        interrupts: &mut impl Interrupts,
    ) -> Result<Self> {
        let unreachable = |source: io::Error| ClientError::Unreachable {
            operation: task.operation,
            object: task.object.to_owned(),
            socket: path.to_owned(),
            source,
        };
        let deadline = Instant::now() + task.limit;
        let address = SocketAddrUnix::new(path).map_err(|errno| unreachable(errno.into()))?;
        let socket = net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .map_err(|errno| unreachable(errno.into()))?;
        loop {
            interrupts.check()?;
            match net::connect(&socket, &address) {
                Ok(()) => break,
                Err(Errno::AGAIN | Errno::INTR) if Instant::now() < deadline => {
                    thread::sleep(CONNECT_RETRY);
                }
                Err(errno) => return Err(unreachable(errno.into())),
            }
        }
        check_listener(&socket, trusted_uids).map_err(unreachable)?;
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(false).map_err(unreachable)?;
        stream
            .set_read_timeout(Some(poll_interval))
            .and_then(|()| stream.set_write_timeout(Some(poll_interval)))
            .map_err(unreachable)?;
        Ok(Self {
            stream,
            descriptors: VecDeque::new(),
        })
    }

    /// Sends all of `bytes`, and a descriptor with the first of them.
    pub(super) fn send(
        &mut self,
        mut bytes: &[u8],
        mut descriptor: Option<BorrowedFd<'_>>,
        task: &Task<'_>,
        interrupts: &mut impl Interrupts,
    ) -> Result<()> {
        let mut deadline = Instant::now() + task.limit;
        while !bytes.is_empty() {
            interrupts.check()?;
            let sent = match descriptor {
                Some(descriptor) => send_with(&self.stream, bytes, descriptor, SendFlags::empty()),
                None => net::send(&self.stream, bytes, SendFlags::NOSIGNAL),
            };
            match sent {
                Ok(sent) => {
                    descriptor = None;
                    bytes = bytes.get(sent..).unwrap_or_default();
                    deadline = Instant::now() + task.limit;
                }
                Err(Errno::AGAIN | Errno::INTR) if Instant::now() < deadline => {}
                Err(Errno::AGAIN | Errno::INTR) => return Err(task.timed_out()),
                Err(errno) => return Err(task.disconnected(errno.into())),
            }
        }
        Ok(())
    }

    /// Receives one frame.
    pub(super) fn receive(
        &mut self,
        task: &Task<'_>,
        interrupts: &mut impl Interrupts,
    ) -> Result<(FrameHeader, Vec<u8>)> {
        let mut header = [0; HEADER_BYTES];
        self.fill(&mut header, task, interrupts)?;
        let header = FrameHeader::decode(&header).map_err(|source| task.malformed(source))?;
        // Bounded by the decoder.
        let mut payload = vec![0; header.payload_bytes];
        self.fill(&mut payload, task, interrupts)?;
        Ok((header, payload))
    }

    /// The descriptor that came with the oldest frame having one.
    pub(super) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    /// Has the daemon closed the connection, or sent what nobody asked for? Does not wait.
    pub(super) fn is_broken(&self) -> bool {
        let mut byte = [0; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        !matches!(net::recv(&self.stream, &mut byte, flags), Err(Errno::AGAIN))
    }

    fn fill(
        &mut self,
        mut buffer: &mut [u8],
        task: &Task<'_>,
        interrupts: &mut impl Interrupts,
    ) -> Result<()> {
        let mut deadline = Instant::now() + task.limit;
        while !buffer.is_empty() {
            interrupts.check()?;
            match receive(
                &self.stream,
                buffer,
                &mut self.descriptors,
                RecvFlags::empty(),
            ) {
                Ok(0) => {
                    return Err(task.disconnected(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(received) => {
                    buffer = buffer.get_mut(received..).unwrap_or_default();
                    deadline = Instant::now() + task.limit;
                }
                Err(Errno::AGAIN | Errno::INTR) if Instant::now() < deadline => {}
                Err(Errno::AGAIN | Errno::INTR) => return Err(task.timed_out()),
                Err(errno) => return Err(task.disconnected(errno.into())),
            }
        }
        Ok(())
    }
}

/// Whoever listens there must be this process's user, root, or one of those named: others are told nothing.
fn check_listener(socket: &OwnedFd, trusted_uids: &[u32]) -> io::Result<()> {
    let uid = net::sockopt::socket_peercred(socket)?.uid;
    if uid == rustix::process::geteuid() || uid.is_root() || trusted_uids.contains(&uid.as_raw()) {
        return Ok(());
    }
    let message = format!("user {} listens there, who is not trusted", uid.as_raw());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
}
