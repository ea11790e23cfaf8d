"""Tables as Spark writes them with Iceberg's Java implementation: what our readers must understand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engines import Spark

TYPES = """id INT, b BOOLEAN, l BIGINT, f FLOAT, d DOUBLE, n9 DECIMAL(9, 2), n18 DECIMAL(18, 4), n38 DECIMAL(38, 10), s STRING, y BINARY,
    dt DATE, tz TIMESTAMP, ts TIMESTAMP_NTZ, a ARRAY<INT>, m MAP<STRING, DOUBLE>, p STRUCT<x: DOUBLE, y: STRING, q: ARRAY<STRUCT<k: INT>>>"""

TYPES_ROWS = """
    (1, true, 9223372036854775807L, float(1.5), double(2.5), 1.25, 1.2345, 1.0000000001, 'text', X'00FF', DATE '2024-02-29',
     TIMESTAMP '2024-02-29 12:00:00.000001', TIMESTAMP_NTZ '2024-02-29 23:59:59.999999', array(1, NULL, 3), map('a', double(1), 'b', NULL),
     named_struct('x', double(1), 'y', 'in', 'q', array(named_struct('k', 1), NULL, named_struct('k', NULL)))),
    (2, false, -9223372036854775808L, float('-Infinity'), double('NaN'), -9999999.99, -99999999999999.9999, -9999999999999999999999999999.9999999999, '', X'',
     DATE '0001-01-01', TIMESTAMP '1900-01-01 00:00:00', TIMESTAMP_NTZ '9999-12-31 23:59:59.999999', array(), map(), NULL),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, NULL, 0L, float('NaN'), double('-0.0'), 0.00, 0.0000, 0.0000000000, 'größe 表 😀', X'FFFFFFFF', DATE '1969-12-31',
     TIMESTAMP '1969-12-31 23:59:59.999999', NULL, array(NULL), map('k', double('Infinity')), named_struct('x', NULL, 'y', NULL, 'q', array()))
"""


def write_with_spark(spark: Spark) -> Iterator[tuple[str, str]]:
    """Yields each table's name and metadata file."""
    statements = {
        "spark_types": _types("2"),
        "spark_types_v1": _types("1"),
        "spark_gzip": [*_types("2", "'write.metadata.compression-codec' = 'gzip'")],
        "spark_empty": ["CREATE TABLE {t} (id INT, s STRING) USING iceberg"],
        "spark_partitioned": _partitioned(),
        "spark_partition_evolution": _partition_evolution(),
        "spark_schema_evolution": _schema_evolution(),
        "spark_merge_on_read_v2": _merge_on_read(2, partitioned=False),
        "spark_merge_on_read_v2_partitioned": _merge_on_read(2, partitioned=True),
        "spark_merge_on_read_v3": _merge_on_read(3, partitioned=False),
        "spark_copy_on_write": _copy_on_write(),
        "spark_rewritten": _rewritten(),
        "spark_added_files": _added_files(),
        "spark_added_files_by_position": [*_added_files(), "ALTER TABLE {t} UNSET TBLPROPERTIES ('schema.name-mapping.default')"],
        "spark_promoted_partitions": _deletes_by_partition("INT", "7", "8", promoted="BIGINT"),
        "spark_promoted_decimal_partitions": _deletes_by_partition("DECIMAL(5, 2)", "1.50", "-1.50", promoted="DECIMAL(20, 2)"),
        "spark_nan_partitions": _deletes_by_partition("DOUBLE", "'NaN'", "1.5"),
    }
    for name, steps in statements.items():
        table = f"{spark.CATALOG}.written.{name}"
        for statement in steps:
            spark.session.sql(statement.replace("{t}", table).replace("{catalog}", spark.CATALOG).replace("{name}", f"written.{name}").replace("{plain}", f"plain_{name}").replace("{files}", str(spark.warehouse / "plain" / name)))
        yield name, _current_metadata(spark.warehouse / "written" / name / "metadata")


def _current_metadata(folder: Path) -> str:
    version = (folder / "version-hint.text").read_text().strip()
    for ending in ("metadata.json", "gz.metadata.json"):
        path = folder / f"v{version}.{ending}"
        if path.exists():
            return str(path)
    raise FileNotFoundError(f"{folder} has no metadata file of version {version}")


def _types(version: str, *properties: str) -> list[str]:
    options = ", ".join((f"'format-version' = '{version}'", *properties))
    return [f"CREATE TABLE {{t}} ({TYPES}) USING iceberg TBLPROPERTIES ({options})", f"INSERT INTO {{t}} VALUES {TYPES_ROWS}", f"INSERT INTO {{t}} VALUES (5, {', '.join(['NULL'] * 15)})"]


def _numbers(first: int, last: int) -> str:
    return (
        f"SELECT CAST(id AS INT) AS id, CAST(id % 5 AS INT) AS k, concat('row ', id) AS s, TIMESTAMP '2024-01-01 00:00:00' + make_interval(0, 0, 0, CAST(id % 40 AS INT)) AS at, "
        f"CAST(id * 1.5 AS DECIMAL(10, 2)) AS n FROM range({first}, {last})"
    )


COLUMNS = "id INT, k INT, s STRING, at TIMESTAMP, n DECIMAL(10, 2)"


def _partitioned() -> list[str]:
    return [
        f"CREATE TABLE {{t}} ({COLUMNS}) USING iceberg PARTITIONED BY (k, bucket(3, s), truncate(10, id), days(at))",
        f"INSERT INTO {{t}} {_numbers(0, 200)} ORDER BY k",
        "INSERT INTO {t} VALUES (1000, NULL, NULL, NULL, NULL), (1001, 1, NULL, TIMESTAMP '1960-05-05 00:00:00', -1)",
        "DELETE FROM {t} WHERE k = 3",
        "INSERT OVERWRITE {t} SELECT * FROM {t} WHERE k = 2 AND id < 100",
        f"INSERT INTO {{t}} {_numbers(500, 550)}",
    ]


def _partition_evolution() -> list[str]:
    return [
        f"CREATE TABLE {{t}} ({COLUMNS}) USING iceberg",
        f"INSERT INTO {{t}} {_numbers(0, 50)}",
        "ALTER TABLE {t} ADD PARTITION FIELD k",
        f"INSERT INTO {{t}} {_numbers(50, 100)}",
        "ALTER TABLE {t} REPLACE PARTITION FIELD k WITH bucket(4, id) AS shard",
        f"INSERT INTO {{t}} {_numbers(100, 150)}",
        "ALTER TABLE {t} DROP PARTITION FIELD shard",
        f"INSERT INTO {{t}} {_numbers(150, 200)}",
    ]


def _schema_evolution() -> list[str]:
    return [
        "CREATE TABLE {t} (id INT, gone STRING, wider INT, real_now FLOAT, price DECIMAL(6, 2), p STRUCT<x: INT, y: STRING>, a ARRAY<STRUCT<k: INT>>) USING iceberg",
        "INSERT INTO {t} VALUES (1, 'gone', 10, 1.5, 1.25, named_struct('x', 1, 'y', 'one'), array(named_struct('k', 1)))",
        "ALTER TABLE {t} ADD COLUMN added STRING",
        "ALTER TABLE {t} DROP COLUMN gone",
        "ALTER TABLE {t} ADD COLUMN gone INT",
        "ALTER TABLE {t} ALTER COLUMN wider TYPE BIGINT",
        "ALTER TABLE {t} ALTER COLUMN real_now TYPE DOUBLE",
        "ALTER TABLE {t} ALTER COLUMN price TYPE DECIMAL(12, 2)",
        "INSERT INTO {t} VALUES (2, 10000000000, 2.5, 123456789.25, named_struct('x', 2, 'y', 'two'), array(named_struct('k', 2)), 'added', 22)",
        "ALTER TABLE {t} RENAME COLUMN added TO renamed",
        "ALTER TABLE {t} ADD COLUMN p.z DOUBLE",
        "ALTER TABLE {t} DROP COLUMN p.y",
        "ALTER TABLE {t} RENAME COLUMN p.x TO first",
        "ALTER TABLE {t} ADD COLUMN a.element.v STRING",
        "ALTER TABLE {t} ALTER COLUMN renamed FIRST",
        "ALTER TABLE {t} ALTER COLUMN id AFTER wider",
        "INSERT INTO {t} VALUES ('renamed', 30000000000, 3, 3.5, 987654321.75, named_struct('first', 3, 'z', 3.25), array(named_struct('k', 3, 'v', 'three')), 33)",
    ]


def _merge_on_read(version: int, *, partitioned: bool) -> list[str]:
    by = "PARTITIONED BY (k)" if partitioned else ""
    properties = ", ".join(f"'write.{what}.mode' = 'merge-on-read'" for what in ("delete", "update", "merge"))
    return [
        f"CREATE TABLE {{t}} ({COLUMNS}) USING iceberg {by} TBLPROPERTIES ('format-version' = '{version}', {properties})",
        f"INSERT INTO {{t}} {_numbers(0, 300)}",
        f"INSERT INTO {{t}} {_numbers(300, 400)}",
        "DELETE FROM {t} WHERE id % 7 = 3",
        "UPDATE {t} SET s = 'updated' WHERE id % 11 = 5",
        "DELETE FROM {t} WHERE id % 13 = 0",
        f"INSERT INTO {{t}} {_numbers(400, 420)}",
        "MERGE INTO {t} t USING (SELECT CAST(id AS INT) AS id FROM range(390, 430)) n ON t.id = n.id WHEN MATCHED AND t.id % 2 = 0 THEN DELETE "
        "WHEN MATCHED THEN UPDATE SET s = 'merged' WHEN NOT MATCHED THEN INSERT (id, k, s, at, n) VALUES (n.id, NULL, 'from merge', NULL, NULL)",
    ]


def _copy_on_write() -> list[str]:
    return [
        f"CREATE TABLE {{t}} ({COLUMNS}) USING iceberg",
        f"INSERT INTO {{t}} {_numbers(0, 100)}",
        "UPDATE {t} SET n = n + 1 WHERE id < 10",
        "DELETE FROM {t} WHERE id BETWEEN 20 AND 30",
        "DELETE FROM {t} WHERE id % 2 = 0",
    ]


def _rewritten() -> list[str]:
    inserts = [f"INSERT INTO {{t}} {_numbers(n * 10, n * 10 + 10)}" for n in range(6)]
    return [
        f"CREATE TABLE {{t}} ({COLUMNS}) USING iceberg TBLPROPERTIES ('write.delete.mode' = 'merge-on-read', 'write.parquet.row-group-size-bytes' = '1024', 'write.parquet.compression-codec' = 'gzip')",
        *inserts,
        "DELETE FROM {t} WHERE id % 9 = 4",
        f"CALL {{catalog}}.system.rewrite_data_files(table => '{{name}}', options => map('rewrite-all', 'true'))",
        f"CALL {{catalog}}.system.rewrite_manifests('{{name}}')",
        "DELETE FROM {t} WHERE id % 9 = 5",
        f"CALL {{catalog}}.system.expire_snapshots(table => '{{name}}', older_than => TIMESTAMP '2099-01-01 00:00:00', retain_last => 1)",
    ]


def _added_files() -> list[str]:
    """Files of a Hive table: without field ids, and without the columns that it is partitioned by."""
    return [
        "CREATE TABLE spark_catalog.default.{plain} (id INT, s STRING, kind STRING, k INT) USING parquet PARTITIONED BY (kind, k) LOCATION '{files}'",
        "INSERT INTO spark_catalog.default.{plain} SELECT CAST(id AS INT), concat('row ', id), if(id % 2 = 0, 'even', 'odd'), CAST(id % 3 AS INT) FROM range(30)",
        "CREATE TABLE {t} (id INT, s STRING, kind STRING, k INT) USING iceberg PARTITIONED BY (kind, k)",
        "CALL {catalog}.system.add_files(table => '{name}', source_table => '`parquet`.`{files}`')",
        "ALTER TABLE {t} ALTER COLUMN k TYPE BIGINT",
    ]


def _deletes_by_partition(kind: str, one: str, other: str, promoted: str | None = None) -> list[str]:
    """Delete files that apply by partition, to files from before and after a promotion of the partition column."""
    rows = " UNION ALL ".join(f"SELECT CAST(id + {first} AS INT), CAST({value} AS {kind}) FROM range({first}, {first + 10}, 1, 1)" for first, value in ((0, one), (100, other)))
    return [
        f"CREATE TABLE {{t}} (id INT, p {kind}) USING iceberg PARTITIONED BY (p) TBLPROPERTIES ('format-version' = '2', 'write.delete.mode' = 'merge-on-read', 'write.delete.granularity' = 'partition')",
        f"INSERT INTO {{t}} {rows}",
        *([f"ALTER TABLE {{t}} ALTER COLUMN p TYPE {promoted}"] if promoted else []),
        f"INSERT INTO {{t}} {rows}",
        "DELETE FROM {t} WHERE id % 10 = 4",
    ]
