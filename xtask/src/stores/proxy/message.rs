//! Messages of HTTP/1.1 (RFC 9112), as far as a proxy has to know them: the head, and where the body ends.

use std::io::{self, BufRead, Error, ErrorKind, Read};

const MAX_HEAD_BYTES: u64 = 64 * 1024;
/// A size of a chunk, or a trailer.
const MAX_LINE_BYTES: u64 = 8 * 1024;
const PIECE_BYTES: usize = 64 * 1024;

/// First line and headers, as they came.
#[derive(Clone, Debug)]
pub struct Head {
    bytes: Vec<u8>,
    lines: Vec<String>,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Length(u64),
    Chunked,
    /// With the connection.
    UntilClose,
}

impl Head {
    /// None when the connection ended before a message began.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let mut limited = from.take(MAX_HEAD_BYTES);
        let mut lines = Vec::new();
        loop {
            let start = bytes.len();
            limited.read_until(b'\n', &mut bytes)?;
            let line = bytes.get(start..).unwrap_or_default();
            let Some(line) = line.strip_suffix(b"\n") else {
                return match bytes.is_empty() {
                    true => Ok(None),
                    false => Err(broken("a head that does not end")),
                };
            };
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() && !lines.is_empty() {
                return Ok(Some(Self { bytes, lines }));
            }
            lines.push(String::from_utf8_lossy(line).into_owned());
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Method and target of a request.
    pub fn request(&self) -> Option<(&str, &str)> {
        let mut words = self.lines.first()?.split(' ');
        Some((words.next()?, words.next()?))
    }

    /// Status of an answer.
    pub fn status(&self) -> Option<u16> {
        self.lines.first()?.split(' ').nth(1)?.parse().ok()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.lines.iter().skip(1).find_map(|line| {
            let (of, value) = line.split_once(':')?;
            of.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The same with another value for a header that is there.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut lines = self.lines.clone();
        for line in lines.iter_mut().skip(1) {
            if let Some((of, _)) = line.split_once(':')
                && of.eq_ignore_ascii_case(name)
            {
                *line = format!("{of}: {value}");
            }
        }
        let bytes = format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes();
        Self { bytes, lines }
    }

    /// Is the connection closed after this message?
    pub fn closes(&self) -> bool {
        let value = self.header("connection").unwrap_or_default();
        value.eq_ignore_ascii_case("close")
    }

    pub fn request_body(&self) -> io::Result<Body> {
        Ok(self.body()?.unwrap_or(Body::Length(0)))
    }

    /// Of the answer to a request with this method.
    pub fn answer_body(&self, method: &str) -> io::Result<Body> {
        match self.status() {
            Some(204 | 304) => Ok(Body::Length(0)),
            _ if method == "HEAD" => Ok(Body::Length(0)),
            _ => Ok(self.body()?.unwrap_or(Body::UntilClose)),
        }
    }

    fn body(&self) -> io::Result<Option<Body>> {
        if let Some(coding) = self.header("transfer-encoding") {
            return match coding.eq_ignore_ascii_case("chunked") {
                true => Ok(Some(Body::Chunked)),
                false => Err(broken("an unknown transfer coding")),
            };
        }
        match self.header("content-length") {
            Some(length) => {
                let length = length.parse().map_err(|_| broken("a wrong length"))?;
                Ok(Some(Body::Length(length)))
            }
            None => Ok(None),
        }
    }
}

/// What happens to a body on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    None,
    /// A bit in the middle is another.
    Alter,
    /// It ends in the middle.
    Cut,
}

/// A body on its way.
pub struct Transfer<W> {
    /// Takes bytes, those of the framing included.
    pub write: W,
    pub change: Change,
    /// Did the change happen? An empty body cannot be changed.
    pub is_changed: bool,
}

impl<W: FnMut(&[u8]) -> io::Result<()>> Transfer<W> {
    pub fn new(write: W, change: Change) -> Self {
        Self {
            write,
            change,
            is_changed: false,
        }
    }

    /// Moves a body. False: it was cut.
    pub fn run(&mut self, body: Body, from: &mut impl BufRead) -> io::Result<bool> {
        match body {
            Body::Length(length) => self.data(length, from),
            Body::Chunked => self.chunks(from),
            Body::UntilClose => loop {
                let available = from.fill_buf()?.len() as u64;
                if available == 0 {
                    return Ok(true);
                }
                if !self.data(available, from)? {
                    return Ok(false);
                }
            },
        }
    }

    fn chunks(&mut self, from: &mut impl BufRead) -> io::Result<bool> {
        loop {
            let line = read_line(from)?;
            (self.write)(&line)?;
            let size = String::from_utf8_lossy(&line);
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| broken("a chunk without size"))?;
            if size == 0 {
                break;
            }
            if !self.data(size, from)? {
                return Ok(false);
            }
            (self.write)(&read_line(from)?)?;
        }
        // Trailers, and the empty line.
        loop {
            let line = read_line(from)?;
            (self.write)(&line)?;
            if line == b"\r\n" || line == b"\n" {
                return Ok(true);
            }
        }
    }

    fn data(&mut self, length: u64, from: &mut impl BufRead) -> io::Result<bool> {
        let middle = length / 2;
        let mut buffer = vec![0; PIECE_BYTES];
        let mut done = 0;
        while done < length {
            // A usize is at least as wide as the size of a piece.
            let most = (length - done).min(PIECE_BYTES as u64) as usize;
            let read = from.read(&mut buffer[..most])?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let piece = &mut buffer[..read];
            let next = done + read as u64;
            if (done..next).contains(&middle) && !self.is_changed && self.change != Change::None {
                self.is_changed = true;
                let at = (middle - done) as usize;
                if self.change == Change::Cut {
                    (self.write)(&piece[..at])?;
                    return Ok(false);
                }
                piece[at] ^= 1;
            }
            (self.write)(piece)?;
            done = next;
        }
        Ok(true)
    }
}

fn read_line(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    from.take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    match line.ends_with(b"\n") {
        true => Ok(line),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}

pub fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn moved(body: Body, change: Change, mut from: &[u8]) -> (Vec<u8>, bool, usize) {
        let mut to = Vec::new();
        let write = |bytes: &[u8]| {
            to.extend_from_slice(bytes);
            Ok(())
        };
        let is_whole = Transfer::new(write, change).run(body, &mut from).unwrap();
        (to, is_whole, from.len())
    }

    #[test]
    fn a_head_is_passed_on_as_it_came() {
        let text = "GET /a%20b?x=1 HTTP/1.1\r\nHoSt:  here:1\r\nx-amz-date: 2\r\n\r\nbody";
        let mut from = text.as_bytes();
        let head = Head::read(&mut from).unwrap().unwrap();
        assert_eq!(from, b"body");
        assert_eq!(head.bytes(), text.strip_suffix("body").unwrap().as_bytes());
        assert_eq!(head.request(), Some(("GET", "/a%20b?x=1")));
        assert_eq!(head.header("host"), Some("here:1"));
        assert_eq!(head.request_body().unwrap(), Body::Length(0));
        assert!(Head::read(&mut &b""[..]).unwrap().is_none());
        assert!(Head::read(&mut &b"GET / HTTP/1.1\r\n"[..]).is_err());
    }

    #[test]
    fn a_header_is_replaced_and_the_others_stay() {
        let text = "HTTP/1.1 200 OK\r\nDate: x\r\nETag: \"1\"\r\nContent-Length: 3\r\n\r\n";
        let head = Head::read(&mut text.as_bytes()).unwrap().unwrap();
        let other = head.with("date", "y");
        assert_eq!(other.bytes(), text.replace("Date: x", "Date: y").as_bytes());
        assert_eq!(other.answer_body("GET").unwrap(), Body::Length(3));
        assert_eq!(other.answer_body("HEAD").unwrap(), Body::Length(0));
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        let rest = 4;
        assert_eq!(
            moved(Body::Length(6), Change::None, b"abcdefnext"),
            (b"abcdef".to_vec(), true, rest)
        );
        let chunked = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nname: value\r\n\r\n";
        let with_rest = [&chunked[..], b"next"].concat();
        assert_eq!(
            moved(Body::Chunked, Change::None, &with_rest),
            (chunked.to_vec(), true, rest)
        );
        assert_eq!(
            moved(Body::UntilClose, Change::None, b"abc"),
            (b"abc".to_vec(), true, 0)
        );
    }

    #[test]
    fn a_body_is_altered_or_cut_in_the_middle_and_its_framing_is_not() {
        let (altered, is_whole, _) = moved(Body::Length(6), Change::Alter, b"abcdef");
        assert_eq!((&altered[..], is_whole), (&b"abceef"[..], true));
        let (cut, is_whole, _) = moved(Body::Length(6), Change::Cut, b"abcdef");
        assert_eq!((&cut[..], is_whole), (&b"abc"[..], false));
        let chunked = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let (altered, is_whole, _) = moved(Body::Chunked, Change::Alter, chunked);
        let expected = b"3\r\nacc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!((&altered[..], is_whole), (&expected[..], true));
        let large = vec![7; 3 * PIECE_BYTES + 5];
        let (altered, ..) = moved(Body::Length(large.len() as u64), Change::Alter, &large);
        let others: Vec<_> = (0..large.len()).filter(|at| altered[*at] != 7).collect();
        assert_eq!(others, [large.len() / 2]);
    }
}
