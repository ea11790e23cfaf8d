//! Logical replication of all tables, the extension's own among them, between two servers that have it.
//!
//! What the publisher's pointer rows, inline commits and changes of rows say is of the publisher's files. The two servers make their
//! tables in the same order, so that their storages have the same numbers: a row that got through would hit
//! one of the subscriber's tables.

use super::server::{Servers, create_fingerprint, fingerprint, same, wait_until};
use crate::cluster::SUPERUSER;
use crate::psql;
use anyhow::{Result, ensure};

const SETTINGS: [(&str, &str); 3] = [
    ("wal_level", "logical"),
    ("max_worker_processes", "16"),
    ("wal_receiver_status_interval", "1s"),
];

const TABLES: &str = "
CREATE TABLE heap (id int PRIMARY KEY, note text) USING heap;
CREATE TABLE lake (id int, note text) USING iceberg;
CREATE TABLE emptied (id int, note text) USING iceberg;
CREATE TABLE target (id int, note text) USING heap;
CREATE TABLE parted (id int, note text) PARTITION BY RANGE (id);
CREATE TABLE parted_heap PARTITION OF parted FOR VALUES FROM (0) TO (100) USING heap;
CREATE TABLE parted_lake PARTITION OF parted FOR VALUES FROM (100) TO (200) USING iceberg;
";

pub fn run(servers: &Servers<'_>) -> Result<()> {
    let mut first = servers.first(&SETTINGS)?;
    let mut second = servers.second(&SETTINGS)?;
    let (publisher, subscriber) = (first.start()?, second.start()?);
    for connection in [&publisher, &subscriber] {
        create_fingerprint(connection)?;
        psql::execute(connection, TABLES)?;
    }
    let publish = |sql: &str| psql::execute(&publisher, sql);
    let subscribe = |sql: &str| psql::execute(&subscriber, sql);
    // What arrives of heap tables may go into an Iceberg table.
    subscribe("DROP TABLE target; CREATE TABLE target (id int, note text) USING iceberg")?;
    subscribe("INSERT INTO lake SELECT g, 'own' FROM generate_series(1, 2000) g")?;
    subscribe("INSERT INTO emptied SELECT g, 'own' FROM generate_series(1, 20) g")?;
    publish("INSERT INTO lake SELECT g, 'copied' FROM generate_series(1, 3000) g")?;
    publish("INSERT INTO emptied VALUES (1, 'copied')")?;
    publish("INSERT INTO heap SELECT g, 'copied' FROM generate_series(1, 100) g")?;
    publish("INSERT INTO target VALUES (1, 'copied')")?;
    publish("INSERT INTO parted VALUES (1, 'copied'), (101, 'copied')")?;
    // Rows that wait are in the extension's table when that is copied.
    publish("INSERT INTO lake VALUES (0, 'copied')")?;

    publish("CREATE PUBLICATION everything FOR ALL TABLES WITH (publish_via_partition_root)")?;
    subscribe(&format!(
        "CREATE SUBSCRIPTION everything CONNECTION 'host={} port={} dbname={} user={SUPERUSER}' PUBLICATION everything",
        publisher.host.display(),
        publisher.port,
        publisher.database
    ))?;
    wait_until(
        &subscriber,
        "SELECT bool_and(srsubstate = 'r') AND count(*) >= 7 FROM pg_subscription_rel",
    )?;
    let copied = "emptied|21\nheap|100\nlake|5001\nparted_heap|1\nparted_lake|1\ntarget|1";
    same("copied", &counts(&fingerprint(&subscriber)?), copied)?;

    // Everything that changes the extension's own tables.
    for number in 0..20 {
        publish(&format!(
            "INSERT INTO lake VALUES ({number}, 'not decoded')"
        ))?;
    }
    publish("SELECT lakebase.publish('lake')")?;
    publish("INSERT INTO emptied VALUES (2, 'not decoded')")?;
    publish(
        "BEGIN; INSERT INTO heap VALUES (101, 'later'); INSERT INTO lake VALUES (100, 'not decoded'); INSERT INTO target VALUES (2, 'later'); COMMIT",
    )?;
    publish("INSERT INTO parted VALUES (2, 'later'), (102, 'not decoded')")?;
    publish("VACUUM FULL lake")?;
    publish("UPDATE heap SET note = 'changed' WHERE id <= 50; DELETE FROM heap WHERE id = 51")?;
    publish(
        "CREATE TABLE passing (id int) USING iceberg; INSERT INTO passing VALUES (1); DROP TABLE passing",
    )?;
    caught_up(&publisher)?;
    let same_heap = "SELECT digest FROM fingerprint('public') WHERE relation = 'heap'";
    same(
        "the heap table",
        &psql::query(&subscriber, same_heap)?,
        &psql::query(&publisher, same_heap)?,
    )?;
    let now = "emptied|21\nheap|100\nlake|5001\nparted_heap|2\nparted_lake|1\ntarget|2";
    same("replicated", &counts(&fingerprint(&subscriber)?), now)?;

    // TRUNCATE is decoded, whatever the table.
    publish("TRUNCATE emptied")?;
    publish("INSERT INTO heap VALUES (102, 'last')")?;
    caught_up(&publisher)?;
    let now = "emptied|0\nheap|101\nlake|5001\nparted_heap|2\nparted_lake|1\ntarget|2";
    same("after TRUNCATE", &counts(&fingerprint(&subscriber)?), now)?;

    // Changes of a heap table's rows, applied to an Iceberg table.
    publish("ALTER TABLE target REPLICA IDENTITY FULL")?;
    publish("UPDATE target SET note = 'changed' WHERE id = 1; DELETE FROM target WHERE id = 2")?;
    caught_up(&publisher)?;
    same(
        "changed",
        &psql::query(&subscriber, "SELECT id, note FROM target")?,
        "1|changed",
    )?;

    let errors = "SELECT apply_error_count + sync_error_count FROM pg_stat_subscription_stats";
    let errors = psql::query(&subscriber, errors)?;
    ensure!(errors == "0", "replication failed {errors} times");
    // The subscriber's tables go on.
    subscribe("INSERT INTO lake VALUES (-1, 'own'); INSERT INTO emptied VALUES (-1, 'own')")?;
    subscribe(
        "SELECT lakebase.publish('lake'), lakebase.publish('emptied'), lakebase.publish('target')",
    )?;
    let now = "emptied|1\nheap|101\nlake|5002\nparted_heap|2\nparted_lake|1\ntarget|1";
    same("going on", &counts(&fingerprint(&subscriber)?), now)?;
    let orphans = "SELECT count(*) FROM lakebase.inline_commit";
    same(
        "inline commits of the publisher's",
        &psql::query(&subscriber, orphans)?,
        "0",
    )?;
    subscribe("DROP SUBSCRIPTION everything")
}

/// Waits until the subscriber has applied all that is committed.
fn caught_up(publisher: &crate::cluster::Connection) -> Result<()> {
    let position = psql::query(publisher, "SELECT pg_current_wal_insert_lsn()")?;
    // Decoding goes by what is flushed.
    psql::query(
        publisher,
        "SELECT pg_logical_emit_message(true, 'operations', 'flush')",
    )?;
    wait_until(
        publisher,
        &format!(
            "SELECT coalesce(bool_and(replay_lsn >= '{position}'), false) FROM pg_stat_replication"
        ),
    )
}

/// Names and numbers of rows of a fingerprint.
fn counts(fingerprint: &str) -> String {
    let lines: Vec<&str> = fingerprint
        .lines()
        .filter_map(|line| line.rsplit_once('|').map(|(counts, _)| counts))
        .collect();
    lines.join("\n")
}
