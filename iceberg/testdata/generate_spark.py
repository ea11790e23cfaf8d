#!/usr/bin/env python3
"""Writes the spark-* fixtures anew.

Needs pyspark 3.5 with Java 17, and the path of iceberg-spark-runtime-3.5 1.9 as the argument. The
tables have their location in /tmp/iceberg-fixtures, which tests map to this directory; only
metadata and manifests are kept.
"""

import pathlib
import re
import shutil
import sys

from pyspark.sql import SparkSession

HERE = pathlib.Path(__file__).parent
WORK = pathlib.Path("/tmp/iceberg-fixtures")


def keep(name):
    """Copies what the newest metadata lead to."""
    target = HERE / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    source = WORK / name / "metadata"
    for file in source.glob("*.avro"):
        shutil.copy(file, target / file.name)
    versions = source.glob("v*.metadata.json")
    newest = max(versions, key=lambda path: int(re.sub(r"\D", "", path.name)))
    shutil.copy(newest, target / "current.metadata.json")


def merge_on_read(spark, name, version):
    """Three appends, rows deleted twice, a column widened, the partition spec changed."""
    table = f"fixtures.`{name}`"
    shutil.rmtree(WORK / name, ignore_errors=True)
    spark.sql(f"""
        CREATE TABLE {table} (id int, kind string, at timestamp, price decimal(9, 2))
        USING iceberg PARTITIONED BY (kind) TBLPROPERTIES (
            'format-version' = '{version}', 'write.delete.mode' = 'merge-on-read',
            'write.delete.granularity' = 'file')
    """)

    def insert(first, last, kind):
        spark.sql(f"""
            INSERT INTO {table}
            SELECT cast(id as int), {kind}, timestamp'2024-01-01 00:00:00' + make_interval(0, 0, 0, id),
                cast(id as decimal(9, 2)) / 4
            FROM range({first}, {last}, 1, 1)
        """)

    insert(0, 10, "'new'")
    insert(10, 20, "null")
    spark.sql(f"DELETE FROM {table} WHERE id = 3")
    spark.sql(f"DELETE FROM {table} WHERE id = 15")
    spark.sql(f"ALTER TABLE {table} ALTER COLUMN id TYPE bigint")
    spark.sql(f"ALTER TABLE {table} ADD PARTITION FIELD days(at)")
    insert(20, 22, "'late'")
    keep(name)


def main():
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.jars", sys.argv[1])
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.extensions",
                "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
        .config("spark.sql.catalog.fixtures", "org.apache.iceberg.spark.SparkCatalog")
        .config("spark.sql.catalog.fixtures.type", "hadoop")
        .config("spark.sql.catalog.fixtures.warehouse", str(WORK))
        .getOrCreate()
    )
    merge_on_read(spark, "spark-v2-merge-on-read", 2)
    merge_on_read(spark, "spark-v3-deletion-vectors", 3)


main()
