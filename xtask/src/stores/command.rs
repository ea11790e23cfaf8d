//! The command: start, stop, env.

use super::server::Server;
use super::{azurite, minio};
use crate::cache::Cache;
use crate::process::shell_quote;
use crate::progress::note;
use anyhow::{Result, bail};
use std::path::PathBuf;

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
    Start,
    /// Stop what runs; what it holds stays
    Stop,
    /// Print shell lines for `eval`: places and keys of the stores that run; fails when one does not
    Env,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Store {
    S3,
    Azure,
}

impl Store {
    fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Azure => "azure",
        }
    }
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let dir = args
        .dir
        .clone()
        .unwrap_or_else(|| cache.root().join("stores").join("default"));
    let stores = match args.only.as_slice() {
        [] => vec![Store::S3, Store::Azure],
        only => only.to_vec(),
    };
    for store in stores {
        let server = Server::at(&dir.join(store.name()))?;
        match &args.action {
            Action::Start => start(&cache, store, &server)?,
            Action::Stop => {
                server.stop()?;
                note(format!("{} is stopped", store.name()));
            }
            Action::Env => {
                let Some(url) = server.url() else {
                    bail!(
                        "{} does not run: cargo xtask stores start --only {0}",
                        store.name()
                    );
                };
                for (name, value) in variables(store, url) {
                    println!("export {name}={}", shell_quote(&value));
                }
            }
        }
    }
    Ok(())
}

fn start(cache: &Cache, store: Store, server: &Server) -> Result<()> {
    match store {
        Store::S3 => minio::start(cache, server)?,
        Store::Azure => azurite::start(cache, server)?,
    }
    if let Some(url) = server.url() {
        note(format!("{} listens at {url}", store.name()));
    }
    Ok(())
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
