"""Checks what a table's manifests say of its data files against the files themselves."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
from pyiceberg.table.puffin import PuffinFile
from pyiceberg.types import BinaryType, FixedType, NestedField, StringType, StructType


def check(table: Any, expected_rows: int) -> Iterator[str]:
    """Yields a sentence for each thing that is wrong with the manifests of the current snapshot."""
    snapshot = table.current_snapshot()
    if snapshot is None:
        if expected_rows:
            yield f"there is no snapshot, and {expected_rows} rows"
        return
    rows = files = deletes = delete_files = 0
    for manifest in snapshot.manifests(table.io):
        counted = {0: [0, 0], 1: [0, 0], 2: [0, 0]}
        length = len(table.io.new_input(manifest.manifest_path))
        if manifest.manifest_length != length:
            yield f"{manifest.manifest_path}: manifest_length is {manifest.manifest_length}, the file has {length} bytes"
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
            tally = counted[int(entry.status)]
            tally[0] += 1
            tally[1] += entry.data_file.record_count
            if int(entry.status) == 2:
                continue
            if entry.data_file.content == DataFileContent.DATA:
                rows += entry.data_file.record_count
                files += 1
                yield from _check_file(table, entry.data_file)
            else:
                deletes += entry.data_file.record_count
                delete_files += 1
                yield from _check_deletes(table, entry.data_file)
        said = {
            0: [manifest.existing_files_count, manifest.existing_rows_count],
            1: [manifest.added_files_count, manifest.added_rows_count],
            2: [manifest.deleted_files_count, manifest.deleted_rows_count],
        }
        if said != counted:
            yield f"{manifest.manifest_path}: the manifest list says {said} files and rows, the entries {counted}"
    if rows - deletes != expected_rows:
        yield f"the manifests count {rows} rows and {deletes} deletes, the table has {expected_rows}"
    summary = snapshot.summary.additional_properties if snapshot.summary else {}
    for key, value in (
        ("total-records", rows),
        ("total-data-files", files),
        ("total-position-deletes", deletes),
        ("total-delete-files", delete_files),
    ):
        if summary.get(key) is not None and int(summary[key]) != value:
            yield f"the snapshot's summary says {key} {summary[key]}, it is {value}"


def _check_deletes(table: Any, file: DataFile) -> Iterator[str]:
    """A position delete file or deletion vector is about one data file, whose rows it names in their order."""
    name = os.path.basename(file.file_path)
    source = table.io.new_input(file.file_path)
    if file.file_size_in_bytes != len(source):
        yield f"{name}: file_size_in_bytes is {file.file_size_in_bytes}, the file has {len(source)}"
    if file.file_format == FileFormat.PUFFIN:
        with source.open() as stream:
            found = deletion_vectors_from_puffin_file(PuffinFile(stream.read()))
            vectors = {vector.referenced_data_file: len(vector.to_vector()) for vector in found}
        if file.record_count not in vectors.values():
            yield f"{name}: a vector of {file.record_count} rows, the file has {vectors}"
        return
    content = pq.ParquetFile(source.open()).read()
    ids = {field.name: int(field.metadata[b"PARQUET:field_id"]) for field in content.schema}
    if ids != {"file_path": 2147483546, "pos": 2147483545}:
        yield f"{name}: its columns have the field ids {ids}"
    if content.num_rows != file.record_count:
        yield f"{name}: record_count is {file.record_count}, the file has {content.num_rows}"
    paths, positions = set(content["file_path"].to_pylist()), content["pos"].to_pylist()
    bounds = {bytes(bound[2147483546]).decode() for bound in (file.lower_bounds, file.upper_bounds)}
    if len(paths) != 1 or bounds != paths:
        yield f"{name}: it is about {paths}, its bounds say {bounds}"
    if any(after <= before for before, after in zip(positions, positions[1:])):
        yield f"{name}: positions do not ascend"


def _check_file(table: Any, file: DataFile) -> Iterator[str]:
    schema = table.schema()
    name = os.path.basename(file.file_path)
    source = table.io.new_input(file.file_path)
    size = len(source)
    if file.file_size_in_bytes != size:
        yield f"{name}: file_size_in_bytes is {file.file_size_in_bytes}, the file has {size}"
    parquet = pq.ParquetFile(source.open())
    metadata = parquet.metadata
    if metadata.num_rows != file.record_count:
        yield f"{name}: record_count is {file.record_count}, the file has {metadata.num_rows}"
    yield from _check_field_ids(name, schema.fields, parquet.schema_arrow)
    starts = [_row_group_start(metadata.row_group(i)) for i in range(metadata.num_row_groups)]
    if file.split_offsets is not None and list(file.split_offsets) != starts:
        yield f"{name}: split_offsets are {file.split_offsets}, the row groups start at {starts}"
    compressions = {metadata.row_group(g).column(c).compression for g in range(metadata.num_row_groups) for c in range(metadata.num_columns)}
    # The smallest files are not worth a compressor, all others are.
    if compressions not in ({"ZSTD"}, {"UNCOMPRESSED"}) or (compressions == {"UNCOMPRESSED"} and size > 64 << 10):
        yield f"{name}: compressed with {compressions}"
    data = parquet.read()
    for field in schema.fields:
        index = _index_of(field.field_id, parquet.schema_arrow)
        if index is not None:
            yield from _check_column(name, file, field, data.column(index))


def _row_group_start(group: Any) -> int:
    column = group.column(0)
    if column.has_dictionary_page and column.dictionary_page_offset is not None:
        return min(column.dictionary_page_offset, column.data_page_offset)
    return column.data_page_offset


def _index_of(field_id: int, arrow: Any) -> int | None:
    """Fields are found by id: what they are called in a data file is up to its writer."""
    for index in range(len(arrow)):
        if (arrow.field(index).metadata or {}).get(b"PARQUET:field_id") == str(field_id).encode():
            return index
    return None


def _check_field_ids(name: str, fields: Any, arrow: Any) -> Iterator[str]:
    for field in fields:
        index = _index_of(field.field_id, arrow)
        if index is None:
            yield f"{name}: no field has id {field.field_id}, which the schema gives to {field.name}"
        elif isinstance(field.field_type, StructType):
            yield from _check_field_ids(name, field.field_type.fields, pa.schema(list(arrow.field(index).type)))


def _check_column(name: str, file: DataFile, field: NestedField, array: Any, present_parents: int | None = None) -> Iterator[str]:
    """Counts and bounds of a column, of a struct's fields beneath it; lists are counted elsewhere.

    Whether the field of a struct that is NULL counts as a value the specification leaves open: it is
    in Parquet's own statistics, and not in those of Iceberg's Java writers. `present_parents` is the
    number of values without those. Bounds of such fields may be missing.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(field.field_type, StructType):
        parent_valid = array.is_valid()
        valid = len(array) - array.null_count
        for child in field.field_type.fields:
            index = _index_of(child.field_id, pa.schema(list(array.type)))
            if index is None:
                continue
            values = array.field(index)
            yield from _check_column(name, file, child, pa.compute.if_else(parent_valid, values, pa.scalar(None, values.type)), valid)
        return
    if not field.field_type.is_primitive:
        return
    what = f"{name}: {field.name}"
    number = field.field_id
    values = _plain(array)
    present = [value for value in values if value is not None]
    numbers = [value for value in present if not (isinstance(value, float) and math.isnan(value))]
    counts = ((file.value_counts or {}).get(number), (file.null_value_counts or {}).get(number))
    allowed = [(total, total - len(present)) for total in (len(values), present_parents) if total is not None]
    if counts not in allowed:
        yield f"{what}: value_counts and null_value_counts are {counts}, not {allowed[0]}"
    nans = (file.nan_value_counts or {}).get(number)
    if pa.types.is_floating(array.type):
        if nans != len(present) - len(numbers):
            yield f"{what}: nan_value_counts is {nans}, not {len(present) - len(numbers)}"
    elif nans is not None:
        yield f"{what}: has nan_value_counts and no NaN can be there"
    if not (file.column_sizes or {}).get(number):
        yield f"{what}: no column_sizes"
    lower = (file.lower_bounds or {}).get(number)
    upper = (file.upper_bounds or {}).get(number)
    if not numbers:
        if lower is not None or upper is not None:
            yield f"{what}: has bounds and no values"
        return
    needed = present_parents is None
    if lower is not None:
        yield from _check_bound(what, field, lower, min(numbers, key=_order), lower_bound=True)
    elif needed:
        yield f"{what}: no lower bound"
    # A string of the highest code points has no upper bound of bounded length.
    if upper is not None:
        yield from _check_bound(what, field, upper, max(numbers, key=_order), lower_bound=False)
    elif needed and not isinstance(field.field_type, (StringType, BinaryType, FixedType)):
        yield f"{what}: no upper bound"


def _check_bound(what: str, field: NestedField, encoded: bytes, true: Any, *, lower_bound: bool) -> Iterator[str]:
    side = "lower" if lower_bound else "upper"
    bound = _plain_scalar(from_bytes(field.field_type, encoded))
    exact = not isinstance(field.field_type, (StringType, BinaryType, FixedType))
    right = _order(bound) <= _order(true) if lower_bound else _order(bound) >= _order(true)
    if not right:
        yield f"{what}: the {side} bound is {bound!r}, and {true!r} is there"
    elif exact and bound != true:
        yield f"{what}: the {side} bound is {bound!r}, not {true!r}"


def _order(value: Any) -> Any:
    """Iceberg orders strings by code point, that is as UTF-8."""
    return value.encode() if isinstance(value, str) else value


def _plain(array: Any) -> list[Any]:
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(array.storage)
    if pa.types.is_timestamp(kind) or pa.types.is_time64(kind):
        return array.cast(pa.int64()).to_pylist()
    if pa.types.is_date32(kind):
        return array.cast(pa.int32()).to_pylist()
    return array.to_pylist()


def _plain_scalar(value: Any) -> Any:
    return value.bytes if hasattr(value, "bytes") and hasattr(value, "hex") and not isinstance(value, (bytes, str)) else value
