def run(server, standby):
    lake(server)
    standby.wait_for_unit("postgresql.service")

    sql(server, "CREATE TABLE on_disk (id bigint) USING iceberg")
    sql(server, "CREATE TABLE in_store (id bigint) USING iceberg TABLESPACE lake")
    for table in ("on_disk", "in_store"):
        sql(server, f"INSERT INTO {table} SELECT generate_series(1, 10000)")

    # The standby begins with a copy of the primary.
    standby.succeed("systemctl stop postgresql.target postgresql.service")
    standby.succeed(f"find {DATA} /var/lib/pg-lakebase/tablespaces/lake -mindepth 1 -delete")
    standby.succeed(as_postgres(f"pg_basebackup --host=server --username=postgres --pgdata={DATA} --checkpoint=fast"))
    standby.succeed(as_postgres(f"touch {DATA}/standby.signal"))
    # The target waits until the server is no standby any more.
    standby.succeed("systemctl start --no-block postgresql.service")
    standby.wait_for_unit("postgresql.service")
    await_sql(standby, "SELECT pg_is_in_recovery()", "t")

    for table in ("on_disk", "in_store"):
        await_sql(standby, f"SELECT count(*) FROM {table}", "10000")
        sql(server, f"INSERT INTO {table} SELECT generate_series(10001, 11000)")
        await_sql(standby, f"SELECT count(*), sum(id) FROM {table}", "11000|60505500")
    standby.fail(psql("INSERT INTO on_disk VALUES (0)"))

    # The primary ends. Its machine goes on, since the store is there.
    server.succeed("systemctl stop postgresql.target postgresql.service")
    sql(standby, "SELECT pg_promote()")
    await_sql(standby, "SELECT pg_is_in_recovery()", "f")
    for table in ("on_disk", "in_store"):
        await_sql(standby, f"SELECT count(*), sum(id) FROM {table}", "11000|60505500")
        sql(standby, f"INSERT INTO {table} VALUES (0)")
        sql(standby, f"SELECT lakebase.publish('{table}')")
        expect(standby, f"SELECT count(*) FROM {table}", "11001")
