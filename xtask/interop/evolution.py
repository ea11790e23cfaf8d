"""Random histories of a table whose columns come, go and change, read after each step by independent engines.

Each statement runs on an Iceberg table and on a heap table, in one transaction with others at times; what PostgreSQL answers
and the rows must be the same, and so must what the engines read with the columns as they are then.
"""

from __future__ import annotations

import random
from typing import Any

import postgres
from tables import SCHEMA
from values import BINARY, BOOLEAN, DATE, DOUBLE, FLOAT, INT, LONG, STRING, TIMESTAMP, TIMESTAMPTZ, UUID, List, decimal_type

# SQL types, what they are to Iceberg, and literals.
KINDS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "boolean": (BOOLEAN, ("true", "false")),
    "smallint": (INT, ("-32768", "7")),
    "int": (INT, ("-1", "2147483647", "0")),
    "bigint": (LONG, ("-9223372036854775808", "5000000000", "1")),
    "real": (FLOAT, ("0.1", "-1.5", "'NaN'")),
    "double precision": (DOUBLE, ("0.1", "-1e300", "'Infinity'")),
    "numeric(9,2)": (decimal_type(9, 2), ("-1.25", "9999999.99")),
    "numeric(18,2)": (decimal_type(18, 2), ("1234567890123456.78", "0")),
    "numeric(12,4)": (decimal_type(12, 4), ("1.2345", "-99999999.9999")),
    "varchar(20)": (STRING, ("'short'", "''")),
    "text": (STRING, ("'é \"quoted\"'", "'text'")),
    "bytea": (BINARY, ("'\\x00ff'", "'\\x'")),
    "date": (DATE, ("'1969-12-31'", "'2024-02-29'")),
    "timestamp": (TIMESTAMP, ("'1969-12-31 23:59:59.999999'", "'2024-02-29 12:00'")),
    "timestamptz": (TIMESTAMPTZ, ("'2024-02-29 12:00+02'", "'1969-12-31 23:59:59.999999+00'")),
    "uuid": (UUID, ("'f79c3e09-677c-4bbd-a479-3f349cb785e7'",)),
    "int[]": (List(INT), ("'{1,NULL,3}'", "'{}'")),
}
# What a column may become, without its rows being written anew and with that.
RETYPED = {
    "smallint": ("int", "bigint"),
    "int": ("bigint", "text"),
    "real": ("double precision",),
    "numeric(9,2)": ("numeric(18,2)", "numeric(12,4)"),
    "varchar(20)": ("text",),
    "timestamp": ("timestamptz",),
    "date": ("timestamp",),
    "bigint": ("text", "numeric(18,2)"),
}
NAMES = ("a", "b", "c", "d", "e", "f")


class History:
    """A table and its heap twin, and the columns that they have."""

    def __init__(self, version: int, seed: int) -> None:
        self.random = random.Random(f"{seed} {version}")
        self.name = f"{SCHEMA}.evolved_{version}_{seed}"
        self.columns: dict[str, str] = {"id": "int"}
        self.next_id = 1
        postgres.run(
            f"CREATE TABLE {self.name} (id int) USING iceberg WITH (format_version = {version}); "
            f"CREATE TABLE {self.name}_heap (id int) USING heap;"
        )

    def described(self) -> tuple[tuple[str, str, Any], ...]:
        return tuple((name, kind, KINDS[kind][0]) for name, kind in self.columns.items())

    def literal(self, kind: str) -> str:
        return self.random.choice((*KINDS[kind][1], "NULL"))

    def step(self) -> str:
        """Some statements on both, of which some may fail; says what they were."""
        statements = [self.statement() for _ in range(self.random.choice((1, 1, 2, 3)))]
        text = "; ".join(statements)
        outcomes = []
        for name in (self.name, f"{self.name}_heap"):
            try:
                postgres.run("BEGIN; " + text.replace("TABLE_", name) + "; COMMIT;")
                outcomes.append("")
            except postgres.PostgresError as error:
                outcomes.append(str(error).split("\n", maxsplit=1)[0].replace(name, "TABLE_").replace(name.partition(".")[2], "TABLE_"))
        if outcomes[0] != outcomes[1]:
            raise postgres.PostgresError(f"heap: {outcomes[1] or 'no error'}, Iceberg: {outcomes[0] or 'no error'}\nin: {text}")
        if outcomes[0]:
            self.columns = self.columns_now()
        return text

    def columns_now(self) -> dict[str, str]:
        found = postgres.query(
            "SELECT attname, format_type(atttypid, atttypmod) AS kind FROM pg_attribute "
            f"WHERE attrelid = '{self.name}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
        named = {"integer": "int", "integer[]": "int[]", "character varying(20)": "varchar(20)"}
        named |= {"timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz"}
        return {row["attname"]: named.get(row["kind"], row["kind"]) for row in found}

    def statement(self) -> str:
        others = [name for name in self.columns if name != "id"]
        free = [name for name in NAMES if name not in self.columns]
        choice = self.random.choice(("insert", "insert", "insert", "update", "delete", "add", "add", "default", "default", "drop", "rename", "retype", "retype"))
        if choice in ("add", "default") and free:
            name, kind = self.random.choice(free), self.random.choice(list(KINDS))
            self.columns[name] = kind
            default = f" DEFAULT {self.random.choice(KINDS[kind][1])}" if choice == "default" else ""
            return f"ALTER TABLE TABLE_ ADD COLUMN {name} {kind}{default}"
        if choice == "drop" and others:
            name = self.random.choice(others)
            del self.columns[name]
            return f"ALTER TABLE TABLE_ DROP COLUMN {name}"
        if choice == "rename" and others and free:
            old, new = self.random.choice(others), self.random.choice(free)
            self.columns = {new if name == old else name: kind for name, kind in self.columns.items()}
            return f"ALTER TABLE TABLE_ RENAME COLUMN {old} TO {new}"
        if choice == "retype" and (fit := [name for name in others if self.columns[name] in RETYPED]):
            name = self.random.choice(fit)
            self.columns[name] = self.random.choice(RETYPED[self.columns[name]])
            return f"ALTER TABLE TABLE_ ALTER COLUMN {name} DROP DEFAULT, ALTER COLUMN {name} TYPE {self.columns[name]}"
        if choice == "update" and others:
            name = self.random.choice(others)
            return f"UPDATE TABLE_ SET {name} = {self.literal(self.columns[name])} WHERE id % 3 = {self.random.randrange(3)}"
        if choice == "delete":
            return f"DELETE FROM TABLE_ WHERE id % 7 = {self.random.randrange(7)}"
        # Columns that are left out get their defaults.
        given = ["id", *(name for name in others if self.random.random() < 0.7)]
        values = [f"id + {self.next_id}", *(self.literal(self.columns[name]) for name in given[1:])]
        self.next_id += 5
        return f"INSERT INTO TABLE_ ({', '.join(given)}) SELECT {', '.join(values)} FROM generate_series(0, 4) id"


def run(engines: list[Any], report: Any, differences: Any, guarded: Any, seed: int, steps: int) -> None:
    """A history of so many steps for each version of the format."""
    for version in (2, 3):
        before = report.failures
        history = History(version, seed)
        for number in range(1, steps + 1):
            what = f"evolution, version {version}, seed {seed}, step {number}"
            try:
                text = history.step()
            except postgres.PostgresError as error:
                report.check(f"{what}: PostgreSQL", [str(error)])
                break
            if history.random.random() < 0.15:
                postgres.query(f"SELECT lakebase.compact('{history.name}'::regclass)")
            columns = history.described()
            expected = postgres.rows(f"{history.name}_heap", columns)
            report.check(f"{what}: PostgreSQL after {text}", differences(expected, postgres.rows(history.name, columns)))
            metadata = postgres.catalog(history.name)["metadata_location"]
            for engine in engines:
                # Starting a job in Spark takes a second.
                if engine.name != "spark" or number % 5 == 0 or number == steps:
                    report.check(f"{what}: {engine.name} after {text}", guarded(lambda e=engine, m=metadata, c=columns, x=expected: differences(x, e.rows(m, c))))
        state = "ok" if report.failures == before else "NOT OK"
        print(f"{state}: evolution, version {version}, seed {seed}, {steps} steps", flush=True)
