#!/usr/bin/env python3
"""Reads Iceberg tables that PostgreSQL has written with independent engines, value by value.

`cargo xtask interop` calls this with a running cluster in PGHOST, PGPORT, PGUSER, PGDATABASE and
PGBIN, Spark's Iceberg jar in ICEBERG_SPARK_JAR, and for tables in an object store the AWS SDK's in
ICEBERG_AWS_JAR. Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import evolution
import kept_up
import postgres
import statistics_check
import written_by_others
from engines import ENGINES, PyIceberg
from tables import SCHEMA, TABLES, TYPES, Table
from values import List, Struct

# How many differences of one table are told.
SHOWN = 5


class Report:
    """Counts what agrees, prints what does not."""

    def __init__(self) -> None:
        self.checks = 0
        self.failures = 0

    def check(self, what: str, differences: Any) -> None:
        self.checks += 1
        found = list(differences)
        if found:
            self.failures += 1
            print(f"not ok: {what}", flush=True)
            for line in found[:SHOWN]:
                print(f"    {line}")
            if len(found) > SHOWN:
                print(f"    and {len(found) - SHOWN} more")


def differences(expected: Any, found: Any) -> Any:
    for key in expected.keys() - found.keys():
        yield f"row {key} is missing"
    for key in found.keys() - expected.keys():
        yield f"row {key} should not be there"
    for key in expected.keys() & found.keys():
        if expected[key] != found[key]:
            for column, value in expected[key].items():
                if found[key][column] != value:
                    yield f"row {key}, column {column}: {_short(value)} in PostgreSQL, {_short(found[key][column])} here"


def as_pyiceberg_reads(rows: Any, columns: Any) -> Any:
    """PyIceberg 0.12 reads a NULL list of structs as an empty one (DuckDB and Spark read NULL): told apart no further."""
    lists = [name for name, _, of in columns if isinstance(of, List) and isinstance(of.element, Struct)]
    return {key: {**row, **{name: row[name] or [] for name in lists}} for key, row in rows.items()} if lists else rows


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else text[:200] + "…"


class Comparison:
    """One table through all its commits."""

    def __init__(self, table: Table, engines: list[Any], report: Report) -> None:
        self.table = table
        self.engines = [engine for engine in engines if engine.name not in table.without]
        self.pyiceberg = next((engine for engine in engines if isinstance(engine, PyIceberg)), None)
        self.report = report
        self.history: dict[int, Any] = {}

    def run(self) -> int:
        postgres.run(self.table.create_statement())
        # Starting a job in Spark takes a second: of many commits it reads the last, and in a store of few as well.
        few = (len(self.table.steps) < 6 or self.table.format_version > 2) and not postgres.TABLESPACE
        self.compare("after CREATE", spark=not postgres.TABLESPACE or not self.table.steps)
        for number, step in enumerate(self.table.steps, 1):
            postgres.run(step)
            last = number == len(self.table.steps)
            if last or self.table.each_commit:
                self.compare(f"after commit {number}", spark=last or few)
            else:
                self.compare_totals(f"after commit {number}")
        self.check_filters()
        if self.pyiceberg:
            version = self.pyiceberg.table(postgres.catalog(self.table.qualified)["metadata_location"]).metadata.format_version
            self.report.check(f"{self.table.name}: format version", _equal(self.table.format_version, version))
        return self.total()

    def seen_by(self, engine: Any, rows: Any) -> Any:
        return as_pyiceberg_reads(rows, self.table.columns) if engine.name == "pyiceberg" else rows

    def total(self) -> int:
        return postgres.query(f"SELECT count(*) AS n FROM {self.table.qualified}")[0]["n"]

    def compare_totals(self, when: str) -> None:
        expected = self.total()
        metadata = postgres.catalog(self.table.qualified)["metadata_location"]
        for engine in self.engines:
            if engine.name == "spark" and postgres.TABLESPACE:
                continue
            self.report.check(f"{self.table.name} {when}: {engine.name}", _guarded(lambda e=engine: _equal(expected, e.total(metadata))))

    def compare(self, when: str, *, spark: bool = True) -> None:
        table = self.table
        expected = postgres.rows(table.qualified, table.columns)
        found = postgres.catalog(table.qualified)
        metadata = found["metadata_location"]
        self.report.check(f"{table.name} {when}: row_count of lakebase.iceberg_tables", _equal(found["row_count"], len(expected)))
        for engine in self.engines:
            if engine.name == "spark" and not spark:
                continue
            self.report.check(f"{table.name} {when}: {engine.name}", _guarded(lambda e=engine: differences(self.seen_by(e, expected), self.seen_by(e, e.rows(metadata, table.columns)))))
        if self.pyiceberg:
            loaded = self.pyiceberg.table(metadata)
            self.report.check(f"{table.name} {when}: manifests", _guarded(lambda: statistics_check.check(loaded, len(expected))))
            self.report.check(f"{table.name} {when}: schema", _guarded(lambda: _schema_differences(loaded, table)))
            self.check_history(loaded, metadata, found["snapshot_id"], expected, when)

    def check_history(self, loaded: Any, metadata: str, current: int | None, expected: Any, when: str) -> None:
        """Every snapshot that the metadata still names holds the rows that it held when it was current."""
        if current is not None:
            self.history[int(current)] = expected
        if self.pyiceberg.name in self.table.without:
            return
        snapshots = {snapshot.snapshot_id for snapshot in loaded.metadata.snapshots}
        if len(expected) > 10_000:
            snapshots = {current} if current is not None else set()
        for snapshot in snapshots & self.history.keys():
            self.report.check(
                f"{self.table.name} {when}: snapshot {snapshot}",
                _guarded(lambda s=snapshot: differences(self.seen_by(self.pyiceberg, self.history[s]), self.seen_by(self.pyiceberg, self.pyiceberg.rows_of_snapshot(metadata, s, self.table.columns)))),
            )

    def check_filters(self) -> None:
        """Filters are answered by the statistics in part: too narrow bounds lose rows."""
        metadata = postgres.catalog(self.table.qualified)["metadata_location"]
        for condition in self.table.filters:
            expected = postgres.query(f"SELECT count(*) AS n FROM {self.table.qualified} WHERE {condition[0]}")[0]["n"]
            for engine in self.engines:
                def compare(engine: Any = engine, condition: Any = condition, expected: int = expected) -> Any:
                    count = engine.count(metadata, condition)
                    return _equal(expected, count) if count is not None else []

                self.report.check(f"{self.table.name} where {condition[0]}: {engine.name}", _guarded(compare))


def _schema_differences(loaded: Any, table: Table) -> Any:
    for field, (name, _, of) in zip(loaded.schema().fields, table.columns, strict=True):
        found = _type_text(field.field_type)
        if field.name != name or found != str(of):
            yield f"column {name} {of} is {field.name} {found} in the metadata"
    if not 2 <= loaded.metadata.format_version <= table.format_version:
        yield f"format version is {loaded.metadata.format_version}"


def _type_text(kind: Any) -> str:
    from pyiceberg.types import ListType, StructType

    if isinstance(kind, ListType):
        return f"list<{_type_text(kind.element_type)}>"
    if isinstance(kind, StructType):
        return "struct<" + ", ".join(f"{field.name}: {_type_text(field.field_type)}" for field in kind.fields) + ">"
    return str(kind)


def _equal(expected: Any, found: Any) -> list[str]:
    return [] if expected == found else [f"{expected} in PostgreSQL, {found} here"]


def _guarded(work: Any) -> list[str]:
    """An engine that raises has not read the table, which is a difference like another."""
    try:
        return list(work())
    except Exception as error:  # noqa: BLE001 - whatever an engine raises is its answer
        return [f"{type(error).__name__}: {str(error).strip()[:1500]}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", default=",".join(ENGINES), help="comma-separated, of " + ", ".join(ENGINES))
    parser.add_argument("--tables", default="", help="comma-separated; all by default")
    parser.add_argument("--evolve", action="store_true", help="only random histories of columns")
    parser.add_argument("--seed", type=int, default=1, help="of the histories of columns")
    parser.add_argument("--steps", type=int, default=15, help="of each history of columns")
    arguments = parser.parse_args()
    engines = [ENGINES[name]() for name in arguments.engines.split(",")]
    wanted = set(filter(None, arguments.tables.split(",")))
    report = Report()
    try:
        for engine in engines:
            print(f"{engine.name} {engine.version()}", flush=True)
        postgres.run(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA};" + TYPES)
        # Heap tables, which are the twins of these, cannot lie in a store.
        if not postgres.TABLESPACE and (arguments.evolve or not wanted):
            evolution.run(engines, report, differences, _guarded, arguments.seed, arguments.steps)
        for table in [] if arguments.evolve else TABLES:
            if wanted and table.name not in wanted:
                continue
            if postgres.TABLESPACE and table.is_heap_at_times:
                # Heap tables cannot lie there.
                continue
            begun = time.monotonic()
            before = report.failures
            try:
                rows = Comparison(table, engines, report).run()
            except postgres.PostgresError as error:
                report.check(f"{table.name}: PostgreSQL", [str(error)])
                continue
            state = "ok" if report.failures == before else "NOT OK"
            print(f"{state}: {table.name}, {rows} rows, {len(table.steps)} commits, {time.monotonic() - begun:.1f} s", flush=True)
        if not wanted and not arguments.evolve and not postgres.TABLESPACE:
            written_by_others.run(engines, report)
            kept_up.run(engines, report)
    finally:
        for engine in engines:
            engine.close()
    print(f"{report.checks} checks, {report.failures} failed")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
