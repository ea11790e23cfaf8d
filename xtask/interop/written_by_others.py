#!/usr/bin/env python3
"""Tables that Spark and PyIceberg write, read back by iceberg-lite.

Each engine writes tables into a warehouse below a work directory, and with each stands a JSON file
of the rows that the writing engine itself reads from it. `iceberg/examples/dump` is given the
metadata file and prints one JSON object a row, values in the form that `values.py` describes; both
must be the same rows. The other engines read the tables too: a table that only its writer
understands would prove nothing.

By itself: `written_by_others.py DIRECTORY` writes the tables and leaves them there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import values
from engines import DuckDb, PyIceberg, Spark, arrow_values
from others_pyiceberg import write_with_pyiceberg
from others_spark import write_with_spark

REPOSITORY = Path(__file__).resolve().parents[2]


# What an engine reads wrongly or not at all, by the names of engine and table.
UNREAD = {
    ("pyiceberg", "spark_added_files_by_position"),
    ("duckdb", "spark_added_files_by_position"),
    ("pyiceberg", "spark_nan_partitions"),
}


@dataclass(frozen=True)
class Written:
    """A table on disk, and what is in it."""

    name: str
    metadata: str
    columns: tuple[tuple[str, str, Any], ...]
    rows: list[str]


def run(engines: list[Any], report: Any) -> None:
    """Writes with the engines that are there, and reads back with all and with iceberg-lite."""
    directory = Path(tempfile.mkdtemp(prefix="written-", dir=os.environ.get("PG_LAKEBASE_WORK")))
    try:
        written = write(directory, [engine.name for engine in engines])
        dump = example_program("dump")
        for table in written:
            before = report.failures
            for engine in engines:
                if _reads(engine, table):
                    report.check(f"{table.name}: {engine.name}", guarded(lambda e=engine, t=table: _compare(t, _engine_rows(e, t))))
            report.check(f"{table.name}: iceberg-lite", guarded(lambda t=table: _compare(t, _dumped_rows(dump, t))))
            print(f"{'ok' if report.failures == before else 'NOT OK'}: {table.name}, {len(table.rows)} rows", flush=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def write(directory: Path, engines: list[str]) -> list[Written]:
    """Writes all tables below `directory`, with an `expected.json` beside each metadata folder."""
    warehouse = directory / "warehouse"
    warehouse.mkdir(parents=True, exist_ok=True)
    written = []
    if "pyiceberg" in engines:
        for name, metadata in write_with_pyiceberg(warehouse / "pyiceberg"):
            written.append(_described(name, metadata, PyIceberg()))
    if "spark" in engines:
        spark = Spark(warehouse / "spark")
        for name, metadata in write_with_spark(spark):
            written.append(_described(name, metadata, spark))
        # The session is shared with the comparison, which closes it.
    for table in written:
        path = Path(table.metadata).parent.parent / "expected.json"
        path.write_text(json.dumps({"name": table.name, "metadata": table.metadata, "rows": [json.loads(row) for row in table.rows]}, indent=1))
    return written


def _described(name: str, metadata: str, writer: Any) -> Written:
    schema = PyIceberg().table(metadata).schema()
    columns = tuple((field.name, "", type_of(field.field_type)) for field in schema.fields)
    rows = _lines(rows_of(writer, metadata, columns))
    return Written(name, metadata, columns, rows)


def type_of(kind: Any) -> Any:
    """PyIceberg's type as one of `values.py`."""
    from pyiceberg import types

    if isinstance(kind, types.ListType):
        return values.List(type_of(kind.element_type))
    if isinstance(kind, types.MapType):
        return values.Map(type_of(kind.key_type), type_of(kind.value_type))
    if isinstance(kind, types.StructType):
        return values.Struct(tuple((field.name, type_of(field.field_type)) for field in kind.fields))
    if isinstance(kind, types.DecimalType):
        return values.decimal_type(kind.precision, kind.scale)
    if isinstance(kind, types.FixedType):
        return values.BINARY
    return values.Primitive(str(kind))


def rows_of(engine: Any, metadata: str, columns: Any) -> list[dict[str, Any]]:
    """Rows in any order, the same one twice if it is there twice."""
    if isinstance(engine, Spark):
        frame = engine.frame(metadata)
        records = engine.collect(frame, [(name, of) for name, _, of in columns])
    else:
        if isinstance(engine, DuckDb):
            table = engine.connection.execute("SELECT * FROM iceberg_scan(?)", [metadata]).to_arrow_table()
        else:
            table = engine.table(metadata).scan().to_arrow()
        records = zip(*(arrow_values(table.column(name)) for name, _, _ in columns), strict=True)
    return [{name: values.form(of, value) for (name, _, of), value in zip(columns, record, strict=True)} for record in records]


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows)


def _reads(engine: Any, table: Written) -> bool:
    """Spark has no time of day; DuckDB reads the deletion vectors of version 3, but no gzipped metadata file by its path.
    Spark alone reads files by position that have neither field ids nor a name mapping, and PyIceberg does not apply
    deletes in partitions of NaN."""
    if (engine.name, table.name) in UNREAD:
        return False
    texts = " ".join(str(of) for _, _, of in table.columns)
    if isinstance(engine, Spark):
        return "time" not in texts.replace("timestamptz", "").replace("timestamp", "")
    if isinstance(engine, DuckDb):
        return not table.metadata.endswith(".gz.metadata.json")
    return True


def _engine_rows(engine: Any, table: Written) -> list[str]:
    return _lines(rows_of(engine, table.metadata, table.columns))


def example_program(name: str) -> Path:
    """An example of iceberg-lite, built unless a variable such as ICEBERG_LITE_DUMP names a program."""
    variable = f"ICEBERG_LITE_{name.upper()}"
    if variable in os.environ:
        return Path(os.environ[variable])
    command = [os.environ.get("CARGO", "cargo"), "build", "--example", name, "--message-format", "json"]
    # With the packages of the unit tests (`UNIT` in test_all.rs), whose features its dependencies are built with there:
    # alone, it would have all of them built once more.
    for package in ("iceberg-lite", "pg-lakebase-macros", "pg-lakebase-storage", "xtask"):
        command += ["--package", package]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"iceberg/examples/{name} does not build:\n{result.stderr[-3000:]}")
    for line in result.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message.get("target", {}).get("name") == name:
            return Path(message["executable"])
    raise RuntimeError(f"cargo built iceberg/examples/{name} and names no executable")


def _dumped_rows(dump: Path, table: Written) -> list[str]:
    result = subprocess.run([dump, table.metadata], capture_output=True, text=True, encoding="utf-8", check=False)
    if result.returncode != 0:
        raise RuntimeError(f"dump failed: {result.stderr.strip()[-1500:]}")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    names = [name for name, _, _ in table.columns]
    for row in rows:
        if list(row) != names:
            raise ValueError(f"columns are {list(row)}, not {names}")
    return _lines([{name: values.form(of, row[name]) for name, _, of in table.columns} for row in rows])


def _compare(table: Written, found: list[str]) -> list[str]:
    expected = table.rows
    counts = [] if len(expected) == len(found) else [f"{len(found)} rows, not {len(expected)}"]
    missing, surplus = _difference(expected, found), _difference(found, expected)
    return counts + [f"missing: {row[:300]}" for row in missing] + [f"should not be there: {row[:300]}" for row in surplus]


def _difference(of: list[str], without: list[str]) -> list[str]:
    return list((Counter(of) - Counter(without)).elements())


def guarded(work: Any) -> list[str]:
    try:
        return list(work())
    except Exception as error:  # noqa: BLE001 - whatever an engine raises is its answer
        return [f"{type(error).__name__}: {str(error).strip()[:1500]}"]


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    for table in write(target, ["pyiceberg", "spark"]):
        print(f"{table.name}: {len(table.rows)} rows, {table.metadata}")
