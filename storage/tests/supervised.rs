//! The daemon as the child of a server: it ends with it, also when requests hang, and logs what the server can date itself.
#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::{
    io::{BufRead, BufReader},
    os::unix::net::UnixStream,
    process::Stdio,
    time::{Duration, Instant},
};

use harness::{Daemon, eventually};
use tempfile::TempDir;

#[test]
fn it_ends_with_its_standard_input() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("socket");
    let mut child = Daemon::command(&socket, &directory.path().join("cache"), "20M")
        .arg("--supervised")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the daemon listens", || {
        UnixStream::connect(&socket).is_ok()
    });
    // A conversation that does not end by itself.
    let _held = UnixStream::connect(&socket).unwrap();

    let began = Instant::now();
    drop(child.stdin.take());
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );

    let log = BufReader::new(child.stderr.take().unwrap());
    let lines: Vec<_> = log.lines().map(Result::unwrap).collect();
    let has = |beginning| {
        lines
            .iter()
            .any(|line| line.trim_start().starts_with(beginning))
    };
    assert!(has("INFO listening"), "{lines:?}");
    assert!(has("INFO stopping"), "{lines:?}");
}
