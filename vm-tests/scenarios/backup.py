def run(server):
    lake(server)
    server.succeed(as_postgres("mkdir /var/lib/postgresql/archive"))
    sql(server, "CREATE TABLE on_disk (id bigint) USING iceberg")
    sql(server, "CREATE TABLE in_store (id bigint) USING iceberg TABLESPACE lake")
    for table in ("on_disk", "in_store"):
        sql(server, f"INSERT INTO {table} SELECT generate_series(1, 10000)")

    backup = "/var/lib/postgresql/backup"
    lake_directory = "/var/lib/pg-lakebase/tablespaces/lake"
    mapping = f"--tablespace-mapping={lake_directory}=/var/lib/postgresql/backup-lake"
    server.succeed(as_postgres(f"pg_basebackup --pgdata={backup} --checkpoint=fast {mapping}"))
    server.succeed(as_postgres(f"pg_verifybackup {backup}"))

    # Right up to here, and not what comes after it.
    for table in ("on_disk", "in_store"):
        sql(server, f"INSERT INTO {table} SELECT generate_series(10001, 12000)")
        sql(server, f"SELECT lakebase.publish('{table}')")
    sql(server, "SELECT pg_create_restore_point('before the mistake')")
    sql(server, "DROP TABLE on_disk")
    sql(server, "TRUNCATE in_store")
    segment = sql(server, "SELECT pg_walfile_name(pg_switch_wal())")
    await_sql(server, f"SELECT last_archived_wal >= '{segment}' FROM pg_stat_archiver", "t")

    server.succeed("systemctl stop postgresql.target postgresql.service")
    server.succeed(f"find {DATA} {lake_directory} -mindepth 1 -delete")
    server.succeed(f"cp -a {backup}/. {DATA}/ && cp -a /var/lib/postgresql/backup-lake/. {lake_directory}/")
    # The copy's links lead to the backup's copy of the tablespace.
    link = f"for link in {DATA}/pg_tblspc/*; do ln -sfn {lake_directory} $link; done"
    server.succeed(f"{link} && chown -h postgres:postgres {DATA}/pg_tblspc/*")
    server.succeed(as_postgres(f"touch {DATA}/recovery.signal"))
    target = "recovery_target_name = 'before the mistake'\nrecovery_target_action = promote\n"
    server.succeed(f"printf %s {shlex.quote(target)} >>{DATA}/postgresql.auto.conf")

    server.succeed("systemctl start postgresql.target")
    await_sql(server, "SELECT pg_is_in_recovery()", "f")
    for table in ("on_disk", "in_store"):
        expect(server, f"SELECT count(*), sum(id) FROM {table}", "12000|72006000")
        sql(server, f"INSERT INTO {table} VALUES (0)")
        sql(server, f"SELECT lakebase.publish('{table}')")
        expect(server, f"SELECT count(*) FROM {table}", "12001")
