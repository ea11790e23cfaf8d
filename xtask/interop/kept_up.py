#!/usr/bin/env python3
"""Tables that iceberg-lite has compacted and whose history it has thinned, read by independent engines.

`iceberg/examples/kept_up.rs` writes them, deletes the files that nothing needs any more, and tells which rows there are and
how many each snapshot has that is left. A file that was deleted although a snapshot needs it, a row that was lost or
came back when files were merged, or a sequence number that lets a delete apply to too much, would be seen here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import values
from written_by_others import example_program, guarded, rows_of

COLUMNS = (("id", "", values.Primitive("long")), ("kind", "", values.Primitive("string")))
UNREAD = {("pyiceberg", "equality_deletes")}


def run(engines: list[Any], report: Any) -> None:
    """Has the tables written, and reads each with all engines."""
    directory = Path(tempfile.mkdtemp(prefix="kept-up-", dir=os.environ.get("PG_LAKEBASE_WORK")))
    try:
        for table in _written(directory):
            before = report.failures
            for engine in engines:
                if (engine.name, table["name"]) in UNREAD:
                    continue
                name = f"kept up, {table['name']}: {engine.name}"
                report.check(name, guarded(lambda e=engine, t=table: _differences(e, t)))
                if engine.name == "pyiceberg":
                    report.check(f"{name}, snapshots", guarded(lambda e=engine, t=table: _history(e, t)))
            state = "ok" if report.failures == before else "NOT OK"
            print(f"{state}: kept up, {table['name']}, {len(table['ids'])} rows, {len(table['snapshots'])} snapshots", flush=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _written(directory: Path) -> list[dict[str, Any]]:
    result = subprocess.run([example_program("kept_up"), directory], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise RuntimeError(f"kept_up failed: {result.stderr.strip()[-1500:]}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def _differences(engine: Any, table: dict[str, Any]) -> list[str]:
    found = sorted((row["id"], row["kind"]) for row in rows_of(engine, table["metadata"], COLUMNS))
    expected = [(values.form(COLUMNS[0][2], id), f"kind {id}" if id % 3 else None) for id in table["ids"]]
    missing = [f"missing: {row}" for row in expected if row not in found]
    return missing + [f"should not be there: {row}" for row in found if row not in expected or found.count(row) > 1]


def _history(engine: Any, table: dict[str, Any]) -> list[str]:
    loaded = engine.table(table["metadata"])
    there = {str(snapshot.snapshot_id) for snapshot in loaded.metadata.snapshots}
    differences = [] if there == set(table["snapshots"]) else [f"snapshots are {sorted(there)}"]
    for snapshot, rows in table["snapshots"].items():
        found = loaded.scan(snapshot_id=int(snapshot)).to_arrow().num_rows
        if found != rows:
            differences.append(f"snapshot {snapshot} has {found} rows, not {rows}")
    return differences
