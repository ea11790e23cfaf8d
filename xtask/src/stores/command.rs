//! The command: start, stop, env, faults.

use super::place::{Faults, Place, STORES, Store};
use super::proxy;
use crate::cache::Cache;
use crate::process::shell_quote;
use anyhow::Result;
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
        let place = Place::at(&dir, store)?;
        match &args.action {
            Action::Start { faults: false } => place.start(&cache, Faults::Without)?,
            Action::Start { faults: true } => place.start(&cache, Faults::OnCommand)?,
            Action::Stop => place.stop()?,
            Action::Env => {
                for (name, value) in place.variables()? {
                    println!("export {name}={}", shell_quote(&value));
                }
            }
            Action::Faults { orders } => print!("{}", place.order(&orders.join("\n"))?),
            Action::Proxy(_) => {}
        }
    }
    Ok(())
}
