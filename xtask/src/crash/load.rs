//! The clients of one iteration, each in a thread of its own, and the signals between them and who
//! brings the server down.

use super::client::Client;
use super::points::Hits;
use super::transaction::Targets;
use crate::cluster::Connection;
use anyhow::{Result, bail};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// What clients are told.
#[derive(Debug, Default)]
pub struct Signals {
    /// End after the present transaction.
    stop: AtomicBool,
    /// The server is about to go down: a lost connection is no failure.
    breaking: AtomicBool,
    /// A disk is full.
    disk_full: AtomicBool,
}

impl Signals {
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub fn set_breaking(&self) {
        self.breaking.store(true, Ordering::SeqCst);
    }

    pub fn is_breaking(&self) -> bool {
        self.breaking.load(Ordering::SeqCst)
    }

    pub fn set_disk_full(&self) {
        self.disk_full.store(true, Ordering::SeqCst);
    }

    pub fn is_disk_full(&self) -> bool {
        self.disk_full.load(Ordering::SeqCst)
    }
}

/// Clients at work.
pub struct Load {
    signals: Arc<Signals>,
    threads: Vec<JoinHandle<(Client, Result<()>)>>,
}

impl Load {
    pub fn start(
        clients: Vec<Client>,
        iteration: u64,
        connection: &Connection,
        targets: impl Fn(&Client) -> Targets,
        hits: &Arc<Hits>,
    ) -> Self {
        let signals = Arc::new(Signals::default());
        let threads = clients
            .into_iter()
            .map(|mut client| {
                let targets = targets(&client);
                let connection = connection.clone();
                let (signals, hits) = (Arc::clone(&signals), Arc::clone(hits));
                std::thread::spawn(move || {
                    let result = client.work(iteration, &connection, &targets, &signals, &hits);
                    if result.is_err() {
                        signals.stop();
                    }
                    (client, result)
                })
            })
            .collect();
        Self { signals, threads }
    }

    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Waits until all have ended; the first failure is the result, together with the clients.
    pub fn join(self) -> Result<(Vec<Client>, Result<()>)> {
        let mut clients = Vec::new();
        let mut outcome = Ok(());
        for thread in self.threads {
            let Ok((client, result)) = thread.join() else {
                bail!("a client's thread has panicked");
            };
            clients.push(client);
            outcome = outcome.and(result);
        }
        Ok((clients, outcome))
    }
}
