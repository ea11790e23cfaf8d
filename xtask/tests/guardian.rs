//! A command that was interrupted left its servers running: they are in sessions of their own.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Waits until a child has ended; false if it does not.
fn ends(child: &mut Child) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        if child.try_wait().unwrap().is_some() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

#[test]
fn a_killed_commands_servers_are_ended() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = dir.path().canonicalize().unwrap();
    let data = cluster.join("data");
    fs::create_dir(&data).unwrap();
    let mut server = Command::new("sleep")
        .arg("600")
        .current_dir(&data)
        .spawn()
        .unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut guardian = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg("guard-servers")
        .arg(&cluster)
        .stdin(reader)
        .spawn()
        .unwrap();
    // A command that holds the pipe's other end, and is killed.
    let mut command = Command::new("sleep")
        .arg("600")
        .stdin(Stdio::null())
        .stdout(writer)
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(
        server.try_wait().unwrap().is_none(),
        "while the command runs, so does its server"
    );
    command.kill().unwrap();
    command.wait().unwrap();
    assert!(ends(&mut guardian));
    assert!(ends(&mut server));
}
