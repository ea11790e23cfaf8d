//! The daemon: arguments and signals.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::{self, ExitCode},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Parser;
use nix::unistd::User;
use pg_lakebase_storage::{
    backend::{Limits, StoreOpener, TestStores, Uploads},
    cache::{CacheConfig, DiskCache},
    connection::{ConnectionLimits, serve},
    credentials::CredentialsFile,
    metrics::{MetricsAddress, MetricsListener, serve_metrics},
    service::StorageService,
    transport::{PeerPolicy, SocketListener},
};
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::filter::LevelFilter;

/// Object storage cache service of pg-lakebase.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Unix domain socket to listen at.
    #[arg(long)]
    socket: PathBuf,

    /// Permissions of the socket, octal: 0600, or 0660 to let the group connect.
    #[arg(long, default_value = "0600", value_parser = socket_mode)]
    socket_mode: u32,

    /// Let this user connect, besides root and the user that the daemon runs as. May be repeated.
    #[arg(long = "allow-user", value_name = "NAME or UID", value_parser = user)]
    allowed_uids: Vec<u32>,

    /// Directory of the disk cache.
    #[arg(long)]
    cache_dir: PathBuf,

    /// Most bytes of cached objects, with a suffix K, M, G or T, or kB, MB, GB or TB, if need be.
    #[arg(long, default_value = "10G", value_parser = byte_size)]
    cache_size: u64,

    /// File with what the option credentials of stores names; nobody but this user or root may have any permission on it.
    /// Read again at SIGHUP. Without the option, a store's credentials are those of the environment.
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,

    /// Longest time for a store to answer, in seconds, besides the time for the bytes that move. After it the request is
    /// made again, until the client's time is up.
    #[arg(long, default_value_t = 10)]
    store_timeout: u64,

    /// Serve metrics for Prometheus over HTTP, at a Unix domain socket (a path with a slash) for those who may connect to
    /// the service, or at a port of a loopback address (127.0.0.1:PORT) for everybody on this machine.
    #[arg(long, value_name = "PATH or ADDRESS:PORT")]
    metrics: Option<MetricsAddress>,

    /// Also open stores in directories and in memory. For tests: whoever may connect then reads
    /// and writes with the daemon's permissions.
    #[arg(long)]
    allow_test_stores: bool,

    /// Run as the child of a server: stop when standard input ends, and log lines that begin with their level, without
    /// the time.
    #[arg(long)]
    supervised: bool,

    /// What to log: off, error, warn, info, debug or trace.
    #[arg(long, default_value = "info")]
    log: LevelFilter,
}

/// How long requests under way get when the server is gone whose child this is.
const ORPHANED: Duration = Duration::from_millis(500);

fn socket_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ (0o600 | 0o660)) => Ok(mode),
        _ => Err("neither 0600 nor 0660".to_owned()),
    }
}

fn user(text: &str) -> Result<u32, String> {
    if let Ok(uid) = text.parse() {
        return Ok(uid);
    }
    match User::from_name(text) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err("there is no such user".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn byte_size(text: &str) -> Result<u64, String> {
    // As PostgreSQL's settings have it.
    let text = match text.strip_suffix('B') {
        Some(rest) if rest.ends_with(['K', 'k', 'M', 'G', 'T']) => rest,
        _ => text,
    };
    let (number, shift) = match text.char_indices().next_back() {
        Some((end, 'K' | 'k')) => (&text[..end], 10),
        Some((end, 'M')) => (&text[..end], 20),
        Some((end, 'G')) => (&text[..end], 30),
        Some((end, 'T')) => (&text[..end], 40),
        _ => (text, 0),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "not a number of bytes".to_owned())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = tracing_subscriber::fmt()
        .with_max_level(arguments.log)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    if arguments.supervised {
        log.without_time().with_target(false).init();
    } else {
        log.init();
    }
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The last line, whatever is logged: a server whose child this is tells it to its users.
            eprintln!("ERROR {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("could not await SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not await SIGINT")?;
    let hangup = signal(SignalKind::hangup()).context("could not await SIGHUP")?;
    let credentials = match &arguments.credentials {
        Some(path) => Some(Arc::new(CredentialsFile::open(path)?)),
        None => None,
    };
    tokio::spawn(reload(hangup, credentials.clone()));

    let cache = DiskCache::open(CacheConfig::new(arguments.cache_dir, arguments.cache_size))
        .context("could not open the cache")?;
    let uploads = Uploads::default();
    let opener = StoreOpener {
        test_stores: if arguments.allow_test_stores {
            TestStores::Allowed
        } else {
            TestStores::Refused
        },
        limits: Limits {
            attempt: Duration::from_secs(arguments.store_timeout),
            ..Limits::default()
        },
        credentials,
        uploads: uploads.clone(),
    };
    let service = Arc::new(StorageService::new(Arc::new(opener), cache));
    let policy = PeerPolicy {
        allowed_uids: arguments.allowed_uids,
    };
    let metrics = match &arguments.metrics {
        Some(address) => {
            let mode = arguments.socket_mode;
            let listener = MetricsListener::bind(address, mode, policy.clone()).await?;
            tracing::info!(%address, "serving metrics");
            Some(listener)
        }
        None => None,
    };
    let listener = SocketListener::bind(&arguments.socket, arguments.socket_mode, policy)?;
    tracing::info!(socket = %arguments.socket.display(), "listening");
    if !arguments.supervised
        && let Err(error) = sd_notify::notify(&[NotifyState::Ready])
    {
        tracing::warn!(%error, "systemd could not be told");
    }

    let (stop, stopping) = watch::channel(false);
    let metrics = metrics.map(|listener| {
        tokio::spawn(serve_metrics(
            listener,
            Arc::clone(&service),
            stopping.clone(),
        ))
    });
    if arguments.supervised {
        stop_with_standard_input(stop.clone()).context("could not watch standard input")?;
    }
    let mut orphaned = stopping.clone();
    let serving = serve(listener, service, ConnectionLimits::default(), stopping);
    let signals = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = orphaned.wait_for(|stop| *stop) => {}
        }
        tracing::info!("stopping");
        stop.send_replace(true);
    };
    tokio::join!(serving, signals);
    if let Some(metrics) = metrics {
        // Ended by the same signal; it removes its socket.
        let _ = metrics.await;
    }
    uploads.ended().await;
    Ok(())
}

/// Reads the credentials file at each SIGHUP; without one the signal does nothing.
async fn reload(mut hangup: Signal, credentials: Option<Arc<CredentialsFile>>) {
    while hangup.recv().await.is_some() {
        let Some(credentials) = &credentials else {
            continue;
        };
        let file = Arc::clone(credentials);
        match tokio::task::spawn_blocking(move || file.reload()).await {
            Ok(Ok(())) => tracing::info!("credentials file read again"),
            Ok(Err(error)) => {
                let error = anyhow::Error::new(error);
                tracing::warn!("credentials stay as they are: {error:#}");
            }
            Err(error) => tracing::warn!(%error, "credentials stay as they are"),
        }
    }
}

/// Stops the daemon when standard input ends: whoever has the other end is gone, however that came about. A thread of its
/// own sees to it, whatever the others do.
fn stop_with_standard_input(stop: watch::Sender<bool>) -> io::Result<()> {
    let watch = move || {
        // What comes is of no interest; an error is an end as well.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        stop.send_replace(true);
        thread::sleep(ORPHANED);
        process::exit(0);
    };
    let name = thread::Builder::new().name("standard input".to_owned());
    name.spawn(watch).map(drop)
}
