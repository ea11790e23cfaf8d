def run(server):
    lake(server)

    sql(server, "CREATE TABLE events (id bigint, body text) USING iceberg TABLESPACE lake")
    sql(server, "INSERT INTO events SELECT g, 'event ' || g FROM generate_series(1, 100000) g")
    metadata = sql(server, "SELECT lakebase.publish('events')")
    assert metadata.split("://")[0] in ("s3", "gs", "abfss"), metadata
    expect(server, "SELECT count(*), sum(id) FROM events", "100000|5000050000")

    # What was written is in the cache, and what is not there comes from the store.
    server.succeed("systemctl stop pg-lakebase-storage.service")
    server.succeed("rm -rf /var/cache/pg-lakebase/*")
    server.succeed("systemctl start pg-lakebase-storage.service")
    await_sql(server, "SELECT count(*), sum(id) FROM events", "100000|5000050000")
    expect(server, "SELECT cache_misses > 0 FROM lakebase.stores", "t")

    # PostgreSQL's account cannot read the credentials, where there are some.
    server.fail(as_postgres("cat /run/credentials/pg-lakebase-storage.service/credentials"))

    server.succeed("systemctl restart postgresql.service")
    lake(server)
    expect(server, "SELECT count(*) FROM events", "100000")

    # A store that refuses is told in its own words.
    statement = "ALTER TABLESPACE lake SET (credentials = 'nobody')"
    server.fail(psql(statement))

    sql(server, "DROP TABLE events")
