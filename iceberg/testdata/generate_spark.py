#!/usr/bin/env python3
"""Writes the spark-* fixtures anew.

Needs pyspark 3.5 with Java 17, and the path of iceberg-spark-runtime-3.5 1.9 as the argument. The
tables have their location in /tmp/iceberg-fixtures, which tests map to this directory; of the tables
spark-v2-merge-on-read and spark-v3-deletion-vectors only metadata and manifests are kept, of the others
data files too, with the rows that Spark reads in rows.txt.
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


def keep_with_rows(spark, name):
    """Copies what the newest metadata lead to, the data files, and the rows as Spark reads them."""
    keep(name)
    target = HERE / name
    for file in sorted((WORK / name / "data").rglob("*.parquet")):
        copy = target / "data" / file.relative_to(WORK / name / "data")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    rows = spark.sql(f"SELECT * FROM fixtures.`{name}`").collect()
    lines = sorted("|".join("NULL" if v is None else str(v) for v in row) for row in rows)
    (target / "rows.txt").write_text("".join(line + "\n" for line in lines))


def added_files(spark, name, mapped):
    """Parquet files of a Hive table, which lack the partition columns and have no field ids, added to
    a table; one partition column is widened afterwards. Without `mapped` the name mapping is gone."""
    table = f"fixtures.`{name}`"
    shutil.rmtree(WORK / name, ignore_errors=True)
    source = WORK / name / "data"
    rows = [(1, "one", "new", 7), (2, None, "new", 7), (3, "three", "old", 7), (4, "four", None, 8)]
    frame = spark.createDataFrame(rows, "id int, word string, kind string, n int")
    frame.repartition(1).write.partitionBy("kind", "n").parquet(str(source))
    spark.sql(f"""
        CREATE TABLE {table} (id int, word string, kind string, n int)
        USING iceberg PARTITIONED BY (kind, n) TBLPROPERTIES ('format-version' = '2')
    """)
    spark.sql(f"""
        CALL fixtures.system.add_files(table => '`{name}`', source_table => '`parquet`.`{source}`')
    """)
    spark.sql(f"ALTER TABLE {table} ALTER COLUMN n TYPE bigint")
    if not mapped:
        spark.sql(f"ALTER TABLE {table} UNSET TBLPROPERTIES ('schema.name-mapping.default')")
    keep_with_rows(spark, name)


def deletes_by_partition(spark, name, kind, promoted, values):
    """Rows deleted by position in partitions of column p, whose type is changed in between."""
    table = f"fixtures.`{name}`"
    shutil.rmtree(WORK / name, ignore_errors=True)
    spark.sql(f"""
        CREATE TABLE {table} (id int, p {kind}) USING iceberg PARTITIONED BY (p) TBLPROPERTIES (
            'format-version' = '2', 'write.delete.mode' = 'merge-on-read',
            'write.delete.granularity' = 'partition')
    """)
    for first in (0, 100):
        rows = " UNION ALL ".join(
            f"SELECT cast(id + {first} as int), cast({value} as {kind}) FROM range({10 * n}, {10 * n + 4}, 1, 1)"
            for n, value in enumerate(values)
        )
        spark.sql(f"INSERT INTO {table} {rows}")
    if promoted:
        spark.sql(f"ALTER TABLE {table} ALTER COLUMN p TYPE {promoted}")
    spark.sql(f"DELETE FROM {table} WHERE id % 10 = 1")
    keep_with_rows(spark, name)


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
    added_files(spark, "spark-v2-added-files", mapped=True)
    added_files(spark, "spark-v2-added-files-by-position", mapped=False)
    deletes_by_partition(spark, "spark-v2-deletes-int-promoted", "int", "bigint", ["7", "8", "null"])
    deletes_by_partition(spark, "spark-v2-deletes-float-promoted", "float", "double", ["0.1", "'NaN'"])
    decimals = ("decimal(5, 2)", "decimal(20, 2)", ["1.50", "-1.50"])
    deletes_by_partition(spark, "spark-v2-deletes-decimal-promoted", *decimals)
    deletes_by_partition(spark, "spark-v2-deletes-nan", "double", None, ["'NaN'", "0.0"])


main()
