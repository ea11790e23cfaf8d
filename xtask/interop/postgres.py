"""PostgreSQL through psql: statements, and a table's rows in the common form."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from values import former

PSQL = str(Path(os.environ["PGBIN"]) / "psql") if "PGBIN" in os.environ else "psql"

# Where tables are to lie, if that is an object store; LAKEBASE_S3_... say how engines come by it.
TABLESPACE = os.environ.get("LAKEBASE_TABLESPACE")


class PostgresError(Exception):
    """A statement failed; the text is what psql printed."""


def run(sql: str) -> str:
    """Runs statements, each in a transaction of its own unless they say otherwise."""
    options = "-c client_min_messages=warning -c intervalstyle=iso_8601"
    if TABLESPACE:
        options += f" -c default_tablespace={TABLESPACE}"
    environment = dict(os.environ, PGOPTIONS=options, PGTZ="UTC")
    result = subprocess.run(
        [PSQL, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"],
        input=sql,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=environment,
        check=False,
    )
    if result.returncode != 0:
        raise PostgresError(f"{result.stderr.strip()}\nin: {sql.strip()[:2000]}")
    return result.stdout


def query(sql: str) -> list[Any]:
    """The rows of a query, each as json makes it."""
    text = run(f"SELECT row_to_json(q) FROM ({sql}) q;")
    return [json.loads(line, parse_float=str, parse_int=_integer) for line in text.splitlines()]


def _integer(text: str) -> Any:
    # Python has no negative zero among integers, and PostgreSQL prints the float so.
    return text if text == "-0" else int(text)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def rows(table: str, columns: tuple[tuple[str, str, Any], ...]) -> dict[Any, dict[str, Any]]:
    """All rows of `table` by their first column."""
    expressions = ", ".join(f"{_expression(name, sql_type)} AS {quoted(name)}" for name, sql_type, _ in columns)
    result: dict[Any, dict[str, Any]] = {}
    formers = [(name, former(of)) for name, _, of in columns]
    for row in query(f"SELECT {expressions} FROM {table}"):
        forms = {name: form(row[name]) for name, form in formers}
        key = forms[columns[0][0]]
        if key in result:
            raise ValueError(f"{table} has key {key} twice")
        result[key] = forms
    return result


def _expression(name: str, sql_type: str) -> str:
    # As text: inside of json they would be objects of their own.
    if sql_type in ("json", "jsonb"):
        return f"{quoted(name)}::text"
    if sql_type in ("json[]", "jsonb[]"):
        return f"{quoted(name)}::text[]"
    # And this would be text.
    if sql_type == "oid":
        return f"{quoted(name)}::bigint"
    return quoted(name)


def catalog(table: str) -> dict[str, Any]:
    """The row of lakebase.iceberg_tables for `table`, once all that is committed is in the metadata."""
    query(f"SELECT lakebase.publish('{table}'::regclass)")
    found = query(
        "SELECT location, metadata_location, snapshot_id, row_count, file_count, total_bytes "
        f"FROM lakebase.iceberg_tables WHERE relation = '{table}'::regclass"
    )
    if len(found) != 1:
        raise ValueError(f"lakebase.iceberg_tables has {len(found)} rows for {table}")
    return found[0]
