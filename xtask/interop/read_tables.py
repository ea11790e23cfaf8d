"""Reads tables for `cargo xtask crash` and `cargo xtask soak`: a metadata file's path a line in, one JSON array
a line out.

Each element says what one engine found: {"engine", "rows", "sum"}, the sum of the column `id` as text, and
from PyIceberg "manifests", how many the current snapshot has; or {"engine", "error"}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from engines import DuckDb, PyIceberg

Answer = dict[str, object]


def by_duckdb(engine: DuckDb, metadata: str) -> Answer:
    query = "SELECT count(*), coalesce(sum(id), 0) FROM iceberg_scan(?)"
    rows, total = engine.connection.execute(query, [metadata]).fetchone()
    return {"rows": rows, "sum": str(int(total))}


def by_pyiceberg(engine: PyIceberg, metadata: str) -> Answer:
    import pyarrow.compute as pc

    table = engine.table(metadata)
    snapshot = table.current_snapshot()
    manifests = len(snapshot.manifests(table.io)) if snapshot else 0
    found = table.scan(selected_fields=("id",)).to_arrow()
    total = pc.sum(found.column("id")).as_py() or 0
    return {"rows": found.num_rows, "sum": str(total), "manifests": manifests}


def answer(name: str, read: Callable[[str], Answer], metadata: str) -> Answer:
    try:
        return {"engine": name} | read(metadata)
    except Exception as error:  # noqa: BLE001: whatever an engine raises is its answer
        return {"engine": name, "error": f"{type(error).__name__}: {error}"}


def main() -> None:
    duckdb, pyiceberg = DuckDb(), PyIceberg()
    # Only answers go to standard output.
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        metadata = line.rstrip("\n")
        found = [
            answer("duckdb", lambda path: by_duckdb(duckdb, path), metadata),
            answer("pyiceberg", lambda path: by_pyiceberg(pyiceberg, path), metadata),
        ]
        print(json.dumps(found), file=answers, flush=True)
    duckdb.close()


if __name__ == "__main__":
    main()
