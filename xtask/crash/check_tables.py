"""Reads tables for `cargo xtask crash`: a metadata file's path a line in, one JSON array a line out.

Each element says what one engine found: {"engine", "rows", "sum"}, the sum of the column `id` as text,
or {"engine", "error"}.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

from engines import DuckDb, PyIceberg  # noqa: E402


def by_duckdb(engine: DuckDb, metadata: str) -> tuple[int, int]:
    query = "SELECT count(*), coalesce(sum(id), 0) FROM iceberg_scan(?)"
    rows, total = engine.connection.execute(query, [metadata]).fetchone()
    return rows, int(total)


def by_pyiceberg(engine: PyIceberg, metadata: str) -> tuple[int, int]:
    import pyarrow.compute as pc

    found = engine.table(metadata).scan(selected_fields=("id",)).to_arrow()
    return found.num_rows, pc.sum(found.column("id")).as_py() or 0


def answer(name: str, read: Callable[[str], tuple[int, int]], metadata: str) -> dict[str, object]:
    try:
        rows, total = read(metadata)
    except Exception as error:  # noqa: BLE001: whatever an engine raises is its answer
        return {"engine": name, "error": f"{type(error).__name__}: {error}"}
    return {"engine": name, "rows": rows, "sum": str(total)}


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
