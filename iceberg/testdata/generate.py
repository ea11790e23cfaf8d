#!/usr/bin/env python3
"""Writes the fixtures of this directory anew.

Needs pyiceberg[sql-sqlite,pyarrow,pyiceberg-core] 0.12. Tables written by PyIceberg have their location in
/tmp/iceberg-fixtures, which tests map to this directory; only metadata and manifests are kept,
not data files. Everything else is made by hand below.
"""

import copy
import datetime
import decimal
import gzip
import json
import pathlib
import shutil
import uuid

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    IdentityTransform,
    TruncateTransform,
)
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

HERE = pathlib.Path(__file__).parent
WORK = pathlib.Path("/tmp/iceberg-fixtures")

UTC = datetime.timezone.utc


def keep(name):
    """Copies the metadata directory of a table into the fixtures."""
    target = HERE / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for file in sorted((WORK / name / "metadata").iterdir()):
        shutil.copy(file, target / file.name)
    newest = max(target.glob("*.metadata.json"), key=lambda path: path.name)
    newest.rename(target / "current.metadata.json")
    for older in target.glob("*-*.metadata.json"):
        older.unlink()


def types_table(catalog):
    schema = Schema(
        NestedField(1, "id", LongType(), required=True),
        NestedField(2, "flag", BooleanType()),
        NestedField(3, "i", IntegerType()),
        NestedField(4, "f", FloatType()),
        NestedField(5, "d", DoubleType(), doc="may be NaN"),
        NestedField(6, "price", DecimalType(12, 3)),
        NestedField(7, "day", DateType()),
        NestedField(8, "clock", TimeType()),
        NestedField(9, "ts", TimestampType()),
        NestedField(10, "tstz", TimestamptzType()),
        NestedField(11, "name", StringType()),
        NestedField(12, "key", UUIDType()),
        NestedField(13, "code", FixedType(4)),
        NestedField(14, "raw", BinaryType()),
        NestedField(15, "tags", ListType(16, StringType(), element_required=False)),
        NestedField(17, "attributes", MapType(18, StringType(), 19, DoubleType(), False)),
        NestedField(
            20,
            "place",
            StructType(NestedField(21, "x", DoubleType()), NestedField(22, "y", DoubleType())),
        ),
        identifier_field_ids=[1],
    )
    table = catalog.create_table(
        "fixtures.types",
        schema,
        location=str(WORK / "pyiceberg-v2-types"),
        sort_order=SortOrder(SortField(1, IdentityTransform())),
        properties={"owner": "fixtures"},
    )
    rows = [
        {
            "id": 1, "flag": True, "i": -2147483648, "f": 1.5, "d": float("nan"),
            "price": decimal.Decimal("-123456789.123"), "day": datetime.date(1969, 12, 31),
            "clock": datetime.time(23, 59, 59, 999999), "ts": datetime.datetime(1, 1, 1),
            "tstz": datetime.datetime(2024, 2, 29, 12, tzinfo=UTC), "name": "äöü",
            "key": uuid.UUID(int=1).bytes, "code": b"\x00\x01\x02\x03", "raw": b"",
            "tags": ["a", None], "attributes": [("k", 1.0)], "place": {"x": 1.0, "y": None},
        },
        {"id": 2},
        {
            "id": 9223372036854775807, "flag": False, "i": 2147483647, "f": -0.0, "d": 2.5,
            "price": decimal.Decimal("0.001"), "day": datetime.date(9999, 12, 31),
            "clock": datetime.time(0), "ts": datetime.datetime(9999, 12, 31),
            "tstz": datetime.datetime(1970, 1, 1, tzinfo=UTC), "name": "",
            "key": uuid.UUID(int=2**128 - 1).bytes, "code": b"\xff\xff\xff\xff", "raw": b"\xff",
            "tags": [], "attributes": [], "place": None,
        },
    ]
    table.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))
    keep("pyiceberg-v2-types")


def events(catalog, name, version):
    """A partitioned table with three appends, one delete and one schema change."""
    schema = Schema(
        NestedField(1, "id", IntegerType(), required=False),
        NestedField(2, "kind", StringType()),
        NestedField(3, "at", TimestampType()),
        NestedField(4, "amount", DecimalType(9, 2)),
    )
    spec = PartitionSpec(
        PartitionField(2, 1000, TruncateTransform(2), "kind_trunc"),
        PartitionField(1, 1001, BucketTransform(4), "id_bucket"),
        PartitionField(3, 1002, DayTransform(), "at_day"),
        PartitionField(4, 1003, IdentityTransform(), "amount"),
        spec_id=0,
    )
    table = catalog.create_table(
        f"fixtures.events_{version}",
        schema,
        location=str(WORK / name),
        partition_spec=spec,
        properties={"format-version": str(version)},
    )

    def batch(ids, kind):
        return pa.Table.from_pylist(
            [
                {
                    "id": i,
                    "kind": kind,
                    "at": datetime.datetime(2020 + i % 2, 1, 1 + i),
                    "amount": decimal.Decimal(i).quantize(decimal.Decimal("0.01")),
                }
                for i in ids
            ],
            schema=table.schema().as_arrow(),
        )

    table.append(batch(range(2), "new"))
    table.append(batch(range(2, 4), None))
    table.delete("id = 1")
    with table.update_schema() as update:
        update.update_column("id", LongType())
        update.add_column("note", StringType())
    keep(name)


def write(name, document):
    (HERE / name).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


V2 = {
    "format-version": 2,
    "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
    "location": "s3://bucket/test/location",
    "last-sequence-number": 34,
    "last-updated-ms": 1602638573590,
    "last-column-id": 3,
    "current-schema-id": 1,
    "schemas": [
        {
            "type": "struct",
            "schema-id": 0,
            "fields": [{"id": 1, "name": "x", "required": True, "type": "long"}],
        },
        {
            "type": "struct",
            "schema-id": 1,
            "identifier-field-ids": [1, 2],
            "fields": [
                {"id": 1, "name": "x", "required": True, "type": "long"},
                {"id": 2, "name": "y", "required": True, "type": "long", "doc": "comment"},
                {"id": 3, "name": "z", "required": True, "type": "long"},
            ],
        },
    ],
    "default-spec-id": 0,
    "partition-specs": [
        {
            "spec-id": 0,
            "fields": [
                {"name": "x", "transform": "identity", "source-id": 1, "field-id": 1000}
            ],
        }
    ],
    "last-partition-id": 1000,
    "default-sort-order-id": 3,
    "sort-orders": [
        {
            "order-id": 3,
            "fields": [
                {
                    "transform": "identity",
                    "source-id": 2,
                    "direction": "asc",
                    "null-order": "nulls-first",
                },
                {
                    "transform": "bucket[4]",
                    "source-id": 3,
                    "direction": "desc",
                    "null-order": "nulls-last",
                },
            ],
        }
    ],
    "properties": {"read.split.target.size": "134217728"},
    "current-snapshot-id": 3055729675574597004,
    "snapshots": [
        {
            "snapshot-id": 3051729675574597004,
            "timestamp-ms": 1515100955770,
            "sequence-number": 0,
            "summary": {"operation": "append"},
            "manifest-list": "s3://bucket/test/location/metadata/snap-1.avro",
        },
        {
            "snapshot-id": 3055729675574597004,
            "parent-snapshot-id": 3051729675574597004,
            "timestamp-ms": 1555100955770,
            "sequence-number": 1,
            "summary": {"operation": "append", "added-records": "7"},
            "manifest-list": "s3://bucket/test/location/metadata/snap-2.avro",
            "schema-id": 1,
        },
    ],
    "snapshot-log": [
        {"snapshot-id": 3051729675574597004, "timestamp-ms": 1515100955770},
        {"snapshot-id": 3055729675574597004, "timestamp-ms": 1555100955770},
    ],
    "metadata-log": [
        {"metadata-file": "s3://bucket/test/location/metadata/v1.json", "timestamp-ms": 1515100}
    ],
    "refs": {
        "main": {"snapshot-id": 3055729675574597004, "type": "branch"},
        "audit": {
            "snapshot-id": 3051729675574597004,
            "type": "tag",
            "max-ref-age-ms": 10000000,
        },
    },
}


def hand_made():
    write("v2-valid.metadata.json", V2)
    (HERE / "v2-gzipped.gz.metadata.json").write_bytes(
        gzip.compress(json.dumps(V2).encode(), mtime=0)
    )

    unknown = copy.deepcopy(V2)
    unknown["x-top"] = {"kept": [1, None, "ä"]}
    unknown["schemas"][1]["x-schema"] = 1
    unknown["schemas"][1]["fields"][0]["x-field"] = "kept"
    unknown["schemas"][1]["fields"][2]["type"] = {
        "type": "map",
        "key-id": 4,
        "key": "string",
        "value-id": 5,
        "value-required": False,
        "value": {
            "type": "list",
            "element-id": 6,
            "element-required": True,
            "element": {
                "type": "struct",
                "fields": [{"id": 7, "name": "a", "required": False, "type": "hyperlog(7)"}],
                "x-struct": True,
            },
            "x-list": True,
        },
        "x-map": True,
    }
    unknown["last-column-id"] = 7
    unknown["partition-specs"][0]["x-spec"] = 2
    unknown["partition-specs"][0]["fields"][0]["x-partition-field"] = 3
    unknown["partition-specs"][0]["fields"][0]["transform"] = "zorder[2]"
    unknown["sort-orders"][0]["x-order"] = 4
    unknown["sort-orders"][0]["fields"][0]["x-sort-field"] = 5
    unknown["snapshots"][0]["x-snapshot"] = {"a": 6}
    unknown["snapshots"][0]["summary"]["x-summary"] = "7"
    unknown["snapshot-log"][0]["x-log"] = 8
    unknown["metadata-log"][0]["x-log"] = 9
    unknown["refs"]["audit"]["x-ref"] = 10
    unknown["statistics"] = [
        {
            "snapshot-id": 3055729675574597004,
            "statistics-path": "s3://bucket/test/location/metadata/stats.puffin",
            "file-size-in-bytes": 413,
            "file-footer-size-in-bytes": 42,
            "blob-metadata": [
                {
                    "type": "ndv",
                    "snapshot-id": 3055729675574597004,
                    "sequence-number": 1,
                    "fields": [1],
                    "x-blob": 11,
                }
            ],
            "x-statistics": 12,
        }
    ]
    unknown["partition-statistics"] = [
        {
            "snapshot-id": 3055729675574597004,
            "statistics-path": "s3://bucket/test/location/metadata/pstats.parquet",
            "file-size-in-bytes": 43,
            "x-statistics": 13,
        }
    ]
    write("v2-unknown-fields.metadata.json", unknown)

    v1 = {
        "format-version": 1,
        "table-uuid": "d20125c8-7284-442c-9aea-15fee620737c",
        "location": "s3://bucket/test/location",
        "last-updated-ms": 1602638573874,
        "last-column-id": 3,
        "schema": {
            "type": "struct",
            "fields": [
                {"id": 1, "name": "x", "required": True, "type": "long"},
                {"id": 2, "name": "y", "required": True, "type": "long", "doc": "comment"},
                {"id": 3, "name": "z", "required": True, "type": "long"},
            ],
        },
        "partition-spec": [{"name": "x", "transform": "identity", "source-id": 1}],
        "properties": {},
        "current-snapshot-id": 1,
        "snapshots": [
            {
                "snapshot-id": 1,
                "timestamp-ms": 1515100955770,
                "manifests": [
                    "s3://bucket/test/location/metadata/m0.avro",
                    "s3://bucket/test/location/metadata/m1.avro",
                ],
            }
        ],
    }
    write("v1-embedded-manifests.metadata.json", v1)
    empty = {key: v1[key] for key in v1 if key not in ("table-uuid", "snapshots")}
    empty["current-snapshot-id"] = -1
    write("v1-empty-without-uuid.metadata.json", empty)

    v3 = copy.deepcopy(V2)
    v3["format-version"] = 3
    v3["next-row-id"] = 25
    v3["encryption-keys"] = [{"key-id": "k", "encrypted-key-metadata": "aGVsbG8="}]
    v3["last-column-id"] = 9
    v3["schemas"][1]["fields"] += [
        {"id": 4, "name": "v", "required": False, "type": "variant"},
        {"id": 5, "name": "g", "required": False, "type": "geometry(srid:4326)"},
        {"id": 6, "name": "h", "required": False, "type": "geography(srid:4326, karney)"},
        {"id": 7, "name": "n", "required": False, "type": "timestamp_ns"},
        {"id": 8, "name": "u", "required": False, "type": "unknown"},
        {
            "id": 9,
            "name": "w",
            "required": True,
            "type": "decimal(9, 2)",
            "initial-default": "14.20",
            "write-default": "0.00",
        },
    ]
    v3["partition-specs"][0]["fields"][0] = {
        "name": "xy",
        "transform": "bucket[4]",
        "source-ids": [1, 2],
        "field-id": 1000,
    }
    v3["snapshots"][1].update({"first-row-id": 10, "added-rows": 15, "key-id": "k"})
    write("v3-row-lineage-and-new-types.metadata.json", v3)

    def broken(name, change):
        document = copy.deepcopy(V2)
        change(document)
        write(f"broken/{name}.metadata.json", document)

    (HERE / "broken").mkdir(exist_ok=True)
    for field in (
        "format-version", "table-uuid", "location", "last-sequence-number", "last-updated-ms",
        "last-column-id", "schemas", "current-schema-id", "partition-specs", "default-spec-id",
    ):
        broken(f"v2-without-{field}", lambda d: d.pop(field))

    def at(value, *path):
        def change(document):
            for step in path[:-1]:
                document = document[step]
            document[path[-1]] = value
        return change

    broken("v4", at(4, "format-version"))
    broken("v0", at(0, "format-version"))
    broken("v2-current-schema-not-found", at(9, "current-schema-id"))
    broken("v2-default-spec-not-found", at(9, "default-spec-id"))
    broken("v2-default-sort-order-not-found", at(9, "default-sort-order-id"))
    broken("v2-current-snapshot-not-found", at(9, "current-snapshot-id"))
    broken("v2-main-is-not-current", at(3051729675574597004, "refs", "main", "snapshot-id"))
    broken("v2-tag-snapshot-not-found", at(9, "refs", "audit", "snapshot-id"))
    broken("v2-field-id-twice", at(1, "schemas", 1, "fields", 2, "id"))
    broken("v2-field-name-twice", at("x", "schemas", 1, "fields", 2, "name"))
    broken("v2-field-type-unknown-kind", at({"type": "set"}, "schemas", 1, "fields", 2, "type"))
    broken("v2-field-type-bad-decimal", at("decimal(50, 2)", "schemas", 1, "fields", 2, "type"))
    broken("v2-field-id-is-text", at("3", "schemas", 1, "fields", 2, "id"))
    broken("v2-sequence-number-is-text", at("1", "snapshots", 1, "sequence-number"))
    broken("v2-snapshot-without-list", lambda d: d["snapshots"][1].pop("manifest-list"))
    broken("v2-summary-value-is-object", at({}, "snapshots", 1, "summary", "added-records"))
    broken("v2-snapshots-is-object", at({}, "snapshots"))
    broken("v2-uuid-is-short", at("9c12d441", "table-uuid"))
    broken("v2-last-column-id-too-large", at(2**40, "last-column-id"))
    broken("v2-property-is-list", at([], "properties", "a"))
    broken("v2-direction-is-sideways", at("sideways", "sort-orders", 0, "fields", 1, "direction"))
    text = json.dumps(V2)
    (HERE / "broken/v2-cut-off.metadata.json").write_text(text[: len(text) // 2])
    (HERE / "broken/array.metadata.json").write_text("[]\n")
    (HERE / "broken/empty.metadata.json").write_text("")
    (HERE / "broken/deep.metadata.json").write_text('{"a":' * 1000 + "1" + "}" * 1000)
    (HERE / "broken/v2-cut-off.gz.metadata.json").write_bytes(
        gzip.compress(text.encode(), mtime=0)[:-20]
    )


def zigzag(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def text(value):
    data = value.encode()
    return zigzag(len(data)) + data


def avro(name, schema, block, count=1, directory="broken", **header):
    """An Avro file with one uncompressed block."""
    marker = b"0123456789abcdef"
    header = {"avro.schema": json.dumps(schema), "avro.codec": "null"} | header
    out = b"Obj\x01" + zigzag(len(header))
    for key, value in header.items():
        out += text(key.replace("_", "-") if key.startswith("partition") else key) + text(value)
    out += zigzag(0) + marker + zigzag(count) + zigzag(len(block)) + block + marker
    (HERE / directory / name).write_bytes(out)


def record(name, *fields):
    return {"type": "record", "name": name, "fields": list(fields)}


def field(name, field_id, schema):
    return {"name": name, "type": schema, "field-id": field_id}


def broken_avro():
    node = record("node", field("next", 1, ["null", "node"]))
    avro("manifest-recursive-schema.avro", node, zigzag(1) * 20_000 + zigzag(0))

    leaf = record("l0", field("n", 1, "null"))
    nested = leaf
    for level in range(1, 30):
        below = f"l{level - 1}"
        nested = record(f"l{level}", field("a", 1, nested), field("b", 2, below))
    avro("manifest-doubling-schema.avro", nested, b"")

    data_file = record(
        "r2",
        field("content", 134, "int"),
        field("file_path", 100, ["null", "string"]),
        field("file_format", 101, "string"),
        field("partition", 102, record("r102")),
        field("record_count", 103, "long"),
        field("file_size_in_bytes", 104, "long"),
    )
    entry = record(
        "manifest_entry",
        field("status", 0, "int"),
        field("snapshot_id", 1, ["null", "long"]),
        field("sequence_number", 3, ["null", "long"]),
        field("data_file", 2, data_file),
    )

    def row(status=1, content=0, path="s3://b/a.parquet", kind="PARQUET", rows=1, size=1, seq=None):
        sequence = zigzag(0) if seq is None else zigzag(1) + zigzag(seq)
        name = zigzag(0) if path is None else zigzag(1) + text(path)
        return (
            zigzag(status) + zigzag(0) + sequence + zigzag(content) + name + text(kind)
            + zigzag(rows) + zigzag(size)
        )

    avro("manifest-file-path-is-null.avro", entry, row(path=None))
    avro("manifest-status-7.avro", entry, row(status=7))
    avro("manifest-content-9.avro", entry, row(content=9))
    avro("manifest-format-csv.avro", entry, row(kind="CSV"))
    avro("manifest-negative-record-count.avro", entry, row(rows=-5))
    avro("manifest-existing-without-sequence-number.avro", entry, row(status=0))
    avro("manifest-record-cut-off.avro", entry, row()[:-8])
    avro("manifest-string-length-too-large.avro", entry,
         zigzag(1) + zigzag(0) + zigzag(0) + zigzag(0) + zigzag(1) + zigzag(2**40))
    avro("manifest-records-in-empty-block.avro", entry, b"", count=2**50)
    avro("manifest-partition-spec-not-json.avro", entry, row(), partition_spec="[{")
    avro("manifest-without-data-file.avro", record("manifest_entry", field("status", 0, "int")),
         zigzag(1))
    avro("manifest-not-a-record.avro", "long", zigzag(1))
    counts = {"type": "array", "items": "null"}
    avro("manifest-array-of-nulls.avro",
         record("manifest_entry", field("status", 0, "int"), field("x", 999, counts),
                field("data_file", 2, data_file)),
         zigzag(1) + zigzag(2**40) + zigzag(0))
    good = record(
        "manifest_file",
        field("manifest_path", 500, "string"),
        field("manifest_length", 501, "long"),
        field("partition_spec_id", 502, ["null", "int"]),
    )
    avro("list-spec-id-is-null.avro", good, text("m") + zigzag(1) + zigzag(0))
    avro("list-spec-id-too-large.avro",
         record("manifest_file", *good["fields"][:2], field("partition_spec_id", 502, "long")),
         text("m") + zigzag(1) + zigzag(2**40))
    (HERE / "broken/manifest-wrong-magic.avro").write_bytes(b"Obj\x02" + bytes(40))
    (HERE / "broken/manifest-header-map-too-long.avro").write_bytes(b"Obj\x01" + zigzag(2**61))


def version_3_manifest():
    data_file = record(
        "r2",
        field("content", 134, "int"),
        field("file_path", 100, "string"),
        field("file_format", 101, "string"),
        field("partition", 102, record("r102")),
        field("record_count", 103, "long"),
        field("file_size_in_bytes", 104, "long"),
        field("first_row_id", 142, ["null", "long"]),
        field("referenced_data_file", 143, ["null", "string"]),
        field("content_offset", 144, ["null", "long"]),
        field("content_size_in_bytes", 145, ["null", "long"]),
        field("x_later", 9999, ["null", "string"]),
    )
    entry = record("manifest_entry", field("status", 0, "int"), field("data_file", 2, data_file))
    some = zigzag(1)
    row = (
        zigzag(1) + zigzag(1) + text("s3://b/dv.puffin") + text("puffin") + zigzag(2) + zigzag(44)
        + some + zigzag(100) + some + text("s3://b/data.parquet") + some + zigzag(4)
        + some + zigzag(40) + some + text("kept from nobody")
    )
    avro("v3-deletion-vector.avro", entry, row, directory=".")


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    catalog = SqlCatalog("fixtures", uri="sqlite:///:memory:", warehouse=str(WORK))
    catalog.create_namespace("fixtures")
    types_table(catalog)
    events(catalog, "pyiceberg-v2-partitioned", 2)
    events(catalog, "pyiceberg-v1-partitioned", 1)
    hand_made()
    broken_avro()
    version_3_manifest()


main()
