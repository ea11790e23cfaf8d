//! A store on this machine: its server, and the proxy before it.

use super::server::Server;
use super::{azurite, gcs, minio, proxy};
use crate::cache::Cache;
use crate::process;
use crate::progress::note;
use anyhow::{Result, bail};
use std::fmt;
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Store {
    S3,
    Gcs,
    Azure,
}

pub const STORES: [Store; 3] = [Store::S3, Store::Gcs, Store::Azure];

impl Store {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gcs",
            Self::Azure => "azure",
        }
    }

    /// Installs what is missing, and starts the server unless it runs.
    pub(super) fn start(self, cache: &Cache, server: &Server) -> Result<()> {
        match self {
            Self::S3 => minio::start(cache, server),
            Self::Gcs => gcs::start(cache, server),
            Self::Azure => azurite::start(cache, server),
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Starts the proxy before `server` unless it runs.
pub(super) fn start_proxy(proxy: &Server, server: &Server) -> Result<()> {
    proxy.start(|port| {
        let mut command = process::itself();
        command.args(["stores", "proxy", &port.to_string()]);
        command.arg(server.port_file());
        command
    })
}

/// Is there a proxy before a store?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    Without,
    OnCommand,
}

pub struct Place {
    store: Store,
    server: Server,
    proxy: Server,
}

impl Place {
    /// The store below `dir`.
    pub fn at(dir: &Path, store: Store) -> Result<Self> {
        let [server, proxy] = Self::directories(dir, store);
        Ok(Self {
            store,
            server: Server::at(&server)?,
            proxy: Server::at(&proxy)?,
        })
    }

    /// Where the two servers of a store below `dir` are.
    pub fn directories(dir: &Path, store: Store) -> [PathBuf; 2] {
        let name = store.name();
        [dir.join(name), dir.join(format!("{name}-proxy"))]
    }

    /// Installs what is missing, and starts what does not run.
    pub fn start(&self, cache: &Cache, faults: Faults) -> Result<()> {
        let (name, server) = (self.store.name(), &self.server);
        self.store.start(cache, server)?;
        if let Some(url) = server.url() {
            note(format!("{name} listens at {url}"));
        }
        if faults == Faults::Without {
            return Ok(());
        }
        start_proxy(&self.proxy, server)?;
        if let Some(url) = self.proxy.url() {
            note(format!("the proxy before {name} listens at {url}"));
        }
        Ok(())
    }

    pub fn stop(&self) -> Result<()> {
        self.proxy.stop()?;
        self.server.stop()?;
        note(format!("{} is stopped", self.store.name()));
        Ok(())
    }

    /// Gives orders to the proxy, and returns what it tells.
    pub fn order(&self, orders: &str) -> Result<String> {
        let Some(address) = self.proxy.address() else {
            bail!(
                "there is no proxy before {}: cargo xtask stores start --faults --only {0}",
                self.store.name()
            );
        };
        proxy::tell(&address.to_string(), orders)
    }

    /// What tests and users need to know, under the names that the tests of `storage` read.
    pub fn variables(&self) -> Result<Vec<(&'static str, String)>> {
        let Some(url) = self.server.url() else {
            bail!(
                "{} does not run: cargo xtask stores start --only {0}",
                self.store.name()
            );
        };
        let (place, proxy, others): (_, _, &[(&str, &str)]) = match self.store {
            Store::S3 => (
                "LAKEBASE_S3_ENDPOINT",
                "LAKEBASE_S3_PROXY",
                &[
                    ("LAKEBASE_S3_BUCKET", minio::BUCKET),
                    ("LAKEBASE_S3_ACCESS_KEY_ID", minio::ACCESS_KEY_ID),
                    ("LAKEBASE_S3_SECRET_ACCESS_KEY", minio::SECRET_ACCESS_KEY),
                ],
            ),
            Store::Gcs => (
                "LAKEBASE_GCS_BASE_URL",
                "LAKEBASE_GCS_PROXY",
                &[("LAKEBASE_GCS_BUCKET", gcs::BUCKET)],
            ),
            Store::Azure => (
                "LAKEBASE_AZURE_ENDPOINT",
                "LAKEBASE_AZURE_PROXY",
                &[
                    ("LAKEBASE_AZURE_ACCOUNT", azurite::ACCOUNT),
                    ("LAKEBASE_AZURE_CONTAINER", azurite::CONTAINER),
                ],
            ),
        };
        let mut all = vec![(place, url)];
        all.extend(self.proxy.url().map(|url| (proxy, url)));
        all.extend(
            others
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        Ok(all)
    }
}
