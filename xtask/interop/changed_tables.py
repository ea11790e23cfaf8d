"""Tables that Spark deletes from, updates, merges into, evolves and compacts: what our readers must understand.

Each table is a list of steps: statements, in which `{t}` is the table, and functions of a `Changed` table for what
Spark has no statement for.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from typing import Any

from row_delta import Changed, Data, Deletes

Step = str | Callable[[Changed], None]

COLUMNS = "id INT, k INT, s STRING, n DECIMAL(9, 2)"


def tables() -> dict[str, list[Step]]:
    """The steps that make each table, by its name."""
    return {
        "v2-positions-by-file": _changes(2, granularity="file"),
        "v2-positions-by-partition": _changes(2, granularity="partition"),
        "v2-copy-on-write": _changes(2, mode="copy-on-write"),
        "v2-partition-evolution": _partition_evolution(2),
        "v2-schema-evolution": _schema_evolution(2),
        "v2-compacted": _compacted(2),
        "v2-from-v1": _from_version_1(),
        "v2-avro-deletes": _avro_deletes(),
        "v3-vectors": _changes(3),
        "v3-copy-on-write": _changes(3, mode="copy-on-write"),
        "v3-upgraded": _upgraded(),
        "v3-partition-evolution": _partition_evolution(3),
        "v3-schema-evolution": _schema_evolution(3),
        "v3-compacted": _compacted(3),
        "v3-long-vectors": _long_vectors(),
        "v2-equality": _equality(2),
        "v2-equality-partitions": _equality_partitions(),
        "v2-equality-types": _equality_types(),
        "v2-equality-nested": _equality_nested(),
        "v2-equality-evolution": _equality_evolution(),
        "v2-equality-dropped": _equality_dropped(),
        "v2-equality-added-files": _equality_added_files(),
        "v3-equality": _equality(3),
        "v3-equality-default": _equality_default(),
    }


def create(version: int, columns: str, by: str = "", mode: str = "merge-on-read", granularity: str = "file", **properties: str) -> str:
    """The statement that makes a table."""
    options = {"format-version": str(version), "write.delete.granularity": granularity}
    options |= {f"write.{what}.mode": mode for what in ("delete", "update", "merge")}
    # Bounds of whole values.
    options |= {"write.parquet.compression-codec": "zstd", "write.metadata.metrics.default": "full"}
    options |= {name.replace("_", "."): value for name, value in properties.items()}
    listed = ", ".join(f"'{name}' = '{value}'" for name, value in options.items())
    partitioned = f"PARTITIONED BY ({by})" if by else ""
    return f"CREATE TABLE {{t}} ({columns}) USING iceberg {partitioned} TBLPROPERTIES ({listed})"


def rows(first: int, last: int) -> str:
    """Rows for `COLUMNS`; some have NULL for `k`, others for `s`."""
    return (
        f"SELECT CAST(id AS INT) AS id, CAST(if(id % 8 = 7, NULL, id % 3) AS INT) AS k, if(id % 10 = 9, NULL, concat('row ', id)) AS s, "
        f"CAST(id * 1.25 AS DECIMAL(9, 2)) AS n FROM range({first}, {last}, 1, 1)"
    )


def insert(first: int, last: int) -> str:
    return f"INSERT INTO {{t}} {rows(first, last)}"


def merge(first: int, last: int) -> str:
    """Of the rows that are there, deletes some and updates the others; inserts those that are not there."""
    return (
        f"MERGE INTO {{t}} t USING (SELECT CAST(id AS INT) AS id FROM range({first}, {last}, 1, 1)) o ON t.id = o.id "
        "WHEN MATCHED AND t.id % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET s = concat('merged ', t.id) "
        "WHEN NOT MATCHED THEN INSERT (id, k, s, n) VALUES (o.id, 1, 'from merge', 0.5)"
    )


def _changes(version: int, **how: str) -> list[Step]:
    """The deletes of one statement are in several files of several partitions; later ones are in files that have
    deletes, and one takes a whole partition away, with its deletes."""
    return [
        create(version, COLUMNS, by="k", **how),
        insert(0, 24),
        insert(24, 36),
        "DELETE FROM {t} WHERE id % 5 = 2",
        "UPDATE {t} SET s = 'updated', n = n + 1 WHERE id % 7 = 3",
        "DELETE FROM {t} WHERE id % 4 = 1",
        merge(30, 40),
        "DELETE FROM {t} WHERE k = 2",
    ]


def _upgraded() -> list[Step]:
    """Position delete files of two data files each; later vectors hold what they say of some of these, and they go on to
    hold for the others."""
    return [
        create(2, COLUMNS, by="k", granularity="partition"),
        insert(0, 24),
        insert(24, 36),
        "DELETE FROM {t} WHERE id % 5 = 2",
        "ALTER TABLE {t} SET TBLPROPERTIES ('format-version' = '3')",
        "DELETE FROM {t} WHERE id BETWEEN 5 AND 10",
        insert(36, 42),
        "DELETE FROM {t} WHERE id IN (11, 24, 40)",
        merge(26, 46),
    ]


def _partition_evolution(version: int) -> list[Step]:
    """Each change is in files of all specs that there are by then."""
    return [
        create(version, COLUMNS, granularity="partition"),
        insert(0, 10),
        "ALTER TABLE {t} ADD PARTITION FIELD k",
        insert(10, 20),
        "DELETE FROM {t} WHERE id % 5 = 2",
        "ALTER TABLE {t} REPLACE PARTITION FIELD k WITH bucket(2, id) AS shard",
        insert(20, 30),
        "UPDATE {t} SET s = 'updated' WHERE id % 5 = 3",
        "ALTER TABLE {t} DROP PARTITION FIELD shard",
        "DELETE FROM {t} WHERE id % 4 = 1",
    ]


def _schema_evolution(version: int) -> list[Step]:
    return [
        create(version, "id INT, gone STRING, k INT, s STRING, p STRUCT<x: INT, y: STRING>"),
        "INSERT INTO {t} SELECT CAST(id AS INT), concat('gone ', id), CAST(id % 3 AS INT), concat('row ', id), named_struct('x', CAST(id AS INT), 'y', 'y') FROM range(0, 10, 1, 1)",
        "DELETE FROM {t} WHERE id % 5 = 2",
        "ALTER TABLE {t} ADD COLUMN added INT",
        "UPDATE {t} SET added = id * 10 WHERE id % 4 = 1",
        "ALTER TABLE {t} RENAME COLUMN s TO renamed",
        "ALTER TABLE {t} DROP COLUMN gone",
        "ALTER TABLE {t} ALTER COLUMN k TYPE BIGINT",
        "INSERT INTO {t} SELECT CAST(id AS INT), CAST(id * 10000000000 AS BIGINT), concat('row ', id), NULL, 7 FROM range(10, 16, 1, 1)",
        "DELETE FROM {t} WHERE added IS NULL AND renamed IN ('row 3', 'row 4') OR k = 120000000000",
        "ALTER TABLE {t} ADD COLUMN gone INT",
        "ALTER TABLE {t} ADD COLUMN p.z STRING",
        "ALTER TABLE {t} ALTER COLUMN renamed FIRST",
        "UPDATE {t} SET gone = 1 WHERE id = 6 OR id = 14",
        "ALTER TABLE {t} DROP COLUMN added",
    ]


def _compacted(version: int) -> list[Step]:
    """Data files are rewritten without what was deleted of them, then again some rows are changed."""
    rewrite = "CALL {catalog}.system.rewrite_data_files(table => '{name}', options => map('rewrite-all', 'true'))"
    # Version 3 has no position delete files to be rewritten.
    positions = ["CALL {catalog}.system.rewrite_position_delete_files(table => '{name}', options => map('rewrite-all', 'true'))"] if version == 2 else []
    return [
        create(version, COLUMNS),
        insert(0, 12),
        insert(12, 24),
        "DELETE FROM {t} WHERE id % 5 = 2",
        *positions,
        "UPDATE {t} SET s = 'updated' WHERE id % 7 = 3",
        rewrite,
        "UPDATE {t} SET s = 'updated again' WHERE id % 7 = 4",
        insert(24, 28),
        "DELETE FROM {t} WHERE id % 4 = 1",
        "CALL {catalog}.system.rewrite_manifests('{name}')",
    ]


def _from_version_1() -> list[Step]:
    """Deletes hold for data files of before there were sequence numbers; names of partitions have to be escaped in paths."""
    names = ("a/b = 0%", "ü 1")
    of_range = f"SELECT CAST(id AS INT), CAST(id % 3 AS INT), if(id % 2 = 0, '{names[0]}', '{names[1]}') FROM range({{}}, {{}}, 1, 1)"
    return [
        create(1, "id INT, k INT, s STRING", by="s", granularity="partition"),
        f"INSERT INTO {{t}} {of_range.format(0, 10)}",
        "ALTER TABLE {t} SET TBLPROPERTIES ('format-version' = '2')",
        f"INSERT INTO {{t}} {of_range.format(10, 16)}",
        "DELETE FROM {t} WHERE id % 5 = 2",
        lambda t: t.commit(equal=[Deletes(("k",), [{"k": 0}], partition={"s": names[1]})]),
        f"INSERT INTO {{t}} {of_range.format(16, 20)}",
    ]


def _avro_deletes() -> list[Step]:
    return [create(2, COLUMNS, write_delete_format_default="avro"), insert(0, 10), "DELETE FROM {t} WHERE id % 5 = 2"]


def _long_vectors() -> list[Step]:
    """Vectors with containers of all three kinds, one for each 65,536 rows: a bitmap of many that are apart, runs, and an
    array of few. Values repeat, so that the file is small."""
    of_range = "SELECT CAST(floor(id / 4000) AS INT) AS block, CAST(id % 4 AS INT) AS r FROM range(0, 140000, 1, 1)"
    return [
        create(3, "block INT, r INT"),
        f"INSERT INTO {{t}} {of_range}",
        "DELETE FROM {t} WHERE block < 8 AND r = 1 OR block BETWEEN 20 AND 26 OR block = 34 AND r = 3",
        "DELETE FROM {t} WHERE block BETWEEN 5 AND 6 OR block BETWEEN 18 AND 28",
    ]


def _equality(version: int) -> list[Step]:
    """As streams of changes write them: what a commit says of a row holds for what was there before it, not for what it
    inserts; what it inserts twice is deleted by position."""

    def of_keys(*ids: int) -> Deletes:
        return Deletes(("id",), [{"id": n} for n in ids])

    return [
        create(version, "id INT, k INT, s STRING"),
        "INSERT INTO {t} SELECT CAST(id AS INT), CAST(if(id % 4 = 3, NULL, id % 4) AS INT), if(id % 5 = 4, NULL, concat('row ', id)) FROM range(0, 12, 1, 1)",
        lambda t: t.commit(
            equal=[of_keys(1, 2, 100)],
            data=[Data([{"id": 1, "k": 1, "s": "first"}, {"id": 1, "k": 1, "s": "second"}, {"id": 100, "k": None, "s": "new"}], deleted_positions=() if version == 3 else (0,))],
        ),
        # NULL is equal to NULL.
        lambda t: t.commit(equal=[Deletes(("k", "s"), [{"k": 0, "s": None}, {"k": None, "s": None}, {"k": None, "s": "row 3"}, {"k": 2, "s": "row 5"}])]),
        "DELETE FROM {t} WHERE id IN (0, 8, 11)",
        lambda t: t.commit(equal=[Deletes(("k",), [{"k": None}]), of_keys(6)], data=[Data([{"id": 6, "k": None, "s": None}])]),
        "INSERT INTO {t} VALUES (0, NULL, 'again'), (2, 2, 'again')",
        # The file has whole rows, of which the key alone is compared.
        lambda t: t.commit(equal=[Deletes(("id",), [{"id": 5, "k": 0, "s": "row 0"}, {"id": 9, "k": None, "s": None}], stored=("id", "k", "s"))]),
    ]


def _equality_partitions() -> list[Step]:
    """Deletes of an unpartitioned spec hold in all partitions of all specs; those of a partition hold in it, in that spec."""
    rows = "SELECT CAST(id AS INT), CAST(id % 2 AS INT), concat('row ', id % 5) FROM range({}, {}, 1, 1)"

    def by_text(text: str, **where: Any) -> Deletes:
        return Deletes(("s",), [{"s": text}], **where)

    return [
        create(2, "id INT, k INT, s STRING"),
        f"INSERT INTO {{t}} {rows.format(0, 10)}",
        "ALTER TABLE {t} ADD PARTITION FIELD k",
        f"INSERT INTO {{t}} {rows.format(10, 20)}",
        lambda t: t.commit(equal=[by_text("row 1", partition={"k": 1})]),
        lambda t: t.commit(equal=[by_text("row 2", spec=0)]),
        "ALTER TABLE {t} REPLACE PARTITION FIELD k WITH bucket(2, id) AS shard",
        f"INSERT INTO {{t}} {rows.format(20, 30)}",
        lambda t: t.commit(equal=[by_text("row 3", partition={"k": 0}, spec=1), by_text("row 4", partition={"id": 23}), by_text("row 2", spec=0)]),
        f"INSERT INTO {{t}} {rows.format(30, 35)}",
        "DELETE FROM {t} WHERE id IN (5, 15, 25)",
    ]


def _equality_types() -> list[Step]:
    """An equality delete file for each type of column, by a value that one row has there and, but for every second
    column, by NULL, which another has; then one by all of these columns."""
    values = {
        "b": (True, False),
        "l": (2**40, -(2**40)),
        "n": (decimal.Decimal("-1.25"), decimal.Decimal("99.00")),
        "big": (decimal.Decimal("12345678901234567890.1234567890"), decimal.Decimal("-0.0000000001")),
        "dt": (datetime.date(1969, 12, 31), datetime.date(2024, 2, 29)),
        "ts": (datetime.datetime(1969, 12, 31, 23, 59, 59, 999999), datetime.datetime(2024, 2, 29, 23, 59, 59, 999999)),
        "s": ("größe 表 😀", ""),
        "y": (b"", b"\x00\xff"),
    }
    places = {name: place for place, name in enumerate(values)}

    def row(n: int) -> dict[str, Any]:
        """The first half has one column's rare value each, the second half one NULL; the last row is as most are."""
        return {"id": n} | {name: rare if n == places[name] else None if n == 8 + places[name] else common for name, (rare, common) in values.items()}

    def by(name: str, rare: Any) -> Deletes:
        return Deletes((name,), [{name: rare}, *([{name: None}] if places[name] % 2 == 0 else [])])

    by_all = Deletes(tuple(values), [{name: row(n)[name] for name in values} for n in (9, 16)])
    return [
        create(2, "id INT, b BOOLEAN, l BIGINT, n DECIMAL(5, 2), big DECIMAL(38, 10), dt DATE, ts TIMESTAMP_NTZ, s STRING, y BINARY"),
        lambda t: t.commit(data=[Data([row(n) for n in range(17)])]),
        lambda t: t.commit(equal=[by(name, rare) for name, (rare, _) in values.items()]),
        lambda t: t.commit(equal=[by_all]),
    ]


def _equality_nested() -> list[Step]:
    return [
        create(2, "id INT, p STRUCT<x: INT, q: STRUCT<y: STRING>>"),
        "INSERT INTO {t} SELECT CAST(id AS INT), if(id = 5, NULL, named_struct('x', CAST(id % 4 AS INT), 'q', named_struct('y', if(id % 3 = 1, NULL, concat('y ', id))))) FROM range(0, 10, 1, 1)",
        lambda t: t.commit(equal=[Deletes(("p.x",), [{"p": {"x": 2}}])]),
        lambda t: t.commit(equal=[Deletes(("p.q.y", "id"), [{"id": 3, "p": {"q": {"y": "y 3"}}}, {"id": 4, "p": {"q": {"y": None}}}, {"id": 8, "p": {"q": {"y": "y 9"}}}])]),
    ]


def _equality_evolution() -> list[Step]:
    """The columns that rows are deleted by are renamed, widened and added."""
    return [
        create(2, "id INT, k INT, s STRING"),
        "INSERT INTO {t} SELECT CAST(id AS INT), CAST(id % 3 AS INT), concat('row ', id) FROM range(0, 12, 1, 1)",
        lambda t: t.commit(equal=[Deletes(("k", "s"), [{"k": 0, "s": "row 3"}])]),
        "ALTER TABLE {t} ALTER COLUMN k TYPE BIGINT",
        "ALTER TABLE {t} RENAME COLUMN s TO renamed",
        "INSERT INTO {t} SELECT CAST(id AS INT), CAST(id * 1000000000 AS BIGINT), concat('row ', id) FROM range(12, 18, 1, 1)",
        lambda t: t.commit(equal=[Deletes(("k",), [{"k": 13 * 10**9}]), Deletes(("renamed",), [{"renamed": "row 5"}, {"renamed": "row 14"}])]),
        "ALTER TABLE {t} ADD COLUMN added INT",
        "INSERT INTO {t} VALUES (20, 1, 'row 20', 1), (21, 1, 'row 21', NULL)",
        # Rows from before the column have NULL.
        lambda t: t.commit(equal=[Deletes(("added", "id"), [{"added": None, "id": 10}, {"added": None, "id": 21}, {"added": 2, "id": 20}])]),
    ]


def _equality_dropped() -> list[Step]:
    """The columns that rows are deleted by are dropped, and one of the same name is added."""
    return [
        create(2, "id INT, k INT, gone STRING"),
        "INSERT INTO {t} SELECT CAST(id AS INT), CAST(id % 3 AS INT), concat('gone ', id % 5) FROM range(0, 12, 1, 1)",
        lambda t: t.commit(equal=[Deletes(("gone",), [{"gone": "gone 1"}]), Deletes(("k", "gone"), [{"k": 0, "gone": "gone 3"}])]),
        "INSERT INTO {t} VALUES (12, 0, 'gone 1')",
        "ALTER TABLE {t} DROP COLUMN gone",
        "ALTER TABLE {t} ADD COLUMN gone STRING",
    ]


def _equality_added_files() -> list[Step]:
    """Data files without field ids, and without the column that they were partitioned by."""

    def add_files(t: Changed) -> None:
        files = str(t.folder / "data/added")
        rows = t.session.sql("SELECT CAST(id AS INT) AS id, concat('row ', id) AS s, CAST(id % 2 AS INT) AS k FROM range(0, 10, 1, 1)")
        rows.write.partitionBy("k").parquet(files)
        catalog, identifier = t.identifier.split(".", 1)
        t.session.sql(f"CALL {catalog}.system.add_files(table => '{identifier}', source_table => '`parquet`.`{files}`')")

    return [
        create(2, "id INT, s STRING, k INT"),
        "ALTER TABLE {t} ADD PARTITION FIELD k",
        add_files,
        "INSERT INTO {t} VALUES (10, 'row 10', 0), (11, 'row 11', 1)",
        lambda t: t.commit(equal=[Deletes(("k", "s"), [{"k": 0, "s": "row 2"}, {"k": 1, "s": "row 4"}, {"k": 1, "s": "row 11"}], spec=0), Deletes(("id",), [{"id": 5}], partition={"k": 1})]),
        "DELETE FROM {t} WHERE id IN (7, 8)",
        lambda t: t.commit(equal=[Deletes(("k",), [{"k": 1}], spec=0)]),
    ]


def _equality_default() -> list[Step]:
    """Rows from before a column have its default, by which they are deleted."""
    return [
        create(3, "id INT, k INT"),
        "INSERT INTO {t} SELECT CAST(id AS INT), CAST(id % 3 AS INT) FROM range(0, 6, 1, 1)",
        lambda t: t.add_column("d", "int", 7),
        lambda t: t.commit(data=[Data([{"id": 6, "k": 1, "d": 7}, {"id": 7, "k": 1, "d": 8}, {"id": 8, "k": 1, "d": None}])]),
        lambda t: t.commit(equal=[Deletes(("k", "d"), [{"k": 1, "d": 7}, {"k": 0, "d": None}])]),
        "DELETE FROM {t} WHERE d = 7 AND id = 2",
        lambda t: t.commit(equal=[Deletes(("d",), [{"d": 7}])], data=[Data([{"id": 9, "k": 1, "d": 7}])]),
    ]
