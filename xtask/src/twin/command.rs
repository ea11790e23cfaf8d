//! The command: the cluster, its two databases, and what is said at the end.

use super::change::HOT_ROWS;
use super::history::{Counts, History};
use super::statement::{Generator, HEAP_ROWS, TABLES};
use crate::cache::Cache;
use crate::cluster::{Cluster, Connection, Settings};
use crate::extension;
use crate::guardian::Guardian;
use crate::installation::Flavour;
use crate::progress::{Progress, note};
use crate::psql;
use crate::random::Random;
use crate::setup;
use crate::stores::{Lake, TABLESPACE};
use anyhow::{Context, Result};

const NAME: &str = "test-twin";
/// Statements of one history; the next one begins with new tables.
const HISTORY: u64 = 1000;
/// Of the Iceberg tables of a history.
const OPTIONS: [&str; 4] = [
    "",
    " WITH (format_version = 3)",
    r#" WITH ("write.merge.mode" = 'copy-on-write')"#,
    r#" WITH (format_version = 3, "write.delete.mode" = 'copy-on-write')"#,
];

#[derive(clap::Args)]
pub struct Args {
    /// How many statements are run on both sides
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    statements: u64,
    /// What is drawn depends on it alone
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Begin with this history
    #[arg(long, default_value_t = 0)]
    history: u64,
    /// With the Iceberg tables in an object store
    #[arg(long)]
    object_store: bool,
}

impl Args {
    pub fn short(statements: u64, seed: u64) -> Self {
        Self {
            statements,
            seed,
            history: 0,
            object_store: false,
        }
    }

    /// The same with the Iceberg tables in an object store.
    pub fn in_object_store(self) -> Self {
        Self {
            object_store: true,
            ..self
        }
    }
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let _lock = cache.lock("twin")?;
    let installation = setup::ensure(&cache, Flavour::Assert)?;
    let library = extension::ensure(&cache, &installation)?;
    let dir = cache.cluster(NAME);
    let _guardian = Guardian::over([dir.clone(), Lake::directory(&cache, NAME)])?;
    let mut cluster = Cluster::at(&dir)?;
    cluster.renew()?;
    let mut settings = Settings {
        extra: [
            ("max_prepared_transactions", "64"),
            // Deadlocks are ended by the schedule, on both sides alike.
            ("deadlock_timeout", "1h"),
            // It takes locks, at times of its own.
            ("autovacuum", "off"),
            // Statements come to rows in the order of their ids, on both sides.
            ("enable_hashjoin", "off"),
            ("enable_nestloop", "off"),
            ("fsync", "off"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        ..Settings::default()
    };
    let lake = if args.object_store {
        cluster.account().make_private_dir(&dir)?;
        let lake = Lake::start(&cache, NAME)?;
        let further = lake.settings(cluster.account(), cluster.dir())?;
        settings.extra.extend(further);
        Some(lake)
    } else {
        None
    };
    let connection = cluster.start(&installation, &library, &settings)?;
    let result = lake
        .as_ref()
        .map_or(Ok(()), |lake| lake.create_tablespace(&connection))
        .and_then(|()| histories(args, &connection));
    let stopped = cluster.stop().map(drop);
    let stopped = stopped.and(lake.map_or(Ok(()), |lake| lake.stop()));
    result.and(stopped)
}

fn histories(args: &Args, connection: &Connection) -> Result<()> {
    let mut progress = Progress::start("Comparing Iceberg with heap");
    let (mut done, mut number) = (0, args.history);
    let mut sum = Counts::default();
    let place = match args.object_store {
        true => format!(" TABLESPACE {TABLESPACE}"),
        false => String::new(),
    };
    while done < args.statements {
        let heap = prepare(connection, "twin_heap", "heap")?;
        let options = Random::for_part(args.seed, &[number, 2])
            .pick(&OPTIONS)
            .copied();
        let under_test = format!("iceberg{}{place}", options.unwrap_or_default());
        let iceberg = prepare(connection, "twin_iceberg", &under_test)?;
        let mut random = Random::for_part(args.seed, &[number]);
        let interval = random.pick(&["0", "20ms", "100ms", "60s"]).copied();
        let claims = Random::for_part(args.seed, &[number, 1]).between(0, 2);
        psql::execute(
            connection,
            &format!(
                "ALTER DATABASE twin_iceberg SET pg_iceberg_am.publish_interval = '{}'; \
                 ALTER DATABASE twin_iceberg SET pg_iceberg_am.claim_rows_after = {claims}",
                interval.unwrap_or("100ms")
            ),
        )?;
        let mut history = History::open(&heap, &iceberg, Generator::new(random))?;
        let statements = HISTORY.min(args.statements - done);
        let result = history.run(statements, |step| {
            progress.tick(|| format!("{} of {}", done + step, args.statements));
        });
        if let Err(error) = result {
            progress.fail();
            note(history.last_steps());
            return Err(error).with_context(|| {
                format!(
                    "again: cargo xtask twin --seed {} --history {number} --statements {}{}",
                    args.seed,
                    history.counts.statements,
                    if args.object_store {
                        " --object-store"
                    } else {
                        ""
                    }
                )
            });
        }
        done += history.counts.statements;
        number += 1;
        sum += history.counts;
    }
    progress.finish();
    note(format!("{done} statements agree: {sum}"));
    Ok(())
}

/// A database with new tables, those under test `USING` what is told.
fn prepare(connection: &Connection, database: &str, under_test: &str) -> Result<Connection> {
    psql::execute(
        connection,
        &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"),
    )?;
    psql::execute(
        connection,
        &format!("CREATE DATABASE {database} TEMPLATE template0"),
    )?;
    let connection = connection.with_database(database);
    let mut sql = "CREATE EXTENSION pg_iceberg_am;".to_owned();
    for table in TABLES {
        sql += &format!(
            "CREATE TABLE {table} (id bigint, v int, s text) USING {under_test}; \
             INSERT INTO {table} SELECT g, g, 'first' FROM generate_series(1, {HOT_ROWS}) g;"
        );
    }
    sql += &format!(
        "CREATE TABLE h (id bigint PRIMARY KEY, v int, s text) USING heap WITH (autovacuum_enabled = off); \
         INSERT INTO h SELECT g, g, 'first' FROM generate_series(1, {HEAP_ROWS}) g"
    );
    psql::execute(&connection, &sql)?;
    Ok(connection)
}
