"""Tables as PyIceberg writes them: what our readers must understand."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import EqualTo, GreaterThan
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)


def write_with_pyiceberg(warehouse: Path) -> Iterator[tuple[str, str]]:
    """Yields each table's name and metadata file."""
    warehouse.mkdir(parents=True, exist_ok=True)
    catalog = SqlCatalog("local", uri=f"sqlite:///{warehouse}/catalog.db", warehouse=str(warehouse))
    catalog.create_namespace("written")
    for name, make in (
        ("pyiceberg_types", _types),
        ("pyiceberg_required", _required),
        ("pyiceberg_nested", _nested),
        ("pyiceberg_empty", _empty),
        ("pyiceberg_partitioned", _partitioned),
        ("pyiceberg_evolved", _evolved),
        ("pyiceberg_deleted", _deleted),
    ):
        table = make(catalog, f"written.{name}")
        yield name, table.refresh().metadata_location.removeprefix("file://")


def _field(number: int, name: str, kind: Any, *, required: bool = False) -> NestedField:
    return NestedField(number, name, kind, required=required)


def _types(catalog: Any, name: str) -> Any:
    kinds = (
        ("id", IntegerType()), ("b", BooleanType()), ("l", LongType()), ("f", FloatType()), ("d", DoubleType()), ("n", DecimalType(38, 10)), ("n9", DecimalType(9, 2)),
        ("s", StringType()), ("y", BinaryType()), ("x", FixedType(4)), ("u", UUIDType()), ("dt", DateType()), ("t", TimeType()), ("ts", TimestampType()), ("tz", TimestamptzType()),
    )
    table = catalog.create_table(name, Schema(*(_field(number, *kind) for number, kind in enumerate(kinds, 1))))
    utc = datetime.timezone.utc
    rows = [
        {"id": 1, "b": True, "l": 2**63 - 1, "f": 1.5, "d": 2.5, "n": decimal.Decimal("1.0000000001"), "n9": decimal.Decimal("-1.25"), "s": "text", "y": b"\x00\xff", "x": b"abcd",
         "u": uuid.UUID("00112233-4455-6677-8899-aabbccddeeff").bytes, "dt": datetime.date(2024, 2, 29), "t": datetime.time(12, 34, 56, 789012),
         "ts": datetime.datetime(2024, 2, 29, 23, 59, 59, 999999), "tz": datetime.datetime(2024, 2, 29, 12, 0, 0, 1, tzinfo=utc)},
        {"id": 2, "b": False, "l": -(2**63), "f": float("nan"), "d": float("-inf"), "n": decimal.Decimal("-9999999999999999999999999999.9999999999"), "n9": decimal.Decimal("0.00"), "s": "", "y": b"",
         "x": b"\0\0\0\0", "u": bytes(16), "dt": datetime.date(1, 1, 1), "t": datetime.time(0), "ts": datetime.datetime(1, 1, 1), "tz": datetime.datetime(1, 1, 1, tzinfo=utc)},
        {"id": 3, "d": -0.0, "s": "größe 表 😀" * 50, "dt": datetime.date(9999, 12, 31), "t": datetime.time(23, 59, 59, 999999), "ts": datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)},
    ]
    table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))
    table.append(pa.Table.from_pylist([{"id": 4}], schema=table.schema().as_arrow()))
    return table


def _required(catalog: Any, name: str) -> Any:
    schema = Schema(
        _field(1, "id", LongType(), required=True),
        _field(2, "p", StructType(_field(3, "x", IntegerType(), required=True), _field(4, "y", StringType())), required=True),
        _field(5, "a", ListType(6, StringType(), element_required=True), required=True),
    )
    table = catalog.create_table(name, schema)
    rows = [{"id": n, "p": {"x": n, "y": None if n % 2 else "y"}, "a": ["e"] * (n % 3)} for n in range(10)]
    table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))
    return table


def _nested(catalog: Any, name: str) -> Any:
    schema = Schema(
        _field(1, "id", LongType()),
        _field(2, "ll", ListType(10, ListType(11, IntegerType(), False), False)),
        _field(3, "m", MapType(12, StringType(), 13, StructType(_field(14, "v", IntegerType()), _field(15, "at", TimestamptzType())), False)),
        _field(4, "s", StructType(_field(16, "deep", StructType(_field(17, "er", ListType(18, StructType(_field(19, "k", StringType())), False))))))
    )
    table = catalog.create_table(name, schema)
    at = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
    rows = [
        {"id": 1, "ll": [[1, None], [], None, [3]], "m": [("a", {"v": 1, "at": at}), ("b", None)], "s": {"deep": {"er": [{"k": "x"}, None, {"k": None}]}}},
        {"id": 2, "ll": [], "m": [], "s": {"deep": None}},
        {"id": 3, "ll": None, "m": None, "s": None},
        {"id": 4, "ll": [None], "m": [("", {"v": None, "at": None})], "s": {"deep": {"er": []}}},
    ]
    table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))
    return table


def _empty(catalog: Any, name: str) -> Any:
    return catalog.create_table(name, Schema(_field(1, "id", LongType()), _field(2, "s", StringType())))


def _numbers(table: Any, first: int, last: int) -> pa.Table:
    rows = [{"id": n, "k": n % 4 if n % 9 else None, "s": f"row {n}", "dt": datetime.date(2024, 1, 1) + datetime.timedelta(days=n // 40)} for n in range(first, last)]
    return pa.Table.from_pylist(rows, schema=table.schema().as_arrow())


SCHEMA = Schema(_field(1, "id", LongType()), _field(2, "k", IntegerType()), _field(3, "s", StringType()), _field(4, "dt", DateType()))


def _partitioned(catalog: Any, name: str) -> Any:
    # The other transforms need a package of their own here; Spark's tables have them.
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "k"), PartitionField(4, 1001, IdentityTransform(), "dt"))
    table = catalog.create_table(name, SCHEMA, partition_spec=spec)
    table.append(_numbers(table, 0, 120))
    table.append(_numbers(table, 120, 150))
    table.overwrite(_numbers(table, 1000, 1010), overwrite_filter=EqualTo("k", 2))
    return table


def _evolved(catalog: Any, name: str) -> Any:
    table = catalog.create_table(name, SCHEMA, properties={"write.parquet.compression-codec": "snappy"})
    table.append(_numbers(table, 0, 10))
    with table.update_schema() as update:
        update.add_column("added", DoubleType())
        update.rename_column("s", "label")
        update.update_column("k", LongType())
        update.delete_column("dt")
        update.move_first("added")
    rows = [{"added": n / 2, "id": n, "k": 2**40 + n, "label": "new"} for n in range(10, 20)]
    table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))
    with table.update_schema() as update:
        update.add_column("dt", StringType())
    return table


def _deleted(catalog: Any, name: str) -> Any:
    table = catalog.create_table(name, SCHEMA)
    table.append(_numbers(table, 0, 100))
    table.append(_numbers(table, 100, 110))
    table.delete(GreaterThan("id", 104))
    table.delete(EqualTo("k", 1))
    table.overwrite(_numbers(table, 0, 5), overwrite_filter=EqualTo("id", 50))
    return table
