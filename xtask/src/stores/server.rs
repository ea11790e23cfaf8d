//! A store's server: a process that works in the data directory of the store and listens on one port of the loopback interface.

use crate::cluster::processes;
use crate::process;
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Server {
    dir: PathBuf,
}

impl Server {
    /// The server of the store in `dir`, which is made for this user alone.
    pub fn at(dir: &Path) -> Result<Self> {
        let data = dir.join("data");
        fs::create_dir_all(&data)
            .with_context(|| format!("cannot create directory {}", data.display()))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot set permissions of {}", dir.display()))?;
        let dir = dir
            .canonicalize()
            .with_context(|| format!("cannot resolve {}", dir.display()))?;
        Ok(Self { dir })
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Where it listens, if it does.
    pub fn url(&self) -> Option<String> {
        self.address().map(|address| format!("http://{address}"))
    }

    /// As [`Server::url`], without the scheme.
    pub fn address(&self) -> Option<SocketAddr> {
        let address = address(self.port().filter(|_| self.runs())?);
        TcpStream::connect(address).ok()?;
        Some(address)
    }

    /// Holds the number of its port.
    pub fn port_file(&self) -> PathBuf {
        self.dir.join("port")
    }

    /// Starts `command` in the data directory, unless a server works there, and waits until it listens.
    pub fn start(&self, command: impl FnOnce(u16) -> Command) -> Result<()> {
        if self.url().is_some() {
            return Ok(());
        }
        if self.runs() {
            // It was started just now, or hangs: either way there is none that answers.
            self.stop()?;
        }
        let port = self.free_port()?;
        let path = self.port_file();
        fs::write(&path, port.to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
        let log = self.dir.join("log");
        let file =
            File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let errors = file
            .try_clone()
            .context("cannot duplicate the log's descriptor")?;
        let mut command = command(port);
        let mut child = command
            .current_dir(self.data())
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            // An interrupt at the terminal is not for it.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let started = Instant::now();
        while TcpStream::connect(address(port)).is_err() {
            if let Some(status) = child.try_wait().context("cannot wait for the server")? {
                let told = process::tail(&log, 0, 10);
                bail!("the server {}:\n{told}", process::describe(status));
            }
            if started.elapsed() > START_LIMIT {
                self.stop()?;
                bail!("the server does not listen; see {}", log.display());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Stops what works in the data directory, and waits until nothing does.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::TERM)?;
        // One that is stopped ends when it goes on.
        self.signal(Signal::CONT)?;
        match processes::wait_gone(&self.data(), STOP_LIMIT) {
            Ok(()) => Ok(()),
            Err(_) => processes::kill_all(&self.data(), STOP_LIMIT),
        }
    }

    /// Sends a signal to what works in the data directory.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        processes::working_in(&self.data())
            .into_iter()
            .try_for_each(|pid| processes::send(pid, signal))
    }

    fn runs(&self) -> bool {
        !processes::working_in(&self.data()).is_empty()
    }

    fn port(&self) -> Option<u16> {
        let text = fs::read_to_string(self.port_file()).ok()?;
        text.trim().parse().ok()
    }

    /// The port that it had before, if that is free, so that what was told of it stays true.
    fn free_port(&self) -> Result<u16> {
        let free = |port: u16| TcpListener::bind(address(port)).ok();
        let listener = self.port().and_then(free).or_else(|| free(0));
        let listener = listener.context("no port of the loopback interface is free")?;
        Ok(listener
            .local_addr()
            .context("the port has no number")?
            .port())
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn listening(port: u16) -> Command {
        let mut command = Command::new("python3");
        let script = "import socket, sys, time\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\ntime.sleep(60)";
        command.args(["-c", script]).arg(port.to_string());
        command
    }

    #[test]
    fn a_server_is_found_again_keeps_its_port_and_is_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::at(dir.path()).unwrap();
        assert_eq!(server.url(), None);
        server.start(listening).unwrap();
        let url = Server::at(dir.path()).unwrap().url();
        assert!(url.is_some());
        // Started once more, it is the same one.
        let before = processes::working_in(&server.data());
        server.start(listening).unwrap();
        assert_eq!(processes::working_in(&server.data()), before);
        server.stop().unwrap();
        assert_eq!(server.url(), None);
        server.start(listening).unwrap();
        assert_eq!(server.url(), url);
        server.stop().unwrap();
    }

    #[test]
    fn a_server_that_does_not_start_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::at(dir.path()).unwrap();
        let failing = |_| {
            let mut command = Command::new("sh");
            command.args(["-c", "echo why; exit 3"]);
            command
        };
        let error = server.start(failing).unwrap_err().to_string();
        assert!(
            error.contains("status 3") && error.contains("why"),
            "{error}"
        );
    }
}
