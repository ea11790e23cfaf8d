//! Ends the servers of a command that is itself ended before it could: by Ctrl-C, a signal, or a kill.
//!
//! A server runs in a session of its own, so nothing that ends a command reaches it. A second process, in
//! a process group of its own, waits for the end of a pipe that the command holds open: however the command
//! ends, the pipe does. It then ends whatever still works in the clusters that it was told of: nothing, after
//! a command that stopped its servers.

use crate::cluster::end_processes;
use crate::crash;
use crate::process;
use anyhow::{Context, Result};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};

/// The subcommand that the second process runs.
pub const COMMAND: &str = "guard-servers";

#[derive(clap::Args)]
pub struct Args {
    /// Directories of clusters
    clusters: Vec<PathBuf>,
}

/// Waits for the end of standard input, then ends what works in the clusters.
pub fn run(args: &Args) -> Result<()> {
    let mut nothing = Vec::new();
    // An end that is an error is one as well.
    let _ = std::io::stdin().read_to_end(&mut nothing);
    args.clusters.iter().try_for_each(|dir| {
        end_processes(dir)?;
        crash::unmount_small_disk(dir)
    })
}

/// While it lives, servers in its clusters outlive this process for a moment only.
pub struct Guardian(Child);

impl Guardian {
    /// Guards the clusters in these directories, whether or not they exist yet.
    pub fn over(clusters: impl IntoIterator<Item = PathBuf>) -> Result<Self> {
        process::itself()
            .arg(COMMAND)
            .args(clusters)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map(Self)
            .context("cannot start the servers' guardian")
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It has nothing to report.
        let _ = self.0.wait();
    }
}
