//! A client that does next to nothing: it speaks just enough of PostgreSQL's frontend/backend
//! protocol (version 3.0, over the Unix socket) to send a query or COPY data and throw the rows
//! away, so that what bench measures is the server, and so that the crash test knows exactly what
//! was acknowledged to it.

use crate::cluster::{Connection, SUPERUSER};
use anyhow::{Context, Error, Result, bail};
use std::fmt;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const PROTOCOL: i32 = 3 << 16;
/// A message longer than this is not PostgreSQL talking.
const MESSAGE_MAX: usize = 1 << 30;
/// How much of COPY's data goes into one message.
const COPY_CHUNK: usize = 1 << 16;

/// A session with a backend of its own.
pub struct Session {
    stream: BufReader<UnixStream>,
    backend: i32,
    body: Vec<u8>,
    notices: Vec<String>,
    /// The rows of the present query, where they are wanted.
    rows: Option<Vec<Row>>,
}

/// A row's columns as text; `None` is NULL.
pub type Row = Vec<Option<String>>;

/// What came back for one query.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub rows: u64,
    pub bytes: u64,
    /// The first row's first column.
    pub first: Option<String>,
    /// The last command's tag, such as `INSERT 0 1`.
    pub tag: String,
}

/// What the server said went wrong. Every other error of a session means that the connection, and
/// with it the knowledge of what became of the last statement, is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    pub severity: String,
    pub state: String,
    pub message: String,
}

impl ServerError {
    /// The session ends with this error.
    pub fn is_fatal(&self) -> bool {
        matches!(self.severity.as_str(), "FATAL" | "PANIC")
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.state)
    }
}

impl std::error::Error for ServerError {}

/// Whether a session gave up waiting for an answer ([`Session::set_time_limit`]).
pub fn is_time_out(error: &Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        })
    })
}

impl Session {
    pub fn open(connection: &Connection) -> Result<Self> {
        let path = connection
            .host
            .join(format!(".s.PGSQL.{}", connection.port));
        let stream = UnixStream::connect(&path)
            .with_context(|| format!("cannot connect to {}", path.display()))?;
        let mut session = Self {
            stream: BufReader::with_capacity(1 << 16, stream),
            backend: 0,
            body: Vec::new(),
            notices: Vec::new(),
            rows: None,
        };
        session.send(&startup(&connection.database))?;
        session.until(b'Z')?;
        Ok(session)
    }

    /// Process id of the backend.
    pub fn backend(&self) -> i32 {
        self.backend
    }

    /// Gives up on an answer after this time.
    pub fn set_time_limit(&self, limit: Duration) -> Result<()> {
        self.stream
            .get_ref()
            .set_read_timeout(Some(limit))
            .context("cannot limit the wait for the server")
    }

    /// Runs `sql` by the simple query protocol.
    pub fn query(&mut self, sql: &str) -> Result<Answer> {
        self.send(&simple_query(sql)?)?;
        self.until(b'Z').with_context(|| format!("in: {sql}"))
    }

    /// As [`Self::query`], with all rows.
    pub fn query_rows(&mut self, sql: &str) -> Result<(Answer, Vec<Row>)> {
        self.rows = Some(Vec::new());
        let answer = self.query(sql);
        let rows = self.rows.take().unwrap_or_default();
        Ok((answer?, rows))
    }

    /// Runs `sql`, a COPY FROM STDIN, with `data`.
    pub fn copy_in(&mut self, sql: &str, data: &[u8]) -> Result<Answer> {
        self.send(&simple_query(sql)?)?;
        self.until(b'G').with_context(|| format!("in: {sql}"))?;
        for chunk in data.chunks(COPY_CHUNK) {
            let mut message = vec![b'd'];
            message.extend(length_of(chunk.len()));
            message.extend(chunk);
            self.send(&message)?;
        }
        self.send(b"c\0\0\0\x04")?;
        self.until(b'Z').with_context(|| format!("in: {sql}"))
    }

    /// The messages of the notices that came since this was last asked.
    pub fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.stream
            .get_mut()
            .write_all(message)
            .context("the server closed the connection")
    }

    /// Reads up to a message of kind `last`, or ReadyForQuery if that comes first. An ErrorResponse
    /// before it becomes the error.
    fn until(&mut self, last: u8) -> Result<Answer> {
        let mut answer = Answer::default();
        let mut failure: Option<ServerError> = None;
        loop {
            let kind = self.receive()?;
            match kind {
                b'D' => {
                    if answer.rows == 0 {
                        answer.first = first_column(&self.body);
                    }
                    if let Some(rows) = &mut self.rows {
                        rows.push(columns(&self.body));
                    }
                    answer.rows += 1;
                    answer.bytes += self.body.len() as u64;
                }
                b'K' => {
                    let pid = self
                        .body
                        .first_chunk::<4>()
                        .context("a short BackendKeyData")?;
                    self.backend = i32::from_be_bytes(*pid);
                }
                b'R' if self.body.first_chunk::<4>() != Some(&[0; 4]) => {
                    bail!("the server wants a password on its Unix socket");
                }
                b'C' => answer.tag = terminated(&self.body),
                b'N' => self.notices.push(server_error(&self.body).message),
                b'E' => {
                    let error = server_error(&self.body);
                    // No ReadyForQuery follows the end of a session, or its refusal.
                    if error.is_fatal() {
                        return Err(error.into());
                    }
                    failure = failure.or(Some(error));
                }
                _ => {}
            }
            if kind == b'Z' || (kind == last && failure.is_none()) {
                break;
            }
        }
        failure.map_or(Ok(answer), |error| Err(error.into()))
    }

    fn receive(&mut self) -> Result<u8> {
        let mut head = [0; 5];
        self.stream
            .read_exact(&mut head)
            .context("the server closed the connection")?;
        let [kind, a, b, c, d] = head;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if !(4..=MESSAGE_MAX).contains(&length) {
            bail!("a message of {length} bytes came from the server");
        }
        self.body.resize(length - 4, 0);
        self.stream
            .read_exact(&mut self.body)
            .context("the server closed the connection")?;
        Ok(kind)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Terminate; the backend would notice the closed socket as well.
        let _ = self.stream.get_mut().write_all(b"X\0\0\0\x04");
    }
}

fn startup(database: &str) -> Vec<u8> {
    let mut body = PROTOCOL.to_be_bytes().to_vec();
    for (name, value) in [("user", SUPERUSER), ("database", database)] {
        for text in [name, value] {
            body.extend(text.as_bytes());
            body.push(0);
        }
    }
    body.push(0);
    let mut message = length_of(body.len()).to_vec();
    message.extend(body);
    message
}

fn simple_query(sql: &str) -> Result<Vec<u8>> {
    if sql.contains('\0') {
        bail!("SQL cannot hold a zero byte");
    }
    let mut message = vec![b'Q'];
    message.extend(length_of(sql.len() + 1));
    message.extend(sql.as_bytes());
    message.push(0);
    Ok(message)
}

/// The length field, which counts itself.
fn length_of(body: usize) -> [u8; 4] {
    u32::try_from(body + 4).unwrap_or(u32::MAX).to_be_bytes()
}

/// The first column of a DataRow, if it is there and not NULL.
fn first_column(body: &[u8]) -> Option<String> {
    column(body.get(2..)?)?.0
}

/// All columns of a DataRow; those that are cut off are left out.
fn columns(body: &[u8]) -> Row {
    let mut rest = body.get(2..).unwrap_or_default();
    std::iter::from_fn(|| {
        let (value, after) = column(rest)?;
        rest = after;
        Some(value)
    })
    .collect()
}

/// The column at the beginning of what is left of a DataRow, and what follows it.
fn column(rest: &[u8]) -> Option<(Option<String>, &[u8])> {
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        return Some((None, rest));
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((Some(String::from_utf8_lossy(value).into_owned()), rest))
}

/// The string that a message begins with, up to its zero byte.
fn terminated(body: &[u8]) -> String {
    let end = body.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(body.get(..end.unwrap_or(body.len())).unwrap_or_default()).into_owned()
}

/// The fields of an ErrorResponse or NoticeResponse.
fn server_error(body: &[u8]) -> ServerError {
    let field = |wanted: u8| {
        body.split(|byte| *byte == 0)
            .filter_map(|field| field.split_first())
            .find(|(kind, _)| **kind == wanted)
            .map_or_else(String::new, |(_, text)| {
                String::from_utf8_lossy(text).into_owned()
            })
    };
    ServerError {
        // `V` is never translated.
        severity: field(b'V'),
        state: field(b'C'),
        message: field(b'M'),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn messages_carry_their_length() {
        assert_eq!(simple_query("SELECT 1").unwrap(), b"Q\0\0\0\x0dSELECT 1\0");
        let startup = startup("d");
        assert_eq!(startup.len(), usize::from(startup[3]));
        assert!(simple_query("a\0b").is_err());
    }

    #[test]
    fn rows_and_errors_are_read() {
        assert_eq!(first_column(b"\0\x01\0\0\0\x0242"), Some("42".to_owned()));
        assert_eq!(first_column(b"\0\x01\xff\xff\xff\xff"), None);
        assert_eq!(first_column(b"\0\x01\0\0\0\x09x"), None);
        assert_eq!(
            columns(b"\0\x03\0\0\0\x0242\xff\xff\xff\xff\0\0\0\0"),
            [Some("42".to_owned()), None, Some(String::new())]
        );
        assert_eq!(terminated(b"INSERT 0 1\0"), "INSERT 0 1");
        let body = b"SERROR\0VERROR\0C42P01\0Mno such table\0\0";
        let error = server_error(body);
        assert_eq!(error.to_string(), "no such table (SQLSTATE 42P01)");
        assert!(!error.is_fatal());
        assert!(server_error(b"VFATAL\0C57P01\0Mgone\0\0").is_fatal());
    }
}
