def run(server):
    ready(server)
    await_sql(server, "SELECT status FROM lakebase.storage_service", "external")

    sql(server, "CREATE TABLE orders (id bigint, total numeric(12,2)) USING iceberg")
    sql(server, "INSERT INTO orders SELECT g, g FROM generate_series(1, 1000) g")
    expect(server, "SELECT count(*), sum(total) FROM orders", "1000|500500.00")

    # The service has an account of its own, and only PostgreSQL comes to its socket.
    expected = "pg-lakebase:pg-lakebase 660"
    found = server.succeed("stat -c '%U:%G %a' /run/pg-lakebase/storage.sock").strip()
    assert found == expected, found
    server.fail("runuser -u nobody -- test -w /run/pg-lakebase/storage.sock")

    server.succeed("systemctl restart postgresql.service")
    ready(server)
    expect(server, "SELECT count(*) FROM orders", "1000")

    # The service may go away and come back, and is another process then.
    before = server.succeed("systemctl show --property=MainPID pg-lakebase-storage.service")
    server.succeed("systemctl restart pg-lakebase-storage.service")
    after = server.succeed("systemctl show --property=MainPID pg-lakebase-storage.service")
    assert before != after
    await_sql(server, "SELECT status FROM lakebase.storage_service", "external")

    switch_configuration(server, "changed")
    await_sql(server, "SHOW pg_iceberg_am.target_file_size", "64MB")
    await_sql(server, "SELECT capacity FROM lakebase.cache", str(1 << 30))
    await_sql(server, "SELECT count(*) FROM pg_extension WHERE extname = 'pg_iceberg_am'", "1", database="lake")
    expect(server, "SELECT count(*) FROM orders", "1000")

    # A catalog that the package has no way back from is reported, and not tried again and again.
    is_now = "UPDATE pg_extension SET extversion = {} WHERE extname = 'pg_iceberg_am'"
    version = sql(server, "SELECT extversion FROM pg_extension WHERE extname = 'pg_iceberg_am'", database="lake")
    sql(server, is_now.format("'1000'"), database="lake")
    server.fail("systemctl restart pg-lakebase-setup.service")
    found = server.succeed("systemctl show --property=ActiveState,ExecMainStatus --value pg-lakebase-setup.service").split()
    assert sorted(found) == ["78", "failed"], found
    sql(server, is_now.format(f"'{version}'"), database="lake")
    server.succeed("systemctl restart pg-lakebase-setup.service")
