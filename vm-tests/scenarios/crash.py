WRITER = """#!/bin/sh
# Inserts a row after another, and notes each that was committed.
table=$1
id=0
while test -e /tmp/write-$table; do
    id=$((id + 1))
    if psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname=postgres --command="INSERT INTO $table VALUES ($id)"; then
        echo "$id" >>/tmp/committed-$table
    else
        sleep 0.1
    fi
done
"""
TABLES = ("on_disk", "in_store")


def run(server):
    lake(server)
    sql(server, "CREATE TABLE on_disk (id bigint) USING iceberg")
    sql(server, "CREATE TABLE in_store (id bigint) USING iceberg TABLESPACE lake")
    server.succeed(f"printf %s {shlex.quote(WRITER)} >/tmp/writer && chmod 755 /tmp/writer")
    for table in TABLES:
        server.succeed(f"touch /tmp/write-{table} && install -o postgres /dev/null /tmp/committed-{table}")
        command = as_postgres(f"/tmp/writer {table}")
        server.succeed(f"({command}) >/dev/null 2>&1 </dev/null &")

    for victim in ("postgresql.service", "pg-lakebase-storage.service", "postgresql.service"):
        # Some of both are committed since the last one.
        for table in TABLES:
            count = f"wc -l </tmp/committed-{table}"
            enough = int(server.succeed(count)) + 20
            server.wait_until_succeeds(f'test "$({count})" -ge {enough}', timeout=300)
        server.succeed(f"systemctl kill --kill-whom=all --signal=KILL {victim}")
        server.wait_until_succeeds(f"systemctl is-active {victim}")
    lake(server)

    for table in TABLES:
        server.succeed(f"rm /tmp/write-{table}")
    # The pattern is not to match the command that looks for it.
    server.wait_until_succeeds("! pgrep --full '/tmp/write[r]'")
    for table in TABLES:
        # What was told to be committed is there, once.
        server.succeed(f"chmod 644 /tmp/committed-{table}")
        committed = server.succeed(f"cat /tmp/committed-{table}").split()
        found = sql(server, f"SELECT id FROM {table} ORDER BY id").split()
        lost = set(committed) - set(found)
        assert not lost, f"{table} has lost {sorted(lost)}"
        assert len(found) == len(set(found)), f"{table} has rows twice"
        sql(server, f"SELECT lakebase.publish('{table}')")
        expect(server, f"SELECT count(*) FROM {table}", str(len(found)))
