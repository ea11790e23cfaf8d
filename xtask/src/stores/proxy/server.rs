//! The proxy's process.

use super::connection::Connection;
use super::orders::State;
use crate::progress::note;
use anyhow::{Context, Result};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[derive(clap::Args)]
pub struct Args {
    /// Port of the loopback interface to listen at
    port: u16,
    /// File with the number of the port that the store listens at
    store: PathBuf,
}

/// The store behind the proxy: a port of the loopback interface, which may be another after a restart.
#[derive(Debug)]
pub struct Store {
    pub port_file: PathBuf,
}

impl Store {
    pub fn connect(&self) -> io::Result<TcpStream> {
        let text = std::fs::read_to_string(&self.port_file)?;
        let port: u16 = text.trim().parse().map_err(io::Error::other)?;
        let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        connection.set_nodelay(true)?;
        Ok(connection)
    }
}

/// Until the process is ended.
pub fn run(args: &Args) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port))
        .with_context(|| format!("cannot listen at port {}", args.port))?;
    let store = Store {
        port_file: args.store.clone(),
    };
    serve(&listener, store);
    Ok(())
}

pub fn serve(listener: &TcpListener, store: Store) {
    let shared = Arc::new((store, State::new()));
    for client in listener.incoming() {
        let client = match client {
            Ok(client) => client,
            Err(error) => {
                note(format!("cannot accept a connection: {error}"));
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let shared = Arc::clone(&shared);
        let work = move || {
            let (store, state) = &*shared;
            // A side that has closed is the client's or the store's business.
            let _ = Connection::new(&client, store, state).serve();
        };
        if let Err(error) = thread::Builder::new().spawn(work) {
            note(format!("cannot begin a thread: {error}"));
        }
    }
}
