//! A machine: a container of systemd's, booted as a whole, or one of runc's that runs a bundle; without a network but its own loopback
//! interface.

use super::tree;
use crate::cache::{Cache, remove_tree};
use crate::cluster::processes;
use crate::process;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// What is found without a path.
const PATH: &str =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/17/bin";

pub struct Machine {
    dir: PathBuf,
    root: PathBuf,
    container: Child,
    /// Its first process, as seen from here.
    leader: i32,
}

impl Machine {
    /// Where the machine of this name is; its container works in `data` there.
    pub fn directory(cache: &Cache, name: &str) -> PathBuf {
        cache.root().join("machines").join(name)
    }

    /// Lays the root file system of a machine anew over trees, the uppermost first. Returns its root directory.
    pub fn lay(cache: &Cache, name: &str, trees: &[&Path]) -> Result<PathBuf> {
        let dir = Self::directory(cache, name);
        processes::kill_all(&dir.join("data"), processes::KILL_LIMIT)?;
        tree::lay_over(trees, &dir)
    }

    /// Boots the machine that was laid.
    pub fn boot(cache: &Cache, name: &str) -> Result<Self> {
        let root = Self::directory(cache, name).join("root");
        let mut container = contained("systemd-nspawn");
        container.args([
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--private-network",
        ]);
        container.args(["--console=pipe", "--boot", "--machine", name, "--directory"]);
        container.arg(&root);
        let is_up = ["systemctl", "is-active", "--quiet", "basic.target"];
        Self::start(cache, name, root, container, &is_up)
    }

    /// Runs the bundle, an OCI's, that is in the directory of the machine, until a command in it succeeds.
    pub fn run_bundle(cache: &Cache, name: &str, is_up: &[&str]) -> Result<Self> {
        let dir = Self::directory(cache, name);
        let (bundle, state) = (dir.join("bundle"), dir.join("runc"));
        // What is known of one that was killed.
        remove_tree(&state)?;
        let mut container = contained("runc");
        container.arg("--root").arg(&state);
        container.arg("run").arg("--bundle").arg(&bundle).arg(name);
        Self::start(cache, name, bundle.join("rootfs"), container, is_up)
    }

    /// Starts a container, and waits until a command in it succeeds.
    fn start(
        cache: &Cache,
        name: &str,
        root: PathBuf,
        mut container: Command,
        is_up: &[&str],
    ) -> Result<Self> {
        let dir = Self::directory(cache, name);
        let data = dir.join("data");
        fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
        let log = cache.log(&format!("machine-{name}"));
        let console =
            File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let errors = console
            .try_clone()
            .context("cannot duplicate the log's descriptor")?;
        let container = container
            .current_dir(data)
            .stdin(Stdio::null())
            .stdout(console)
            .stderr(errors)
            // An interrupt at the terminal is not for it.
            .process_group(0)
            .spawn()
            .context("cannot run unshare")?;
        let mut machine = Self {
            dir,
            root,
            container,
            leader: 0,
        };
        let started = Instant::now();
        while !machine.succeeds(is_up) {
            if let Some(status) = machine.container.try_wait()? {
                let told = process::tail(&log, 0, 20);
                bail!("{name} {}:\n{told}", process::describe(status));
            }
            ensure!(
                started.elapsed() < START_LIMIT,
                "{name} does not come up; see {}",
                log.display()
            );
            thread::sleep(POLL);
        }
        Ok(machine)
    }

    /// Whether a command succeeds in the container, whose first process is sought first.
    fn succeeds(&mut self, command: &[&str]) -> bool {
        let container = i32::try_from(self.container.id()).ok();
        // Between them is the program that makes the container.
        let process = container.and_then(child_of).and_then(child_of);
        let Some(leader) = process else {
            return false;
        };
        self.leader = leader;
        let [program, arguments @ ..] = command else {
            return false;
        };
        let status = self
            .command(program)
            .args(arguments)
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }

    /// The number of its first process, outside of it.
    pub fn leader(&self) -> i32 {
        self.leader
    }

    /// Its root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A program of the machine's, run there by root.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={}", self.leader))
            .args([
                "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--",
            ])
            .arg("/usr/bin/env")
            .args(["-i", PATH])
            .args([
                "LANG=C.UTF-8",
                "HOME=/root",
                "DEBIAN_FRONTEND=noninteractive",
            ])
            .arg(program)
            .stdin(Stdio::null());
        command
    }

    /// What shell commands print there, run by root; they have to succeed.
    pub fn sh(&self, script: &str) -> Result<String> {
        let mut command = self.command("sh");
        let output = command.args(["-e", "-c", script]).output();
        let output = output.context("cannot run a command of the machine's")?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "{script}: {}:\n{printed}{}",
            process::describe(output.status),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(printed)
    }

    /// What shell commands say that have to fail.
    pub fn fails(&self, script: &str) -> Result<String> {
        let mut command = self.command("sh");
        let output = command
            .args(["-e", "-c", script])
            .output()
            .context("cannot run a command of the machine's")?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            !output.status.success(),
            "{script}: succeeded, and should fail"
        );
        Ok(said)
    }

    /// What SQL gives in the cluster's database, executed by its superuser.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = self.command("runuser");
        command.args([
            "-u",
            "postgres",
            "--",
            "psql",
            "--no-psqlrc",
            "--quiet",
            "-At",
        ]);
        command.args(["-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql]);
        let output = process::output(&mut command).with_context(|| sql.to_owned())?;
        Ok(output.trim_end().to_owned())
    }

    /// Ends it at once, and leaves what it has written.
    pub fn kill(mut self) -> Result<()> {
        self.container.kill().context("cannot kill the container")?;
        self.container
            .wait()
            .context("cannot wait for the container")?;
        Ok(())
    }

    /// Shuts it down and removes it.
    pub fn stop(mut self) -> Result<()> {
        let stopped = self.shut_down();
        // Whatever has become of it.
        let _ = self.container.kill();
        let _ = self.container.wait();
        stopped.and(tree::clear(&self.dir))
    }

    fn shut_down(&mut self) -> Result<()> {
        self.sh("systemctl poweroff")?;
        let started = Instant::now();
        while self.container.try_wait()?.is_none() {
            ensure!(
                started.elapsed() < STOP_LIMIT,
                "the machine does not shut down"
            );
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // After a failure; one that was stopped is gone.
        let _ = self.container.kill();
        let _ = self.container.wait();
    }
}

/// A program whose processes all end with the one that is started, whatever becomes of it: they have numbers of their own.
fn contained(program: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--fork", "--pid", "--mount-proc", "--kill-child", program]);
    command
}

/// The first child of a process, whichever of its threads has started it, once it has one.
fn child_of(pid: i32) -> Option<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    threads.flatten().find_map(|thread| {
        let children = fs::read_to_string(thread.path().join("children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    })
}
