//! A server that answers as S3 does, or the XML API of GCS, in memory, and misbehaves on command.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What the next request of a method meets.
#[derive(Debug, Clone)]
pub enum HttpFault {
    /// This status, with the store's code for the error and its message.
    Status(u16, &'static str, &'static str),
    /// No answer while the client waits.
    Hang,
    /// The work is done, and the connection closed without an answer.
    LoseAnswer,
    /// The connection is closed at once.
    Reset,
    /// The connection is closed in the middle of the body.
    Truncate,
    /// A body of half the length, which the headers tell so.
    Shorten,
    /// A body with another bit.
    Alter,
    /// An answer whose body is no XML.
    Garble,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    pub method: String,
    /// Path of the object within the bucket, empty for the bucket.
    pub key: String,
    bucket: String,
    pub query: String,
    pub headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl HttpRequest {
    fn metadata(&self) -> Option<String> {
        let of = |name| self.headers.get(name).cloned();
        of("x-amz-meta-xxh3").or_else(|| of("x-goog-meta-xxh3"))
    }

    pub fn kind(&self) -> &str {
        match self.method.as_str() {
            "POST" if self.query.contains("uploadId") => "JOIN",
            method => method,
        }
    }
}

#[derive(Debug, Clone)]
struct Stored {
    data: Vec<u8>,
    /// Also its entity tag, between quotes.
    generation: usize,
    metadata: Option<String>,
    written: SystemTime,
}

impl Stored {
    fn etag(&self) -> String {
        format!("\"{}\"", self.generation)
    }
}

#[derive(Debug, Default)]
struct Upload {
    metadata: Option<String>,
    parts: BTreeMap<u32, Vec<u8>>,
}

#[derive(Debug, Default)]
struct State {
    objects: Mutex<BTreeMap<String, Stored>>,
    uploads: Mutex<BTreeMap<String, Upload>>,
    faults: Mutex<VecDeque<(&'static str, HttpFault)>>,
    requests: Mutex<Vec<HttpRequest>>,
    written: AtomicUsize,
    hanging: AtomicUsize,
    /// Conditional writes are answered with 501.
    no_conditions: Mutex<bool>,
}

#[derive(Debug)]
pub struct HttpStore {
    pub url: String,
    state: Arc<State>,
}

impl HttpStore {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || state.serve(&connection));
            }
        });
        Self { url, state }
    }

    /// The next `count` requests of this kind meet the fault: a method, or `JOIN` for what joins the parts of an upload.
    pub fn inject(&self, kind: &'static str, fault: &HttpFault, count: usize) {
        let mut faults = self.state.faults.lock().unwrap();
        faults.extend(std::iter::repeat_n((kind, fault.clone()), count));
    }

    pub fn clear_faults(&self) {
        self.state.faults.lock().unwrap().clear();
    }

    pub fn refuse_conditions(&self) {
        *self.state.no_conditions.lock().unwrap() = true;
    }

    /// The requests since this was asked last.
    pub fn take_requests(&self) -> Vec<HttpRequest> {
        std::mem::take(&mut self.state.requests.lock().unwrap())
    }

    /// Content of an object.
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        let objects = self.state.objects.lock().unwrap();
        objects.get(key).map(|stored| stored.data.clone())
    }

    pub fn keys(&self) -> Vec<String> {
        self.state.objects.lock().unwrap().keys().cloned().collect()
    }

    /// How often an object was written.
    pub fn written(&self) -> usize {
        self.state.written.load(SeqCst)
    }

    /// Uploads in parts that have neither been joined nor aborted.
    pub fn open_uploads(&self) -> usize {
        self.state.uploads.lock().unwrap().len()
    }

    pub fn hanging(&self) -> usize {
        self.state.hanging.load(SeqCst)
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    fn error(status: u16, code: &str, message: &str) -> Self {
        let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        Self::new(status, body)
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

impl State {
    fn serve(&self, connection: &TcpStream) {
        let mut reader = BufReader::new(connection);
        while let Some(request) = read_request(&mut reader) {
            self.requests.lock().unwrap().push(request.clone());
            let fault = {
                let mut faults = self.faults.lock().unwrap();
                let kind = request.kind();
                let at = faults.iter().position(|(of, _)| *of == kind);
                at.and_then(|at| faults.remove(at)).map(|(_, fault)| fault)
            };
            let answer = match &fault {
                Some(HttpFault::Hang) => {
                    self.hanging.fetch_add(1, SeqCst);
                    // Until the client closes.
                    let _ = connection.set_read_timeout(Some(Duration::from_secs(60)));
                    let _ = reader.read(&mut [0]);
                    self.hanging.fetch_sub(1, SeqCst);
                    return;
                }
                Some(HttpFault::Reset) => return,
                Some(HttpFault::Status(status, code, message)) => {
                    Answer::error(*status, code, message)
                }
                _ => self.answer(&request),
            };
            if !send(connection, &request, answer, fault.as_ref()) {
                return;
            }
        }
    }

    fn answer(&self, request: &HttpRequest) -> Answer {
        let parameter = |name: &str| parameter(&request.query, name);
        let upload = parameter("uploadId");
        if request.bucket != "bucket" {
            return Answer::error(404, "NoSuchBucket", "There is no such bucket.");
        }
        match (request.method.as_str(), request.key.as_str()) {
            ("GET", "") => self.list(&request.query),
            ("POST", "") => self.delete_all(&request.body),
            ("GET" | "HEAD", key) => self.read(request, key),
            ("POST", key) if upload.is_none() => {
                let mut uploads = self.uploads.lock().unwrap();
                let id = format!("upload-{}", uploads.len() + 1);
                let upload = Upload {
                    metadata: request.metadata(),
                    ..Upload::default()
                };
                uploads.insert(id.clone(), upload);
                let body = format!(
                    "<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>{key}</Key>\
                     <UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                );
                Answer::new(200, body)
            }
            ("PUT", key) => match upload {
                None => self.write(request, key, request.body.clone(), request.metadata()),
                Some(upload) => {
                    let mut uploads = self.uploads.lock().unwrap();
                    let Some(upload) = uploads.get_mut(&upload) else {
                        return Answer::error(404, "NoSuchUpload", "It is not there.");
                    };
                    let number = parameter("partNumber").unwrap().parse().unwrap();
                    upload.parts.insert(number, request.body.clone());
                    Answer::new(200, "").with("ETag", format!("\"part-{number}\""))
                }
            },
            ("POST", key) => {
                let id = upload.unwrap();
                let found = self.uploads.lock().unwrap().remove(&id);
                let Some(upload) = found else {
                    return Answer::error(404, "NoSuchUpload", "It is not there.");
                };
                let data = upload.parts.values().flatten().copied().collect();
                let written = self.write(request, key, data, upload.metadata.clone());
                if written.status != 200 {
                    self.uploads.lock().unwrap().insert(id, upload);
                    return written;
                }
                let etag = &written.headers[0].1;
                let body = format!(
                    "<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
                );
                Answer::new(200, body)
            }
            ("DELETE", key) => match upload {
                Some(upload) => {
                    self.uploads.lock().unwrap().remove(&upload);
                    Answer::new(204, "")
                }
                None => match self.objects.lock().unwrap().remove(key) {
                    Some(_) => Answer::new(204, ""),
                    None => Answer::error(404, "NoSuchKey", "It is not there."),
                },
            },
            _ => Answer::error(405, "MethodNotAllowed", "No."),
        }
    }

    fn write(
        &self,
        request: &HttpRequest,
        key: &str,
        data: Vec<u8>,
        metadata: Option<String>,
    ) -> Answer {
        let mut objects = self.objects.lock().unwrap();
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        let none_match = header("if-none-match");
        let expected = header("if-match");
        // GCS has no conditions for uploads in parts.
        let generation = header("x-goog-if-generation-match").filter(|_| request.method == "PUT");
        if *self.no_conditions.lock().unwrap() && (none_match.is_some() || expected.is_some()) {
            return Answer::error(501, "NotImplemented", "There are no conditions here.");
        }
        let found = objects.get(key);
        let is_met = match (none_match, expected, generation) {
            (Some(_), ..) | (_, _, Some("0")) => found.is_none(),
            (_, Some(etag), _) => found.is_some_and(|stored| stored.etag() == etag),
            (_, _, Some(number)) => {
                found.is_some_and(|stored| stored.generation.to_string() == number)
            }
            _ => true,
        };
        if expected.is_some() && found.is_none() {
            return Answer::error(404, "NoSuchKey", "It is not there.");
        }
        if !is_met {
            return Answer::error(412, "PreconditionFailed", "It does not hold.");
        }
        let stored = Stored {
            data,
            generation: self.written.fetch_add(1, SeqCst) + 1,
            metadata,
            written: SystemTime::now(),
        };
        let answer = Answer::new(200, "")
            .with("ETag", stored.etag())
            .with("x-goog-generation", stored.generation);
        objects.insert(key.to_owned(), stored);
        answer
    }

    fn read(&self, request: &HttpRequest, key: &str) -> Answer {
        let objects = self.objects.lock().unwrap();
        let Some(stored) = objects.get(key) else {
            return Answer::error(404, "NoSuchKey", "It is not there.");
        };
        if request
            .headers
            .get("if-match")
            .is_some_and(|etag| etag != &stored.etag())
        {
            return Answer::error(412, "PreconditionFailed", "It does not hold.");
        }
        let size = stored.data.len();
        let range = request.headers.get("range").map(|range| {
            let (start, end) = range
                .strip_prefix("bytes=")
                .unwrap()
                .split_once('-')
                .unwrap();
            match (start, end) {
                ("", last) => (size.saturating_sub(last.parse().unwrap()), size),
                (start, end) => {
                    let end = end.parse().map_or(size, |last: usize| size.min(last + 1));
                    (start.parse().unwrap(), end)
                }
            }
        });
        let is_suffix = request
            .headers
            .get("range")
            .is_some_and(|range| range.starts_with("bytes=-"));
        let answer = match range {
            // As MinIO does it.
            Some((0, 0)) if is_suffix => Answer::new(206, "").with("Content-Range", "bytes 0--1/0"),
            Some((start, end)) if start >= end => {
                return Answer::error(416, "InvalidRange", "There is no such range.");
            }
            Some((start, end)) => Answer::new(206, &stored.data[start..end])
                .with("Content-Range", format!("bytes {start}-{}/{size}", end - 1)),
            None => Answer::new(200, stored.data.clone()),
        };
        let answer = answer
            .with("ETag", stored.etag())
            .with("x-goog-generation", stored.generation)
            .with("Last-Modified", "Tue, 01 Sep 2026 00:00:00 GMT");
        match &stored.metadata {
            Some(metadata) => answer
                .with("x-amz-meta-xxh3", metadata)
                .with("x-goog-meta-xxh3", metadata),
            None => answer,
        }
    }

    fn list(&self, query: &str) -> Answer {
        let prefix = parameter(query, "prefix").unwrap_or_default();
        let after = parameter(query, "continuation-token").unwrap_or_default();
        let most: usize = parameter(query, "max-keys").map_or(1000, |most| most.parse().unwrap());
        let objects = self.objects.lock().unwrap();
        let found: Vec<_> = objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix) && **key > after)
            .collect();
        let mut body = "<ListBucketResult>".to_owned();
        for (key, stored) in found.iter().take(most) {
            body.push_str(&format!(
                "<Contents><Key>{}</Key><Size>{}</Size><ETag>{}</ETag>\
                 <LastModified>{}</LastModified></Contents>",
                key.replace('&', "&amp;"),
                stored.data.len(),
                stored.etag(),
                iso_8601(stored.written)
            ));
        }
        if found.len() > most {
            let token = found[most - 1].0;
            body.push_str(&format!(
                "<NextContinuationToken>{token}</NextContinuationToken>"
            ));
        }
        body.push_str("</ListBucketResult>");
        Answer::new(200, body)
    }

    /// Keys with `forbidden` in them stay.
    fn delete_all(&self, body: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(body);
        let mut objects = self.objects.lock().unwrap();
        let mut result = "<DeleteResult>".to_owned();
        for rest in text.split("<Key>").skip(1) {
            let escaped = rest.split("</Key>").next().unwrap();
            let key = &escaped.replace("&amp;", "&").replace("&apos;", "'");
            if key.contains("forbidden") {
                result.push_str(&format!(
                    "<Error><Key>{escaped}</Key><Code>AccessDenied</Code><Message>No.</Message></Error>"
                ));
            } else {
                objects.remove(key);
                result.push_str(&format!("<Deleted><Key>{escaped}</Key></Deleted>"));
            }
        }
        result.push_str("</DeleteResult>");
        Answer::new(200, result)
    }
}

/// A request, whole.
fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<HttpRequest> {
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|bytes| *bytes > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (bucket, key) = path
        .strip_prefix('/')?
        .split_once('/')
        .unwrap_or((&path[1..], ""));
    let (bucket, key, query) = (bucket.to_owned(), unescaped(key)?, query.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(HttpRequest {
        method,
        bucket,
        key,
        query,
        headers,
        body,
    })
}

/// Sends an answer; false when the connection is to be closed.
fn send(
    mut connection: &TcpStream,
    request: &HttpRequest,
    mut answer: Answer,
    fault: Option<&HttpFault>,
) -> bool {
    let mut sent = None;
    match fault {
        Some(HttpFault::LoseAnswer) => return false,
        Some(HttpFault::Truncate) => sent = Some(answer.body.len() / 2),
        Some(HttpFault::Shorten) => {
            answer.body.truncate(answer.body.len() / 2);
        }
        Some(HttpFault::Alter) => {
            let middle = answer.body.len() / 2;
            answer.body[middle] ^= 1;
        }
        Some(HttpFault::Garble) => answer.body = b"<not XML".to_vec(),
        _ => {}
    }
    let mut head = format!("HTTP/1.1 {} Said\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", answer.body.len()));
    let body = match (&request.method[..], sent) {
        ("HEAD", _) => &[][..],
        (_, Some(sent)) => &answer.body[..sent],
        _ => &answer.body,
    };
    connection.write_all(head.as_bytes()).is_ok()
        && connection.write_all(body).is_ok()
        && sent.is_none()
}

/// A parameter of a query, without its escapes.
fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then_some(value)
    })?;
    unescaped(value)
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// As listings have times; by Howard Hinnant's `civil_from_days`.
fn iso_8601(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let shifted = seconds / 86_400 + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let second = seconds % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z")
}
