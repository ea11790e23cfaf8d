//! How orders come to the proxy.

use super::message::{Change, Head, Transfer, broken};
use super::orders::State;
use anyhow::{Context, Result, bail};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

const PATH: &str = "/-/control";
const MAX_ORDERS_BYTES: usize = 64 * 1024;

pub fn is_for_proxy(request: &Head) -> bool {
    request.request() == Some(("POST", PATH))
}

/// Does what a request says, and answers it.
pub fn answer(
    request: &Head,
    from: &mut impl BufRead,
    mut to: &TcpStream,
    state: &State,
) -> io::Result<()> {
    let orders = text(from, request.request_body()?)?;
    let (status, told) = match state.obey(&orders) {
        Ok(told) => ("200 OK", told),
        Err(error) => ("400 Bad Request", format!("{error:#}\n")),
    };
    let length = told.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{told}"
    );
    to.write_all(answer.as_bytes())
}

/// Gives orders to the proxy at an address, and returns what it tells.
pub fn tell(address: &str, orders: &str) -> Result<String> {
    let exchange = || {
        let mut connection = TcpStream::connect(address)?;
        let length = orders.len();
        let request = format!(
            "POST {PATH} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n{orders}"
        );
        connection.write_all(request.as_bytes())?;
        let mut from = BufReader::new(connection);
        let head = Head::read(&mut from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let told = text(&mut from, head.answer_body("POST")?)?;
        io::Result::Ok((head.status(), told))
    };
    let (status, told) =
        exchange().with_context(|| format!("cannot ask the proxy at {address}"))?;
    if status != Some(200) {
        bail!("the proxy refuses: {}", told.trim_end());
    }
    Ok(told)
}

fn text(from: &mut impl BufRead, body: super::message::Body) -> io::Result<String> {
    let mut bytes = Vec::new();
    let gather = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        match bytes.len() <= MAX_ORDERS_BYTES {
            true => Ok(()),
            false => Err(broken("a text that is too long")),
        }
    };
    Transfer::new(gather, Change::None).run(body, from)?;
    String::from_utf8(bytes).map_err(|_| broken("a text that is not UTF-8"))
}
