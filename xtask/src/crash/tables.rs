//! The tables, `t<n>` and `t<n>_heap`, and whether each equals its mirror. `u<n>` and its mirror are unlogged to begin
//! with.

use crate::cluster::Connection;
use crate::psql;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

/// Columns of every table and mirror.
pub const COLUMNS: &str = "id bigint, part int, note text";

/// The heap table that gets the same rows as `table`.
pub fn mirror(table: &str) -> String {
    format!("{table}_heap")
}

/// How to begin to create a table of this name.
pub fn create_table(table: &str) -> &'static str {
    if table.starts_with('u') {
        "CREATE UNLOGGED TABLE"
    } else {
        "CREATE TABLE"
    }
}

/// What a table holds, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub rows: u64,
    /// Sum of the ids, as decimal text.
    pub sum: String,
    /// A digest of which row has which `ctid`.
    pub row_ids: String,
    /// Recovery empties the table, and nobody reads it on a standby.
    pub unlogged: bool,
}

impl Fingerprint {
    fn of_nothing(unlogged: bool) -> Self {
        Self {
            rows: 0,
            sum: "0".to_owned(),
            row_ids: "0".to_owned(),
            unlogged,
        }
    }
}

/// All tables by name.
pub type Fingerprints = BTreeMap<String, Fingerprint>;

/// What a standby can read of `tables`.
pub fn logged(tables: &Fingerprints) -> Fingerprints {
    let mut logged = tables.clone();
    logged.retain(|_, table| !table.unlogged);
    logged
}

/// What recovery leaves of `tables`.
pub fn recovered(tables: &Fingerprints) -> Fingerprints {
    let of = |table: &Fingerprint| match table.unlogged {
        true => Fingerprint::of_nothing(true),
        false => table.clone(),
    };
    tables
        .iter()
        .map(|(name, table)| (name.clone(), of(table)))
        .collect()
}

/// Which tables a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that the server can read: all, or while it is in recovery those that are logged.
    Readable,
    Unlogged,
}

/// Iceberg tables of the server. Each has its mirror, which came and went with it.
pub fn list(connection: &Connection, which: Which) -> Result<Vec<String>> {
    let condition = match which {
        Which::Readable => "(c.relpersistence = 'p' OR NOT pg_is_in_recovery())",
        Which::Unlogged => "c.relpersistence = 'u'",
    };
    let named = |method: &str, pattern: &str| {
        let text = psql::query(
            connection,
            &format!(
                "SELECT c.relname FROM pg_class c JOIN pg_am a ON a.oid = c.relam \
                 WHERE a.amname = '{method}' AND c.relname ~ '{pattern}' AND {condition} ORDER BY 1"
            ),
        )?;
        anyhow::Ok(text.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let tables = named("iceberg", "^[tu][0-9]+$")?;
    let mirrors = named("heap", "^[tu][0-9]+_heap$")?;
    let expected: Vec<String> = tables.iter().map(|table| mirror(table)).collect();
    let (mut expected, mut found) = (expected, mirrors);
    expected.sort();
    found.sort();
    if expected != found {
        bail!("Iceberg tables {tables:?} do not match mirrors {found:?}");
    }
    Ok(tables)
}

/// Compares every table of the server with its mirror and returns what they hold.
pub fn check(connection: &Connection) -> Result<Fingerprints> {
    let tables = list(connection, Which::Readable)?;
    if tables.is_empty() {
        return Ok(Fingerprints::new());
    }
    let queries: Vec<String> = tables
        .iter()
        .map(|table| {
            let mirror = mirror(table);
            format!(
                "SELECT '{table}', \
                 (SELECT relpersistence = 'u' FROM pg_class WHERE oid = '{table}'::regclass), \
                 (SELECT count(*) FROM (TABLE {table} EXCEPT ALL TABLE {mirror}) extra), \
                 (SELECT count(*) FROM (TABLE {mirror} EXCEPT ALL TABLE {table}) missing), \
                 (SELECT count(*) - count(DISTINCT ctid) FROM {table}), \
                 (SELECT count(*) FROM {table}), \
                 (SELECT coalesce(sum(id), 0) FROM {table}), \
                 (SELECT coalesce(sum(hashtextextended(ctid::text, id)), 0) FROM {table})"
            )
        })
        .collect();
    let text = psql::query(connection, &queries.join(" UNION ALL "))
        .context("cannot compare the tables")?;
    let mut fingerprints = Fingerprints::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let [table, unlogged, extra, missing, shared, rows, sum, row_ids] = fields.as_slice()
        else {
            bail!("psql printed {line}");
        };
        if (*extra, *missing) != ("0", "0") {
            bail!(
                "{table} differs from its mirror: {extra} rows too many, {missing} missing, \
                 {rows} in all"
            );
        }
        if *shared != "0" {
            bail!("in {table}, of {rows} rows, {shared} have a ctid that another one has");
        }
        let fingerprint = Fingerprint {
            rows: rows
                .parse()
                .with_context(|| format!("psql printed {line}"))?,
            sum: (*sum).to_owned(),
            row_ids: (*row_ids).to_owned(),
            unlogged: *unlogged == "t",
        };
        fingerprints.insert((*table).to_owned(), fingerprint);
    }
    Ok(fingerprints)
}

/// Fails where one of the unlogged tables `tables` holds anything, or its mirror, although recovery has emptied them.
pub fn check_emptied(connection: &Connection, tables: &[String]) -> Result<()> {
    for table in tables
        .iter()
        .flat_map(|table| [table.clone(), mirror(table)])
    {
        let rows = psql::query(connection, &format!("SELECT count(*) FROM {table}"))?;
        if rows != "0" {
            bail!("unlogged table {table} has {rows} rows after recovery");
        }
    }
    Ok(())
}

/// Fails where `found`, on the server called `place`, is not as `expected`.
pub fn same(place: &str, found: &Fingerprints, expected: &Fingerprints) -> Result<()> {
    for (table, expected) in expected {
        match found.get(table) {
            Some(found) if found == expected => {}
            Some(found) => bail!("{table} on {place} is {found:?}, expected {expected:?}"),
            None => bail!("{table} is missing on {place}"),
        }
    }
    if let Some(table) = found.keys().find(|table| !expected.contains_key(*table)) {
        bail!("{table} is on {place} and should not be");
    }
    Ok(())
}

/// Creates `tables` and their mirrors where they do not exist, `tablespace` being the Iceberg
/// table's.
pub fn create(connection: &Connection, table: &str, tablespace: Option<&str>) -> Result<()> {
    let place = tablespace.map_or_else(String::new, |name| format!(" TABLESPACE {name}"));
    psql::execute(
        connection,
        &format!(
            "{create} {table} ({COLUMNS}) USING iceberg{place}; \
             {create} {} ({COLUMNS}) USING heap",
            mirror(table),
            create = create_table(table)
        ),
    )
}

/// One more row for every table: that work goes on.
pub fn add_a_row(connection: &Connection, tables: &[String], id: u64) -> Result<()> {
    let inserts: Vec<String> = tables
        .iter()
        .flat_map(|table| [table.clone(), mirror(table)])
        .map(|table| format!("INSERT INTO {table} VALUES ({id}, 0, 'one more')"))
        .collect();
    psql::execute(
        connection,
        &format!("BEGIN; {}; COMMIT", inserts.join("; ")),
    )
    .context("cannot insert one more row")
}

/// Empties tables of more than `limit` rows, so that comparing stays quick.
pub fn empty_large(connection: &Connection, sizes: &Fingerprints, limit: u64) -> Result<()> {
    for (table, _) in sizes.iter().filter(|(_, size)| size.rows > limit) {
        psql::execute(connection, &format!("TRUNCATE {table}, {}", mirror(table)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprints(rows: &[(&str, u64)]) -> Fingerprints {
        rows.iter()
            .map(|(table, rows)| {
                let fingerprint = Fingerprint {
                    rows: *rows,
                    sum: rows.to_string(),
                    row_ids: rows.to_string(),
                    unlogged: table.starts_with('u'),
                };
                ((*table).to_owned(), fingerprint)
            })
            .collect()
    }

    #[test]
    fn recovery_empties_unlogged_tables_and_standbys_lack_them() {
        let both = fingerprints(&[("t0", 1), ("u0", 2)]);
        let left = recovered(&both);
        assert_eq!(left.get("t0"), both.get("t0"));
        assert_eq!(left.get("u0"), Some(&Fingerprint::of_nothing(true)));
        assert_eq!(logged(&both), fingerprints(&[("t0", 1)]));
        assert!(same("there", &left, &both).is_err());
    }

    #[test]
    fn a_difference_in_either_direction_is_found() {
        let two = fingerprints(&[("t0", 1), ("t1", 2)]);
        assert!(same("there", &two, &two).is_ok());
        assert!(same("there", &fingerprints(&[("t0", 1)]), &two).is_err());
        assert!(same("there", &two, &fingerprints(&[("t0", 1)])).is_err());
        assert!(same("there", &fingerprints(&[("t0", 1), ("t1", 3)]), &two).is_err());
    }
}
