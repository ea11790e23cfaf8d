#!/usr/bin/env python3
"""Writes the fixtures of `iceberg/testdata/changed` anew: the tables of `changed_tables.py`, and the rows that Spark reads of them.

`changed_fixtures.py [TABLE ...]`, with the environment of `cargo xtask interop` and ICEBERG_SPARK_JAR the path of
iceberg-spark-runtime-3.5_2.12 of version 1.12, whose classes `row_delta.py` calls. The tables have
their location in /tmp/iceberg-fixtures, which tests map to what is in the archives.

A table is an archive of its files, since manifests are mostly their schema, which is the same in all, and a JSON file with
the columns and rows of each snapshot, by the schema of then, and of the table as it is at the end, in the form of
`README.md`. Rows that have an id end with `_row_id` and `_last_updated_sequence_number`. Where many rows are equal, each is
there once, and `times` says how often it is in the table.
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import re
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

import changed_tables
import values
from engines import PyIceberg, Spark
from row_delta import Changed
from written_by_others import type_of

REPOSITORY = Path(__file__).resolve().parents[2]
FIXTURES = REPOSITORY / "iceberg/testdata/changed"
WORK = Path("/tmp/iceberg-fixtures")
NAMESPACE = "changed"
LINEAGE = ("_row_id", "_last_updated_sequence_number")
# Spark fails to read a table of which a column is gone by which there are equality deletes, which hold nevertheless
# (specification, section "Equality Delete Files").
UNREAD_IN_THE_END = ("v2-equality-dropped",)
# Tables with more rows than this are written down by how often each row is there.
MANY = 1000


def main() -> None:
    wanted = sys.argv[1:]
    shutil.rmtree(WORK / NAMESPACE, ignore_errors=True)
    spark = Spark(WORK)
    # One file a statement and partition, and one Puffin file.
    spark.session.conf.set("spark.sql.shuffle.partitions", "1")
    # What is kept of equality deletes has the types that the columns had when they were read.
    spark.session.conf.set("spark.sql.iceberg.executor-cache.enabled", "false")
    for name, steps in changed_tables.tables().items():
        if not wanted or name in wanted:
            size = write(spark, name, steps)
            print(f"{name}: {size} bytes", flush=True)
    spark.close()
    shutil.rmtree(WORK, ignore_errors=True)


def write(spark: Spark, name: str, steps: list[Any]) -> int:
    """Makes a table and its fixture; returns how large that is."""
    table = f"{spark.CATALOG}.{NAMESPACE}.`{name}`"
    folder = WORK / NAMESPACE / name
    changed = Changed(spark.session, table, folder)
    snapshots: list[dict[str, Any]] = []
    for step in steps:
        if callable(step):
            step(changed)
        else:
            spark.session.sql(step.replace("{t}", table).replace("{catalog}", spark.CATALOG).replace("{name}", f"{NAMESPACE}.`{name}`"))
        described = PyIceberg().table(str(newest_metadata(folder)))
        snapshot = described.current_snapshot()
        # Not every step makes one.
        if snapshot is not None and (not snapshots or snapshots[-1]["snapshot"] != snapshot.snapshot_id):
            told = {"snapshot": snapshot.snapshot_id, "operation": snapshot.summary.operation.value}
            snapshots.append(told | rows(spark, table, described))
    current = without_dropped_columns(snapshots[-1], described) if name in UNREAD_IN_THE_END else rows(spark, table, described)
    FIXTURES.mkdir(exist_ok=True)
    (FIXTURES / f"{name}.json").write_text(as_json({"snapshots": snapshots, "current": current}))
    files = [path for path in (folder / "data").rglob("*") if path.is_file() and path.name[0] not in "._"]
    archive = FIXTURES / f"{name}.tar.gz"
    archive.write_bytes(packed(folder, [newest_metadata(folder), *(folder / "metadata").glob("*.avro"), *files]))
    return archive.stat().st_size + (FIXTURES / f"{name}.json").stat().st_size


def newest_metadata(folder: Path) -> Path:
    return max((folder / "metadata").glob("v*.metadata.json"), key=lambda path: int(re.sub(r"\D", "", path.name)))


def packed(below: Path, files: list[Path]) -> bytes:
    """A compressed archive that tells nothing of when, where and by whom the files were made."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for file in sorted(files, key=lambda path: (path.suffix, path)):
            entry = tarfile.TarInfo(str(file.relative_to(below)))
            entry.size = file.stat().st_size
            with file.open("rb") as opened:
                archive.addfile(entry, opened)
    return gzip.compress(content.getvalue(), mtime=0)


def rows(spark: Spark, table: str, described: Any) -> dict[str, Any]:
    """The rows as Spark reads them now."""
    frame = spark.session.table(table)
    columns = [(field.name, type_of(field.field_type)) for field in described.schema().fields]
    if frame.columns != [name for name, _ in columns]:
        raise ValueError(f"columns are {frame.columns}, not {columns}")
    # Of before an upgrade to version 3 there are no ids.
    has_lineage = getattr(described.current_snapshot(), "first_row_id", None) is not None
    lineage = [(name, values.LONG) for name in LINEAGE] if has_lineage else []
    found = _collected(spark, frame, columns + lineage)
    if len(found) <= MANY:
        return {"columns": [name for name, _ in columns + lineage], "rows": found}
    distinct = [(row, len(list(equal))) for row, equal in itertools.groupby(_collected(spark, frame, columns))]
    return {"columns": [name for name, _ in columns], "rows": [row for row, _ in distinct], "times": [times for _, times in distinct]}


def without_dropped_columns(snapshot: dict[str, Any], described: Any) -> dict[str, Any]:
    """The rows of the last snapshot by the columns of now, which are all at the same place still."""
    before = described.schemas()[described.current_snapshot().schema_id].fields
    now = described.schema().fields
    kept = [left.field_id == right.field_id for left, right in zip(before, now, strict=True)]
    rows = [[value if is_kept else None for value, is_kept in zip(row, kept, strict=True)] for row in snapshot["rows"]]
    return {"columns": [field.name for field in now], "rows": rows}


def _collected(spark: Spark, frame: Any, columns: list[tuple[str, Any]]) -> list[list[Any]]:
    records = spark.collect(frame, columns)
    return sorted(([values.form(of, value) for (_, of), value in zip(columns, record, strict=True)] for record in records), key=order)


def order(row: list[Any]) -> list[Any]:
    """Values of a column are of one type; NULLs come last."""
    return [(value is None, json.dumps(value) if isinstance(value, (dict, list)) else value) for value in row]


def as_json(expected: dict[str, Any]) -> str:
    """JSON with a row a line."""

    def rows_told(of: dict[str, Any]) -> str:
        rest = json.dumps({name: value for name, value in of.items() if name != "rows"})
        rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in of["rows"])
        return f'{rest[:-1]}, "rows": [\n{rows}\n]}}'

    snapshots = ",\n".join(rows_told(snapshot) for snapshot in expected["snapshots"])
    return f'{{"snapshots": [\n{snapshots}\n],\n"current": {rows_told(expected["current"])}}}\n'


if __name__ == "__main__":
    main()
