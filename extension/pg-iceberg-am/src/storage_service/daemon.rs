//! The service as a child process.
//!
//! It must not outlive the server, however that ends. It stops when its standard input does, whose other end this process
//! alone has, and the kernel tells it to when this process dies. Of the server it gets its environment and working
//! directory, but neither descriptors nor what signals do.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{place, settings};

/// How long the service may take to stop when it is told to.
const PATIENCE: Duration = Duration::from_millis(800);
const POLL: Duration = Duration::from_millis(5);
/// The longest line of its log.
const LINE: usize = 8 * 1024;

/// A program, and how it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    program: PathBuf,
    arguments: Vec<OsString>,
    directories: Vec<PathBuf>,
}

impl Invocation {
    /// As the configuration says now.
    pub fn configured() -> Self {
        let cache = place::cache();
        let mut arguments: Vec<OsString> = vec![
            "--supervised".into(),
            "--socket".into(),
            place::socket().into(),
            "--cache-dir".into(),
            cache.clone().into(),
            "--cache-size".into(),
            format!("{}M", settings::cache_megabytes()).into(),
        ];
        if let Some(file) = settings::credentials_file() {
            arguments.extend(["--credentials".into(), file.into()]);
        }
        if let Some(place) = settings::metrics() {
            arguments.extend(["--metrics".into(), place.into()]);
        }
        Self {
            program: place::program(),
            arguments,
            directories: vec![place::DIRECTORY.into(), cache],
        }
    }
}

/// The service while it runs.
pub struct Daemon {
    child: Child,
    log: Option<ChildStderr>,
    /// What has been read of a line.
    line: Vec<u8>,
    started: Instant,
}

impl Daemon {
    /// Starts it.
    ///
    /// # Errors
    /// What is wrong with the program or with the directories.
    pub fn start(invocation: &Invocation) -> Result<Self, String> {
        for directory in &invocation.directories {
            make_directory(directory)
                .map_err(|error| format!("could not make {}: {error}", directory.display()))?;
        }
        let mut command = Command::new(&invocation.program);
        command
            .args(&invocation.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Signals that are sent to this process and its children, as the postmaster does, are for this one to pass on.
            .process_group(0);
        let parent = std::process::id();
        // SAFETY: between fork and exec only system calls are made.
        unsafe { command.pre_exec(move || detach(parent)) };
        let mut child = command
            .spawn()
            .map_err(|error| format!("could not run {}: {error}", invocation.program.display()))?;
        let log = child.stderr.take();
        if let Some(log) = &log {
            // Whoever cannot have it so waits for each line.
            let _ = set_nonblocking(log.as_fd());
        }
        Ok(Self {
            child,
            log,
            line: Vec::new(),
            started: Instant::now(),
        })
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// For how long it has run.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// What can be read when it has logged something, and when it has ended; `None` once all was read.
    pub fn log(&self) -> Option<BorrowedFd<'_>> {
        self.log.as_ref().map(AsFd::as_fd)
    }

    /// Gives the lines that it has logged since the last call. Does not wait.
    pub fn read_log(&mut self, mut on_line: impl FnMut(&str)) {
        let mut bytes = [0; 4096];
        while let Some(log) = &mut self.log {
            match log.read(&mut bytes) {
                Ok(0) => self.log = None,
                Ok(read) => {
                    for &byte in &bytes[..read] {
                        if byte == b'\n' || self.line.len() == LINE {
                            on_line(&String::from_utf8_lossy(&self.line));
                            self.line.clear();
                        }
                        if byte != b'\n' {
                            self.line.push(byte);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.log = None,
            }
        }
        if !self.line.is_empty() {
            on_line(&String::from_utf8_lossy(&self.line));
            self.line.clear();
        }
    }

    /// How it has ended, if it has. Does not wait.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        // Nobody else waits for this child.
        self.child.try_wait().ok().flatten()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: a child that has not been waited for, so that the number is still its own.
        unsafe { libc::kill(self.pid(), signal) };
    }

    /// Stops it: it is asked first, and killed where that does not help.
    pub fn stop(mut self, mut on_line: impl FnMut(&str)) {
        self.signal(libc::SIGTERM);
        drop(self.child.stdin.take());
        let told = Instant::now();
        while self.ended().is_none() {
            if told.elapsed() > PATIENCE {
                self.signal(libc::SIGKILL);
                // It is about to end.
                let _ = self.child.wait();
                break;
            }
            self.read_log(&mut on_line);
            std::thread::sleep(POLL);
        }
        self.read_log(on_line);
    }
}

/// How a process has ended, as the end of a sentence.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// A directory that nobody else has to do with.
fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn set_nonblocking(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: flags of an open descriptor.
    unsafe {
        let flags = libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFL);
        if flags < 0
            || libc::fcntl(
                descriptor.as_raw_fd(),
                libc::F_SETFL,
                flags | libc::O_NONBLOCK,
            ) < 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// In the child, before it becomes the program: takes leave of the server.
fn detach(parent: u32) -> io::Result<()> {
    // SAFETY: system calls that are allowed after fork; no memory is taken.
    unsafe {
        if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) < 0 {
            return Err(io::Error::last_os_error());
        }
        // It may have died before.
        if libc::getppid() != parent.cast_signed() {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        for signal in 1..libc::SIGRTMAX() {
            // Not all can be changed.
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        close_on_exec();
    }
    Ok(())
}

/// Has all descriptors but the three standard ones closed when the program begins.
///
/// # Safety
///
/// Only for a child that is about to become a program.
unsafe fn close_on_exec() {
    // SAFETY: flags of descriptors, which need not be open.
    unsafe {
        let all = libc::syscall(
            libc::SYS_close_range,
            3,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
        if all == 0 {
            return;
        }
        // Linux before 5.11.
        let most = libc::sysconf(libc::_SC_OPEN_MAX).clamp(256, 1 << 20) as i32;
        for descriptor in 3..most {
            libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn shell(script: &str) -> Invocation {
        Invocation {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            directories: Vec::new(),
        }
    }

    /// Runs it to its end, or until it has said this.
    fn lines(daemon: &mut Daemon, last: &str) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let began = Instant::now();
        while daemon.log().is_some() && lines.last().is_none_or(|line| line != last) {
            assert!(began.elapsed() < Duration::from_secs(20), "{lines:?}");
            daemon.read_log(|line| lines.push(line.to_owned()));
            std::thread::sleep(POLL);
        }
        lines
    }

    fn end_of(daemon: &mut Daemon) -> ExitStatus {
        loop {
            if let Some(status) = daemon.ended() {
                return status;
            }
            std::thread::sleep(POLL);
        }
    }

    #[test]
    fn what_it_logs_is_read_by_lines_and_its_end_is_seen() {
        let script = "printf 'one\\ntwo\\nrest' >&2; exit 3";
        let mut daemon = Daemon::start(&shell(script)).unwrap();
        assert_eq!(lines(&mut daemon, ""), ["one", "two", "rest"]);
        assert_eq!(describe(end_of(&mut daemon)), "exited with status 3");
    }

    #[test]
    fn who_does_not_stop_is_killed() {
        let script = "trap '' TERM; echo ready >&2; while :; do sleep 0.05; done";
        let mut daemon = Daemon::start(&shell(script)).unwrap();
        assert_eq!(lines(&mut daemon, "ready"), ["ready"]);
        let began = Instant::now();
        daemon.stop(|_| {});
        assert!((PATIENCE..PATIENCE * 4).contains(&began.elapsed()));
    }

    #[test]
    fn its_standard_input_ends_with_the_process_that_has_started_it() {
        let script = "echo ready >&2; cat; echo over >&2";
        let mut daemon = Daemon::start(&shell(script)).unwrap();
        assert_eq!(lines(&mut daemon, "ready"), ["ready"]);
        drop(daemon.child.stdin.take());
        assert_eq!(lines(&mut daemon, ""), ["over"]);
        end_of(&mut daemon);
    }

    #[test]
    fn it_inherits_neither_descriptors_nor_ignored_signals() {
        // SAFETY: descriptors and a signal of this process; nothing else of it uses SIGUSR2.
        let inherited = unsafe {
            libc::signal(libc::SIGUSR2, libc::SIG_IGN);
            libc::dup(2)
        };
        let script = format!("ls /proc/self/fd >&2; kill -USR2 $$; echo {inherited} ignored >&2");
        let mut daemon = Daemon::start(&shell(&script)).unwrap();
        let said = lines(&mut daemon, "");
        // The directory itself is open as well.
        assert_eq!(said, ["0", "1", "2", "3"]);
        assert_eq!(end_of(&mut daemon).signal(), Some(libc::SIGUSR2));
        // SAFETY: as above.
        unsafe { libc::close(inherited) };
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        let missing = Invocation {
            program: "/nonexistent/program".into(),
            ..shell("")
        };
        let error = Daemon::start(&missing).map(drop).unwrap_err();
        assert!(error.contains("/nonexistent/program"), "{error}");
    }
}
