//! A client's connection: one exchange after the other.

use super::control;
use super::faults::Fault;
use super::http_date::http_date;
use super::kind::Kind;
use super::link::{Direction, lock};
use super::message::{Body, Change, Head, Transfer, broken};
use super::orders::State;
use super::server::Store;
use rustix::net::{RecvFlags, recv, sockopt};
use std::io::{self, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const POLL: Duration = Duration::from_millis(10);
/// How far S3 lets a client's clock and its own be apart, in seconds.
const MOST_SKEW: i64 = 15 * 60;

pub struct Connection<'a> {
    client: &'a TcpStream,
    from_client: BufReader<&'a TcpStream>,
    store: &'a Store,
    state: &'a State,
    /// To the store; kept for the next exchange.
    upstream: Option<BufReader<TcpStream>>,
    is_new: bool,
    /// Of the present exchange: see [`super::counts::Counts::begin`].
    trip: u64,
}

/// May the connection be used once more?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Exchange,
    Close,
}

impl<'a> Connection<'a> {
    pub fn new(client: &'a TcpStream, store: &'a Store, state: &'a State) -> Self {
        Self {
            client,
            from_client: BufReader::new(client),
            store,
            state,
            upstream: None,
            is_new: true,
            trip: 0,
        }
    }

    /// Until either side closes, or a fault does.
    pub fn serve(&mut self) -> io::Result<()> {
        self.client.set_nodelay(true)?;
        while let Some(request) = Head::read(&mut self.from_client)? {
            let next = match control::is_for_proxy(&request) {
                true => {
                    control::answer(&request, &mut self.from_client, self.client, self.state)?;
                    Next::Close
                }
                false => self.exchange(&request)?,
            };
            if next == Next::Close {
                break;
            }
        }
        Ok(())
    }

    fn exchange(&mut self, request: &Head) -> io::Result<Next> {
        let Some((method, target)) = request.request() else {
            return Err(broken("a request without method"));
        };
        let kind = Kind::of(method, target);
        self.trip = lock(&self.state.counts).begin(kind);
        if std::mem::take(&mut self.is_new) {
            self.state.link.delay();
        }
        self.hold()?;
        if request.header("expect").is_some() {
            self.client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let fault = lock(&self.state.faults).take(kind, Instant::now());
        match fault {
            Some(Fault::Status(status, code)) => {
                self.count_fault(kind);
                self.refuse(request, kind, status, &code)
            }
            Some(Fault::Reset) => {
                self.count_fault(kind);
                sockopt::set_socket_linger(self.client, Some(Duration::ZERO))?;
                Ok(Next::Close)
            }
            Some(Fault::Hang) => {
                self.count_fault(kind);
                let clearings = self.state.clearings();
                while self.state.clearings() == clearings && is_open(self.client) {
                    thread::sleep(POLL);
                }
                Ok(Next::Close)
            }
            None if self.state.link.settings().skew.abs() > MOST_SKEW => {
                self.count_fault(kind);
                self.refuse(request, kind, 403, "RequestTimeTooSkewed")
            }
            fault => self.forward(request, kind, fault.as_ref()),
        }
    }

    fn forward(&mut self, request: &Head, kind: Kind, fault: Option<&Fault>) -> io::Result<Next> {
        let method = request
            .request()
            .map_or("", |(method, _)| method)
            .to_owned();
        let mut upstream = self.connected()?;
        if self.send(request, kind, fault, &mut upstream)? == Next::Close {
            // The store took no more; what it has to say may be there.
            self.upstream = None;
        }
        let answer = loop {
            let head = Head::read(&mut upstream)?.ok_or(ErrorKind::UnexpectedEof)?;
            if !head
                .status()
                .is_some_and(|status| (100..200).contains(&status))
            {
                break head;
            }
        };
        let body = answer.answer_body(&method)?;
        if fault == Some(&Fault::LoseAnswer) {
            self.count_fault(kind);
            Transfer::new(|_: &[u8]| Ok(()), Change::None).run(body, &mut upstream)?;
            return Ok(Next::Close);
        }
        self.state.link.delay();
        lock(&self.state.counts).answered(self.trip);
        let answer = self.dated(answer);
        let change = match fault {
            Some(Fault::Truncate) => Change::Cut,
            Some(Fault::Alter) => Change::Alter,
            _ => Change::None,
        };
        self.give(kind, answer.bytes())?;
        let this = &*self;
        let mut transfer = Transfer::new(|bytes: &[u8]| this.give(kind, bytes), change);
        let is_whole = transfer.run(body, &mut upstream)?;
        if transfer.is_changed {
            self.count_fault(kind);
        }
        if !is_whole || body == Body::UntilClose || answer.closes() || request.closes() {
            return Ok(Next::Close);
        }
        self.upstream = Some(upstream);
        Ok(Next::Exchange)
    }

    /// Passes a request on. Close: the store did not take all of it.
    fn send(
        &mut self,
        request: &Head,
        kind: Kind,
        fault: Option<&Fault>,
        upstream: &mut BufReader<TcpStream>,
    ) -> io::Result<Next> {
        let change = match fault {
            Some(Fault::AlterRequest) => Change::Alter,
            _ => Change::None,
        };
        let mut store = upstream.get_ref();
        let mut is_refused = false;
        let (state, client) = (self.state, self.client);
        let mut give = |bytes: &[u8]| {
            hold(state, client)?;
            state.link.pass(Direction::ToStore, bytes.len());
            lock(&state.counts).of(kind).sent += bytes.len() as u64;
            store.write_all(bytes).inspect_err(|_| is_refused = true)
        };
        let sent = give(request.bytes()).and_then(|()| {
            let mut transfer = Transfer::new(&mut give, change);
            transfer.run(request.request_body()?, &mut self.from_client)?;
            Ok(transfer.is_changed)
        });
        match sent {
            Ok(is_changed) => {
                if is_changed {
                    self.count_fault(kind);
                }
                Ok(Next::Exchange)
            }
            Err(_) if is_refused => Ok(Next::Close),
            Err(error) => Err(error),
        }
    }

    /// Answers in the store's place, as S3, GCS and Azure tell errors.
    fn refuse(&mut self, request: &Head, kind: Kind, status: u16, code: &str) -> io::Result<Next> {
        let counts = &self.state.counts;
        lock(counts).of(kind).sent += request.bytes().len() as u64;
        let ignore = |bytes: &[u8]| {
            lock(counts).of(kind).sent += bytes.len() as u64;
            Ok(())
        };
        Transfer::new(ignore, Change::None).run(request.request_body()?, &mut self.from_client)?;
        self.state.link.delay();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>A fault of the proxy \
             before the store.</Message></Error>"
        );
        let length = body.len();
        let mut answer = format!(
            "HTTP/1.1 {status} Refused\r\nDate: {}\r\nContent-Type: application/xml\r\nx-ms-error-code: {code}\r\n\
             Content-Length: {length}\r\n\r\n",
            http_date(self.now())
        );
        if kind != Kind::Head {
            answer.push_str(&body);
        }
        self.give(kind, answer.as_bytes())?;
        Ok(match request.closes() {
            true => Next::Close,
            false => Next::Exchange,
        })
    }

    /// To the client.
    fn give(&self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        self.hold()?;
        self.state.link.pass(Direction::ToClient, bytes.len());
        lock(&self.state.counts).of(kind).received += bytes.len() as u64;
        (&mut &*self.client).write_all(bytes)
    }

    fn hold(&self) -> io::Result<()> {
        hold(self.state, self.client)
    }

    fn connected(&mut self) -> io::Result<BufReader<TcpStream>> {
        match self.upstream.take().filter(|kept| is_open(kept.get_ref())) {
            Some(kept) => Ok(kept),
            None => self.store.connect().map(BufReader::new),
        }
    }

    fn dated(&self, answer: Head) -> Head {
        match self.state.link.settings().skew {
            0 => answer,
            _ => answer.with("date", &http_date(self.now())),
        }
    }

    /// By the store's clock, in seconds since 1970.
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since.map_or(0, |since| since.as_secs().try_into().unwrap_or(i64::MAX));
        now.saturating_add(self.state.link.settings().skew)
    }

    fn count_fault(&self, kind: Kind) {
        lock(&self.state.counts).of(kind).faults += 1;
    }
}

/// Waits as long as nothing passes.
fn hold(state: &State, client: &TcpStream) -> io::Result<()> {
    while state.link.settings().is_black_hole {
        if !is_open(client) {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// Has the other side not closed yet, as far as is known here?
fn is_open(connection: &TcpStream) -> bool {
    let mut byte = [0];
    match recv(connection, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((read, _)) => read > 0,
        Err(error) => error == rustix::io::Errno::AGAIN,
    }
}
