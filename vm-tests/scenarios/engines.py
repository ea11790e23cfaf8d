READ = """
import sys

import duckdb
from pyiceberg.table import StaticTable

metadata = sys.argv[1]
properties = {
    "s3.endpoint": "http://server:9000",
    "s3.region": "us-east-1",
    "s3.access-key-id": "lakebase",
    "s3.secret-access-key": "lakebase-secret",
}
table = StaticTable.from_metadata(metadata, properties).scan().to_arrow()
print("pyiceberg", table.num_rows, sum(table.column("id").to_pylist()))

connection = duckdb.connect()
try:
    # From packages, where there are some: there is no network to download them by.
    from duckdb_extensions import import_extension

    for extension in ("avro", "httpfs", "iceberg"):
        import_extension(extension, con=connection)
except ImportError:
    pass
try:
    connection.execute("LOAD httpfs; LOAD iceberg")
except duckdb.Error as error:
    print("duckdb has no extension for Iceberg:", str(error).splitlines()[0])
    sys.exit()
connection.execute(
    "CREATE SECRET (TYPE s3, KEY_ID 'lakebase', SECRET 'lakebase-secret', ENDPOINT 'server:9000', URL_STYLE 'path', USE_SSL false)"
)
print("duckdb", *connection.execute(f"SELECT count(*), sum(id) FROM iceberg_scan('{metadata}')").fetchone())
"""


def run(server, reader):
    lake(server)
    reader.succeed(f"printf %s {shlex.quote(READ)} >/tmp/read.py")

    def agree(rows, total):
        metadata = sql(server, "SELECT lakebase.publish('events')")
        pyiceberg, with_duckdb = reader.succeed(f"python3 /tmp/read.py {metadata}").strip().split("\n")
        assert pyiceberg == f"pyiceberg {rows} {total}", pyiceberg
        if "has no extension" in with_duckdb:
            print(with_duckdb)
        else:
            assert with_duckdb == f"duckdb {rows} {total}", with_duckdb

    sql(server, "CREATE TABLE events (id bigint, body text) USING iceberg TABLESPACE lake")
    sql(server, "INSERT INTO events SELECT g, 'event ' || g FROM generate_series(1, 50000) g")
    agree(50000, 1250025000)
    for row in range(10):
        sql(server, f"INSERT INTO events VALUES ({row}, 'small')")
    agree(50010, 1250025045)
    sql(server, "SELECT * FROM lakebase.compact('events')")
    agree(50010, 1250025045)
    sql(server, "TRUNCATE events")
    sql(server, "INSERT INTO events VALUES (7, 'only')")
    agree(1, 7)
