//! A store for tests: a server of its own, with nothing in it.

use super::place::Store;
use super::server::Server;
use super::{azurite, gcs, minio};
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
    /// Where clients find it.
    url: String,
}

impl Lake {
    /// Where a store of this name is.
    pub fn directory(cache: &Cache, name: &str) -> PathBuf {
        cache.root().join("stores").join(name)
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
        Ok(Self { store, server, url })
    }

    /// The MinIO that `cargo xtask stores start` starts, with what it holds.
    pub fn of_user(cache: &Cache) -> Result<Self> {
        let store = Store::S3;
        let directory = Self::directory(cache, "default").join(store.name());
        let server = Server::at(&directory)?;
        store.start(cache, &server)?;
        let url = server.url().context("MinIO does not listen")?;
        Ok(Self { store, server, url })
    }

    /// Stops it. What it holds stays.
    pub fn stop(&self) -> Result<()> {
        self.server.stop()
    }

    /// Where the objects of a MinIO are, each a directory.
    pub fn bucket(&self) -> PathBuf {
        self.server.data().join(minio::BUCKET)
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
            ("pg_lakebase.object_tables", "on".to_owned()),
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
