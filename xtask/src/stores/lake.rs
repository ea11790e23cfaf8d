//! A store for tests: a server of its own, with nothing in it.

use super::place::{self, Store};
use super::server::Server;
use super::{azurite, gcs, minio, proxy};
use crate::account::Account;
use crate::cache::{Cache, remove_tree};
use crate::cluster::Connection;
use crate::psql;
use anyhow::{Context, Result};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The name of its tablespace.
pub const TABLESPACE: &str = "lake";
/// The entry of the credentials file.
const ENTRY: &str = "minio";

/// A store that runs until it is stopped.
#[derive(Debug)]
pub struct Lake {
    store: Store,
    server: Server,
    /// Stands before it and fails on command.
    proxy: Option<Server>,
    /// Where clients find it.
    url: String,
}

impl Lake {
    /// Where a store of this name is.
    pub fn directory(cache: &Cache, name: &str) -> PathBuf {
        cache.root().join("stores").join(name)
    }

    /// Where the proxy before a store of this name is.
    pub fn proxy_directory(cache: &Cache, name: &str) -> PathBuf {
        Self::directory(cache, &format!("{name}-proxy"))
    }

    /// Starts a MinIO of this name anew.
    pub fn start(cache: &Cache, name: &str) -> Result<Self> {
        Self::start_as(cache, Store::S3, name)
    }

    /// Starts a store of this name anew.
    pub fn start_as(cache: &Cache, store: Store, name: &str) -> Result<Self> {
        let server = Server::at(&Self::directory(cache, name))?;
        server.stop()?;
        remove_tree(&server.data())?;
        // Some of them need the directory that they work in.
        let server = Server::at(&Self::directory(cache, name))?;
        store.start(cache, &server)?;
        let url = server
            .url()
            .with_context(|| format!("{} does not listen", store.name()))?;
        Ok(Self {
            store,
            server,
            proxy: None,
            url,
        })
    }

    /// The same behind a proxy that fails on command.
    pub fn behind_proxy(mut self, cache: &Cache, name: &str) -> Result<Self> {
        let proxy = Server::at(&Self::proxy_directory(cache, name))?;
        proxy.stop()?;
        place::start_proxy(&proxy, &self.server)?;
        self.url = proxy.url().context("the proxy does not listen")?;
        self.proxy = Some(proxy);
        Ok(self)
    }

    /// Gives orders to the proxy, and returns what it tells.
    pub fn order(&self, orders: &str) -> Result<String> {
        let address = self.proxy.as_ref().and_then(Server::address);
        let address = address.context("there is no proxy before the store")?;
        proxy::tell(&address.to_string(), orders)
    }

    /// The MinIO that `cargo xtask stores start` starts, with what it holds.
    pub fn of_user(cache: &Cache) -> Result<Self> {
        let store = Store::S3;
        let directory = Self::directory(cache, "default").join(store.name());
        let server = Server::at(&directory)?;
        store.start(cache, &server)?;
        let url = server.url().context("MinIO does not listen")?;
        Ok(Self {
            store,
            server,
            proxy: None,
            url,
        })
    }

    /// Stops it. What it holds stays.
    pub fn stop(&self) -> Result<()> {
        let stopped = self.proxy.as_ref().map_or(Ok(()), Server::stop);
        self.server.stop().and(stopped)
    }

    /// Where the objects of a MinIO are, each a directory.
    pub fn bucket(&self) -> PathBuf {
        self.server.data().join(minio::BUCKET)
    }

    /// Where a MinIO has what lies at a URI.
    pub fn path_of(&self, uri: &str) -> Result<PathBuf> {
        let name = uri.strip_prefix(&format!("s3://{}/", minio::BUCKET));
        let name = name.with_context(|| format!("{uri} is not in the bucket"))?;
        Ok(self.bucket().join(name))
    }

    /// The names of all objects of a MinIO, but for those that tell of owners.
    pub fn objects(&self) -> Result<Vec<String>> {
        let root = self.bucket();
        let mut found = Vec::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            // One that is empty may be removed meanwhile.
            let Ok(entries) = fs::read_dir(&directory) else {
                continue;
            };
            for entry in entries.flatten() {
                // An object is a directory with its content and what is known of it.
                if entry.file_name() == "xl.meta" {
                    let name = directory.strip_prefix(&root)?.display().to_string();
                    found.push(name);
                } else if entry.file_name() != "owner" && entry.file_type()?.is_dir() {
                    directories.push(entry.path());
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Settings of a cluster in `directory` that is tested with it, whose credentials are written there.
    pub fn settings(&self, account: &Account, directory: &Path) -> Result<Vec<(String, String)>> {
        let mut settings = self.access(account, directory)?;
        // As soon as those of tables on local disk, files are written and removed.
        for setting in ["object_publish_interval", "object_retention"] {
            settings.push((format!("pg_lakebase.{setting}"), "0".to_owned()));
        }
        Ok(settings)
    }

    /// Settings of a cluster in `directory` that uses it, whose credentials are written there.
    pub fn access(&self, account: &Account, directory: &Path) -> Result<Vec<(String, String)>> {
        let path = directory.join("credentials");
        let text = format!(
            "[{ENTRY}]\naccess_key_id = {}\nsecret_access_key = {}\n",
            minio::ACCESS_KEY_ID,
            minio::SECRET_ACCESS_KEY
        );
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .with_context(|| format!("cannot set permissions of {}", path.display()))?;
        account.give(&path)?;
        Ok([
            ("allow_in_place_tablespaces", "on".to_owned()),
            ("pg_lakebase.credentials_file", path.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into())
    }

    /// Options of a tablespace over it.
    pub fn options(&self) -> String {
        let url = &self.url;
        match self.store {
            Store::S3 => format!(
                "protocol = 's3', bucket = '{}', endpoint = '{url}', region = 'us-east-1', \
                 credentials = '{ENTRY}', allow_http = true",
                minio::BUCKET
            ),
            Store::Gcs => format!(
                "protocol = 'gcs', bucket = '{}', base_url = '{url}', skip_signature = true",
                gcs::BUCKET
            ),
            Store::Azure => format!(
                "protocol = 'azure', container = '{}', account = '{}', endpoint = '{url}', \
                 use_emulator = true, allow_http = true",
                azurite::CONTAINER,
                azurite::ACCOUNT
            ),
        }
    }

    /// What clients of a MinIO need to know, those of `xtask/interop` too.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("LAKEBASE_TABLESPACE", TABLESPACE.to_owned()),
            ("LAKEBASE_S3_ENDPOINT", self.url.clone()),
            ("LAKEBASE_S3_ACCESS_KEY_ID", minio::ACCESS_KEY_ID.to_owned()),
            (
                "LAKEBASE_S3_SECRET_ACCESS_KEY",
                minio::SECRET_ACCESS_KEY.to_owned(),
            ),
        ]
    }

    /// Creates its tablespace, for everybody.
    pub fn create_tablespace(&self, connection: &Connection) -> Result<()> {
        let options = self.options();
        for statement in [
            format!("CREATE TABLESPACE {TABLESPACE} LOCATION '' WITH ({options})"),
            format!("GRANT CREATE ON TABLESPACE {TABLESPACE} TO PUBLIC"),
        ] {
            psql::execute(connection, &statement)?;
        }
        Ok(())
    }

    /// Whether it has stopped to answer, without being gone.
    pub fn set_hung(&self, hangs: bool) -> Result<()> {
        let signal = match hangs {
            true => Signal::STOP,
            false => Signal::CONT,
        };
        self.server.signal(signal)
    }
}
