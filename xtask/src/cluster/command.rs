//! The command: start, stop, status, env, psql.

use super::connection::Connection;
use super::server::{Cluster, Settings};
use crate::cache::Cache;
use crate::extension;
use crate::installation::Flavour;
use crate::progress::note;
use crate::setup;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,

    /// Directory of the cluster [default: clusters/default in the cache]
    #[arg(long, global = true)]
    dir: Option<PathBuf>,

    /// Listen on this TCP port of the loopback interface too (by password)
    #[arg(long, global = true)]
    port: Option<u16>,

    /// Use the optimised build; without it, the build last used, at first the one with assertions
    #[arg(long, global = true)]
    release: bool,

    /// Plain PostgreSQL, without the extension
    #[arg(long, global = true, hide = true)]
    plain: bool,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Build and install the extension, and start the cluster with it
    Start,
    /// Stop the cluster and wait until it has
    Stop,
    /// Say whether the cluster runs; fails when it does not
    Status,
    /// Print shell lines for `eval`, starting the cluster when it does not run
    Env,
    /// Run psql, starting the cluster when it does not run
    Psql {
        /// Arguments for psql, after `--`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let dir = args.dir.clone().unwrap_or_else(|| cache.cluster("default"));
    let mut cluster = Cluster::at(&dir)?;
    match &args.action {
        Action::Start => {
            let connection = start(&cache, &mut cluster, args)?;
            note(format!(
                "the cluster runs: host {}, port {}, database {}",
                connection.host.display(),
                connection.port,
                connection.database
            ));
            Ok(())
        }
        Action::Stop => {
            let ran = cluster.stop()?;
            note(if ran {
                "the cluster has stopped"
            } else {
                "the cluster was not running"
            });
            Ok(())
        }
        Action::Status => status(&cluster),
        Action::Env => {
            print!("{}", running(&cache, &mut cluster, args)?.shell_lines());
            Ok(())
        }
        Action::Psql { arguments } => {
            let connection = running(&cache, &mut cluster, args)?;
            let error = connection.client("psql").args(arguments).exec();
            Err(error).context("cannot run psql")
        }
    }
}

/// The connection to a cluster that runs as asked for, as it is; else a start.
fn running(cache: &Cache, cluster: &mut Cluster, args: &Args) -> Result<Connection> {
    let other_build = args.release && cluster.flavour() == Some(Flavour::Assert);
    match cluster.connection() {
        Some(connection)
            if !other_build && args.port.is_none_or(|port| port == connection.port) =>
        {
            Ok(connection)
        }
        _ => start(cache, cluster, args),
    }
}

fn start(cache: &Cache, cluster: &mut Cluster, args: &Args) -> Result<Connection> {
    let flavour = if args.release {
        Flavour::Release
    } else {
        cluster.flavour().unwrap_or(Flavour::Assert)
    };
    let installation = setup::ensure(cache, flavour)?;
    let library = if args.plain {
        String::new()
    } else {
        extension::ensure(cache, &installation)?
    };
    let settings = Settings {
        port: args.port,
        plain: args.plain,
        extra: Vec::new(),
    };
    cluster.start(&installation, &library, &settings)
}

fn status(cluster: &Cluster) -> Result<()> {
    let dir = cluster.dir().display();
    match (cluster.pid(), cluster.connection(), cluster.flavour()) {
        (Some(pid), Some(connection), Some(flavour)) => {
            println!(
                "running: {dir}, process {pid}, {flavour} build, port {}",
                connection.port
            );
            println!("socket directory: {}", connection.host.display());
            println!("log: {}", cluster.log().display());
            Ok(())
        }
        _ => bail!("not running: {dir}"),
    }
}
