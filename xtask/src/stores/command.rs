//! The command: start, stop, env.

use super::server::Server;
use super::{azurite, gcs, minio, proxy};
use crate::cache::Cache;
use crate::process::shell_quote;
use crate::progress::note;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,

    /// One store instead of all; may be repeated
    #[arg(long, global = true, value_enum)]
    only: Vec<Store>,

    /// Directory of the stores [default: stores/default in the cache]
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Install what is missing, start what does not run, and make bucket and container
    Start {
        /// Start a proxy before each store as well, which fails on command
        #[arg(long)]
        faults: bool,
    },
    /// Stop what runs; what it holds stays
    Stop,
    /// Print shell lines for `eval`: places and keys of the stores that run; fails when one does not
    Env,
    /// Tell the proxies what to do, and print what they tell: `latency 30ms`, `fault GET 503:SlowDown 3`, `clear`, `counts`;
    /// see CONTRIBUTING.md
    Faults {
        #[arg(required = true)]
        orders: Vec<String>,
    },
    /// The process of a proxy
    #[command(hide = true)]
    Proxy(proxy::Args),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Store {
    S3,
    Gcs,
    Azure,
}

const STORES: [Store; 3] = [Store::S3, Store::Gcs, Store::Azure];

impl Store {
    fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
        }
    }
}

/// A store's server, and the proxy before it.
struct Place {
    store: Store,
    server: Server,
    proxy: Server,
}

pub fn run(args: &Args) -> Result<()> {
    if let Action::Proxy(args) = &args.action {
        return proxy::run(args);
    }
    let cache = Cache::open()?;
    let dir = args
        .dir
        .clone()
        .unwrap_or_else(|| cache.root().join("stores").join("default"));
    let stores = match args.only.as_slice() {
        [] => STORES.to_vec(),
        only => only.to_vec(),
    };
    for store in stores {
        let place = Place {
            store,
            server: Server::at(&dir.join(store.name()))?,
            proxy: Server::at(&dir.join(format!("{}-proxy", store.name())))?,
        };
        match &args.action {
            Action::Start { faults } => place.start(&cache, *faults)?,
            Action::Stop => place.stop()?,
            Action::Env => place.print_variables()?,
            Action::Faults { orders } => place.order(&orders.join("\n"))?,
            Action::Proxy(_) => {}
        }
    }
    Ok(())
}

impl Place {
    fn start(&self, cache: &Cache, with_proxy: bool) -> Result<()> {
        let (name, server) = (self.store.name(), &self.server);
        match self.store {
            Store::S3 => minio::start(cache, server)?,
            Store::Gcs => gcs::start(cache, server)?,
            Store::Azure => azurite::start(cache, server)?,
        }
        if let Some(url) = server.url() {
            note(format!("{name} listens at {url}"));
        }
        if with_proxy {
            let program = std::env::current_exe().context("cannot tell what program this is")?;
            self.proxy.start(|port| {
                let mut command = Command::new(program);
                command.args(["stores", "proxy", &port.to_string()]);
                command.arg(server.port_file());
                command
            })?;
            if let Some(url) = self.proxy.url() {
                note(format!("the proxy before {name} listens at {url}"));
            }
        }
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        self.proxy.stop()?;
        self.server.stop()?;
        note(format!("{} is stopped", self.store.name()));
        Ok(())
    }

    fn print_variables(&self) -> Result<()> {
        let Some(url) = self.server.url() else {
            bail!(
                "{} does not run: cargo xtask stores start --only {0}",
                self.store.name()
            );
        };
        let mut all = variables(self.store, url);
        if let Some(url) = self.proxy.url() {
            let name = match self.store {
                Store::S3 => "LAKEBASE_S3_PROXY",
                Store::Gcs => "LAKEBASE_GCS_PROXY",
                Store::Azure => "LAKEBASE_AZURE_PROXY",
            };
            all.push((name, url));
        }
        for (name, value) in all {
            println!("export {name}={}", shell_quote(&value));
        }
        Ok(())
    }

    fn order(&self, orders: &str) -> Result<()> {
        let Some(address) = self.proxy.address() else {
            bail!(
                "there is no proxy before {}: cargo xtask stores start --faults --only {0}",
                self.store.name()
            );
        };
        print!("{}", proxy::tell(&address.to_string(), orders)?);
        Ok(())
    }
}

/// What tests and users need to know of a store, under the names that `storage/tests/stores.rs` reads.
fn variables(store: Store, url: String) -> Vec<(&'static str, String)> {
    let own = |(name, value): (&'static str, &str)| (name, value.to_owned());
    match store {
        Store::S3 => {
            let mut all = vec![("LAKEBASE_S3_ENDPOINT", url)];
            all.extend(
                [
                    ("LAKEBASE_S3_BUCKET", minio::BUCKET),
                    ("LAKEBASE_S3_ACCESS_KEY_ID", minio::ACCESS_KEY_ID),
                    ("LAKEBASE_S3_SECRET_ACCESS_KEY", minio::SECRET_ACCESS_KEY),
                ]
                .map(own),
            );
            all
        }
        Store::Gcs => vec![
            ("LAKEBASE_GCS_BASE_URL", url),
            own(("LAKEBASE_GCS_BUCKET", gcs::BUCKET)),
        ],
        Store::Azure => {
            let mut all = vec![("LAKEBASE_AZURE_ENDPOINT", url)];
            all.extend(
                [
                    ("LAKEBASE_AZURE_ACCOUNT", azurite::ACCOUNT),
                    ("LAKEBASE_AZURE_CONTAINER", azurite::CONTAINER),
                ]
                .map(own),
            );
            all
        }
    }
}
