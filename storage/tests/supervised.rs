//! The daemon as the child of a server: it ends with it, also when requests hang, and logs what the server can date itself.
//! As a unit of systemd it says when it listens.
#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::{
    cell::RefCell,
    io::{BufRead, BufReader},
    os::unix::net::{UnixDatagram, UnixStream},
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

#[test]
fn systemd_is_told_when_it_listens_unless_a_server_runs_it() {
    for (is_supervised, expected) in [(false, Some("READY=1\n")), (true, None)] {
        let directory = TempDir::new().unwrap();
        let address = directory.path().join("notify");
        let systemd = UnixDatagram::bind(&address).unwrap();
        systemd.set_nonblocking(true).unwrap();
        let socket = directory.path().join("socket");
        let mut command = Daemon::command(&socket, &directory.path().join("cache"), "20M");
        command.env("NOTIFY_SOCKET", &address);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        if is_supervised {
            command.arg("--supervised");
        }
        let mut child = command.spawn().unwrap();
        let told = || {
            let mut message = [0; 64];
            let length = systemd.recv(&mut message).ok()?;
            Some(String::from_utf8(message[..length].to_vec()).unwrap())
        };
        let message = match expected {
            Some(_) => {
                let message = RefCell::new(None);
                eventually("systemd is told", || {
                    *message.borrow_mut() = told();
                    message.borrow().is_some()
                });
                assert!(UnixStream::connect(&socket).is_ok());
                message.into_inner()
            }
            None => {
                // It has come to the end, so that it was listening.
                drop(child.stdin.take());
                assert!(child.wait().unwrap().success());
                told()
            }
        };
        assert_eq!(message.as_deref(), expected);
        // One that has ended takes no harm.
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
