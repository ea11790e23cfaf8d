//! The proxy before a server that answers with what it was asked.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::control::tell;
use super::message::{Change, Head, Transfer};
use super::server::{Store, serve};
use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

struct Setup {
    address: String,
    _dir: TempDir,
}

/// Answers every request with its head and body, in the framing that it came in. It closes after `/close`.
fn echo(listener: &TcpListener) {
    for connection in listener.incoming().flatten() {
        thread::spawn(move || {
            let mut from = BufReader::new(&connection);
            while let Some(request) = Head::read(&mut from).unwrap() {
                let body = read_body(&request, &mut from).unwrap();
                let told = [request.bytes(), &body].concat();
                let framed = match request.header("transfer-encoding") {
                    Some(_) => format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", told.len()),
                    None => format!("Content-Length: {}\r\n\r\n", told.len()),
                };
                let mut to = &connection;
                write!(to, "HTTP/1.1 200 OK\r\nDate: now\r\n{framed}").unwrap();
                to.write_all(&told).unwrap();
                if request.header("transfer-encoding").is_some() {
                    to.write_all(b"\r\n0\r\n\r\n").unwrap();
                }
                if request.request() == Some(("GET", "/close")) {
                    return;
                }
            }
        });
    }
}

fn read_body(head: &Head, from: &mut BufReader<&TcpStream>) -> io::Result<Vec<u8>> {
    let body = match head.status() {
        Some(_)
            if head
                .request()
                .is_none_or(|(first, _)| first.starts_with("HTTP/")) =>
        {
            head.answer_body("GET")?
        }
        _ => head.request_body()?,
    };
    let mut bytes = Vec::new();
    let gather = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    Transfer::new(gather, Change::None).run(body, from)?;
    Ok(bytes)
}

fn setup() -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let store = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port_file = dir.path().join("port");
    let port = store.local_addr().unwrap().port();
    std::fs::write(&port_file, port.to_string()).unwrap();
    thread::spawn(move || echo(&store));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || serve(&listener, Store { port_file }));
    Setup { address, _dir: dir }
}

impl Setup {
    fn tell(&self, orders: &str) -> String {
        tell(&self.address, orders).unwrap()
    }

    fn connect(&self) -> TcpStream {
        let connection = TcpStream::connect(&self.address).unwrap();
        connection
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        connection
    }

    fn get(&self) -> io::Result<(Head, Vec<u8>)> {
        ask(&self.connect(), GET)
    }
}

const GET: &str = "GET /lakebase/a%20b HTTP/1.1\r\nhOST: elsewhere:80\r\nX-Amz-Date:1\r\n\r\n";
const PUT: &str = "PUT /lakebase/a HTTP/1.1\r\nHost: here\r\nContent-Length: 6\r\n\r\nabcdef";

fn ask(mut connection: &TcpStream, request: &str) -> io::Result<(Head, Vec<u8>)> {
    connection.write_all(request.as_bytes())?;
    let mut from = BufReader::new(connection);
    let head = Head::read(&mut from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = read_body(&head, &mut from)?;
    Ok((head, body))
}

#[test]
fn requests_and_answers_pass_unchanged_and_are_counted() {
    let setup = setup();
    let connection = setup.connect();
    for _ in 0..2 {
        let (head, body) = ask(&connection, GET).unwrap();
        assert_eq!(head.status(), Some(200));
        assert_eq!(body, GET.as_bytes());
    }
    let (_, body) = ask(&connection, PUT).unwrap();
    assert_eq!(body, PUT.as_bytes());
    let chunked = "PUT /lakebase/a?partNumber=1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let (_, body) = ask(&connection, chunked).unwrap();
    let told = format!("{:x}\r\n{chunked}\r\n0\r\n\r\n", chunked.len());
    assert_eq!(String::from_utf8(body).unwrap(), told);
    let counts = setup.tell("counts");
    let sent = 2 * GET.len();
    assert!(
        counts.starts_with(&format!("GET requests 2 sent {sent} received ")),
        "{counts}"
    );
    assert!(counts.contains(&format!("PUT requests 1 sent {} ", PUT.len())));
    assert!(counts.contains("PART requests 1"), "{counts}");
    assert!(counts.ends_with("trips 4\n"), "{counts}");
    let counts = setup.tell("forget\ncounts");
    assert!(counts.ends_with("trips 0\n"), "{counts}");
    assert!(counts.contains("GET requests 0 sent 0 received 0 faults 0"));
}

#[test]
fn a_connection_that_the_store_closed_meanwhile_is_made_anew() {
    let setup = setup();
    let connection = setup.connect();
    ask(&connection, "GET /close HTTP/1.1\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(100));
    let (head, _) = ask(&connection, GET).unwrap();
    assert_eq!(head.status(), Some(200));
}

#[test]
fn refusals_are_told_as_stores_tell_them_and_the_connection_goes_on() {
    let setup = setup();
    setup.tell("fault PUT 503:SlowDown 2\nfault * expired");
    let connection = setup.connect();
    for (request, status, code) in [
        (PUT, 503, "SlowDown"),
        (GET, 403, "ExpiredToken"),
        (PUT, 503, "SlowDown"),
    ] {
        let (head, body) = ask(&connection, request).unwrap();
        assert_eq!(head.status(), Some(status));
        assert_eq!(head.header("x-ms-error-code"), Some(code));
        let body = String::from_utf8(body).unwrap();
        assert!(body.contains(&format!("<Code>{code}</Code>")), "{body}");
    }
    let (_, body) = ask(&connection, PUT).unwrap();
    assert_eq!(body, PUT.as_bytes());
}

#[test]
fn bodies_are_cut_and_altered() {
    let setup = setup();
    setup.tell("fault GET truncate");
    let error = setup.get().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    for (order, count) in [("fault PUT alter", 1), ("fault PUT alter-request", 2)] {
        setup.tell(order);
        let (head, body) = ask(&setup.connect(), PUT).unwrap();
        assert_eq!(head.status(), Some(200));
        let differs = body.iter().zip(PUT.as_bytes()).filter(|(a, b)| a != b);
        assert_eq!((body.len(), differs.count()), (PUT.len(), 1));
        assert!(setup.tell("counts").contains(&format!("faults {count}")));
    }
    // Without a body there is nothing to alter.
    setup.tell("forget\nfault GET alter-request");
    assert_eq!(setup.get().unwrap().1, GET.as_bytes());
    assert!(!setup.tell("counts").contains("faults 1"));
}

#[test]
fn connections_are_reset_or_closed_without_an_answer() {
    let setup = setup();
    setup.tell("fault GET reset");
    let error = setup.get().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    setup.tell("fault GET lose-answer");
    let error = setup.get().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    setup.get().unwrap();
}

#[test]
fn a_hang_lasts_until_everything_is_cleared_and_a_black_hole_gives_back_what_it_has() {
    let setup = setup();
    setup.tell("fault GET hang");
    let begun = Instant::now();
    let wait = Duration::from_millis(200);
    thread::scope(|scope| {
        let asking = scope.spawn(|| setup.get());
        thread::sleep(wait);
        setup.tell("clear");
        assert!(asking.join().unwrap().is_err());
    });
    setup.tell("black-hole on");
    thread::scope(|scope| {
        let asking = scope.spawn(|| setup.get());
        thread::sleep(wait);
        setup.tell("black-hole off");
        assert_eq!(asking.join().unwrap().unwrap().1, GET.as_bytes());
    });
    assert!(begun.elapsed() > 2 * wait);
}

#[test]
fn answers_take_longer_by_the_latency_and_the_bandwidth() {
    let setup = setup();
    setup.tell("latency 100ms");
    let begun = Instant::now();
    let connection = setup.connect();
    for _ in 0..3 {
        ask(&connection, GET).unwrap();
    }
    // One of them for the connection.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(400), "{took:?}");
    setup.tell("latency 0ms\nbandwidth 1000000");
    let begun = Instant::now();
    let body = "x".repeat(300_000);
    let put = format!("PUT /lakebase/a HTTP/1.1\r\nContent-Length: 300000\r\n\r\n{body}");
    let (_, echoed) = ask(&connection, &put).unwrap();
    assert_eq!(echoed, put.as_bytes());
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(590), "{took:?}");
}

#[test]
fn a_clock_that_is_wrong_is_told_and_far_off_refused() {
    let setup = setup();
    let date = |head: &Head| head.header("date").map(str::to_owned);
    assert_eq!(date(&setup.get().unwrap().0).as_deref(), Some("now"));
    setup.tell("skew -600");
    let (head, _) = setup.get().unwrap();
    assert_eq!(head.status(), Some(200));
    assert!(date(&head).unwrap().ends_with(" GMT"));
    setup.tell("skew 1200");
    let (head, body) = setup.get().unwrap();
    assert_eq!(head.status(), Some(403));
    assert!(
        String::from_utf8(body)
            .unwrap()
            .contains("RequestTimeTooSkewed")
    );
}

#[test]
fn orders_that_cannot_be_done_are_refused_with_a_reason() {
    let setup = setup();
    for (order, reason) in [
        ("latency", "not one of"),
        ("latency 30", "not a time"),
        ("bandwidth fast", "not a number"),
        ("fault get 503", "no such kind"),
        ("fault GET 200", "no such fault"),
        ("fault GET 503 often", "neither a number"),
        ("skew 99999999999", "not a number"),
    ] {
        let error = tell(&setup.address, order).unwrap_err().to_string();
        assert!(error.contains(order) && error.contains(reason), "{error}");
    }
}
