//! `cargo xtask quickstart`: from a fresh machine to queries on Iceberg tables. Everything that
//! is there already is kept, so that a second run takes seconds.

use crate::cache::Cache;
use crate::cluster::{Cluster, Connection, Settings};
use crate::dataset;
use crate::extension;
use crate::installation::Flavour;
use crate::process::shell_quote;
use crate::progress::{Progress, note};
use crate::psql;
use crate::setup;
use crate::stores::{Lake, TABLESPACE};
use crate::tpch::{self, Table};
use anyhow::{Context, Result};
use std::io::Write;
use std::path::PathBuf;

const SCALE_FACTOR: f64 = 0.1;

#[derive(clap::Args)]
pub struct Args {
    /// Directory of the cluster [default: clusters/quickstart in the cache, or clusters/quickstart-objects]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Put the tables into an object store: a MinIO on this machine, which is built from its Go module
    #[arg(long)]
    object_store: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let installation = setup::ensure(&cache, Flavour::Release)?;
    let library = extension::ensure(&cache, &installation)?;
    let name = match args.object_store {
        true => "quickstart-objects",
        false => "quickstart",
    };
    let dir = args.dir.clone().unwrap_or_else(|| cache.cluster(name));
    let mut cluster = Cluster::at(&dir)?;
    let lake = match args.object_store {
        true => Some(Lake::of_user(&cache)?),
        false => None,
    };
    let mut settings = Settings::default();
    if let Some(lake) = &lake {
        cluster.account().make_private_dir(&dir)?;
        settings.extra = lake.access(cluster.account(), &dir)?;
    }
    let connection = cluster.start(&installation, &library, &settings)?;
    note(format!(
        "PostgreSQL {} runs in {}",
        installation.version,
        cluster.dir().display()
    ));
    if let Some(lake) = &lake {
        let there = format!("SELECT count(*) FROM pg_tablespace WHERE spcname = '{TABLESPACE}'");
        if psql::query(&connection, &there)? == "0" {
            lake.create_tablespace(&connection)?;
        }
    }
    let place = match lake {
        Some(_) => format!(" TABLESPACE {TABLESPACE}"),
        None => String::new(),
    };

    load_tpch(&connection, &place)?;
    load_elements(&connection, &place)?;
    queries(&connection)?;
    inside(&connection)?;
    if lake.is_some() {
        show(
            &connection,
            "The store",
            "SELECT tablespace, store, requests, pg_size_pretty(bytes_written) AS written, \
             pg_size_pretty(bytes_read) AS read, cache_hits, cache_misses FROM lakebase.stores",
        )?;
    }
    farewell(&cache, &cluster, args);
    Ok(())
}

fn load_tpch(connection: &Connection, place: &str) -> Result<()> {
    psql::execute(connection, "CREATE SCHEMA IF NOT EXISTS tpch")?;
    for table in tpch::TABLES {
        let name = format!("tpch.{}", table.name());
        load(connection, &name, table.columns(), place, |out| {
            table.write_csv(SCALE_FACTOR, out)
        })?;
    }
    Ok(())
}

fn load_elements(connection: &Connection, place: &str) -> Result<()> {
    let text = dataset::read()?;
    let (_, rows) = text.split_once('\n').context("the data set has no rows")?;
    let name = format!("public.{}", dataset::TABLE);
    load(connection, &name, dataset::COLUMNS, place, |out| {
        out.write_all(rows.as_bytes())
    })
}

/// Creates and fills a table in one transaction: it is there with all its rows, or not at all.
fn load(
    connection: &Connection,
    name: &str,
    columns: &str,
    place: &str,
    rows: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let present = format!("SELECT to_regclass('{name}') IS NOT NULL");
    if psql::query(connection, &present)? == "t" {
        return Ok(());
    }
    let progress = Progress::start(format!("Loading {name}"));
    let loaded = psql::script(connection, |out| {
        writeln!(
            out,
            "BEGIN;\nCREATE TABLE {name} ({columns}) USING iceberg{place};"
        )?;
        writeln!(out, "COPY {name} FROM STDIN (FORMAT csv);")?;
        rows(out)?;
        writeln!(out, "\\.\nCOMMIT;\nANALYZE {name};")
    });
    match loaded {
        Ok(()) => {
            progress.finish();
            Ok(())
        }
        Err(error) => {
            progress.fail();
            Err(error).with_context(|| format!("cannot load {name}"))
        }
    }
}

fn queries(connection: &Connection) -> Result<()> {
    let elements = "\
SELECT block, count(*) AS elements, count(*) FILTER (WHERE stable) AS stable,
       round(avg(atomic_weight), 2) AS mean_weight, max(name_approved) AS last_named
FROM elements GROUP BY block ORDER BY elements DESC";
    for (title, sql) in [
        ("TPC-H query 1: pricing summary", tpch::Q1),
        ("TPC-H query 3: shipping priority", tpch::Q3),
        ("TPC-H query 6: revenue change forecast", tpch::Q6),
        ("The chemical elements by block", elements),
    ] {
        show(connection, title, sql)?;
    }
    Ok(())
}

/// What the tables consist of.
fn inside(connection: &Connection) -> Result<()> {
    show(
        connection,
        "The Iceberg tables",
        "SELECT relation, snapshot_id, row_count, file_count, pg_size_pretty(total_bytes) AS size \
         FROM lakebase.iceberg_tables ORDER BY total_bytes DESC",
    )?;
    let lineitem = format!("tpch.{}", Table::LineItem.name());
    show(
        connection,
        "The data files of tpch.lineitem",
        &format!("SELECT * FROM lakebase.iceberg_files('{lineitem}')"),
    )?;
    let metadata = psql::query(
        connection,
        &format!("SELECT lakebase.publish('{lineitem}')"),
    )?;
    println!("Other engines open the table by its metadata file:\n  {metadata}\n");
    Ok(())
}

fn show(connection: &Connection, title: &str, sql: &str) -> Result<()> {
    let text = psql::table(connection, sql).with_context(|| title.to_owned())?;
    println!("== {title}\n{}\n", text.trim_end());
    Ok(())
}

fn farewell(cache: &Cache, cluster: &Cluster, args: &Args) {
    let dir = shell_quote(&cluster.dir().display().to_string());
    let root = shell_quote(&cache.root().display().to_string());
    println!("To go on:            cargo xtask cluster --dir {dir} psql");
    println!("To stop the server:  cargo xtask cluster --dir {dir} stop");
    if args.object_store {
        println!("To stop the store:   cargo xtask stores stop --only s3");
    }
    if args.dir.is_some() {
        println!("To remove the data:  stop it, then rm -rf {dir}");
    }
    println!("To remove all of it: stop it, then rm -rf {root}");
}
