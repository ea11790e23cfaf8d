//! The command itself.

use super::build::{Built, Use};
use super::{container, installed};
use crate::cache::Cache;
use crate::machine;
use crate::progress::note;
use crate::setup;
use crate::tally::Tally;
use anyhow::{Context, Result, bail};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make the packages
    Deb,
    /// Make an image for containers of them, as root
    Container,
    /// Make all of it, and try it: packages on a machine of Debian 13, the image in a container; as root
    Check,
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    match args.command {
        Command::Deb => {
            let _lock = cache.lock("package")?;
            for package in Built::of_checkout(&cache)?.pack(&cache, Use::Release)? {
                println!("{}", package.display());
            }
            Ok(())
        }
        Command::Container => {
            let _lock = cache.lock("package")?;
            setup::ensure_packages(&setup::for_machines())?;
            let packages = Built::of_checkout(&cache)?.pack(&cache, Use::Trial)?;
            println!("{}", container::build(&cache, &packages)?.display());
            Ok(())
        }
        Command::Check => match machine::missing() {
            Some(reason) => bail!("packages cannot be tried here: {reason}"),
            None => run_check(&cache).map(drop),
        },
    }
}

/// Makes the packages and tries them.
pub fn run_check(cache: &Cache) -> Result<Tally> {
    let _lock = cache.lock("package")?;
    setup::ensure_packages(&setup::for_machines())?;
    let built = Built::of_checkout(cache)?;
    let packages = built.pack(cache, Use::Trial)?;
    installed::check(cache, &built, &packages).context("packages")?;
    note("the packages can be installed, used, upgraded and removed");
    let image = container::build(cache, &packages)?;
    container::check(cache, &image).context("container")?;
    let mut tally = Tally::passed();
    tally += Tally::passed();
    Ok(tally)
}
