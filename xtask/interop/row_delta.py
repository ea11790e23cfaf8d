"""Commits of Iceberg's Java library in Spark's process, of what Spark reads and does not write: equality deletes, and data
and deletes together."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass
class Changed:
    """A table that a step changes."""

    session: Any
    # Catalog, namespace and quoted name.
    identifier: str
    # The table's location.
    folder: Path
    _serial: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def iceberg(self) -> Any:
        """Java's package of Iceberg."""
        return self.session._jvm.org.apache.iceberg

    @property
    def table(self) -> Any:
        """Java's `Table` as it is now."""
        return self.iceberg.spark.Spark3Util.loadIcebergTable(self.session._jsparkSession, self.identifier)

    def commit(self, *, equal: Sequence[Deletes] = (), data: Sequence[Data] = ()) -> None:
        """One snapshot that adds data files, and delete files that hold for those before them."""
        table = self.table
        delta = table.newRowDelta()
        for rows in data:
            written = self._data_file(table, rows)
            delta.addRows(written)
            if rows.deleted_positions:
                delta.addDeletes(self._position_deletes(table, rows, written))
        for deletes in equal:
            delta.addDeletes(self._equality_deletes(table, deletes))
        delta.commit()

    def add_column(self, name: str, of: str, default: Any) -> None:
        """Adds a column whose value is `default` in the rows that there are, which Spark has no statement for."""
        kind = self.iceberg.types.Types.fromPrimitiveString(of)
        literal = self.iceberg.expressions.Literal.of(default)
        self.table.updateSchema().addColumn(name, kind, None, literal).commit()

    def _data_file(self, table: Any, rows: Data) -> Any:
        spec, partition = self._spec(table, rows.spec), None
        if rows.partition:
            partition = self._partition(table, spec, rows.partition)
        writer = self._factory(table).build().newDataWriter(self._output(table, spec, partition, "data"), spec, partition)
        for row in rows.rows:
            writer.write(self._record(table.schema().asStruct(), row))
        writer.close()
        return writer.toDataFile()

    def _position_deletes(self, table: Any, rows: Data, data_file: Any) -> Any:
        spec, partition = table.specs()[data_file.specId()], data_file.partition()
        output = self._output(table, spec, partition, "positions")
        writer = self._factory(table).build().newPositionDeleteWriter(output, spec, partition)
        for position in rows.deleted_positions:
            writer.write(self.iceberg.deletes.PositionDelete.create().set(data_file.location(), position))
        writer.close()
        return writer.toDeleteFile()

    def _equality_deletes(self, table: Any, deletes: Deletes) -> Any:
        schema = self.iceberg.types.TypeUtil.select(table.schema(), self._ids(table, deletes.stored or deletes.columns))
        spec, partition = self._spec(table, deletes.spec), None
        if deletes.partition:
            partition = self._partition(table, spec, deletes.partition)
        ids = self.session._sc._gateway.new_array(self.session._jvm.int, len(deletes.columns))
        for index, name in enumerate(deletes.columns):
            ids[index] = table.schema().findField(name).fieldId()
        output = self._output(table, spec, partition, "equal")
        factory = self._factory(table).equalityFieldIds(ids).equalityDeleteRowSchema(schema).build()
        writer = factory.newEqualityDeleteWriter(output, spec, partition)
        for row in deletes.rows:
            writer.write(self._record(schema.asStruct(), row))
        writer.close()
        return writer.toDeleteFile()

    def _ids(self, table: Any, columns: tuple[str, ...]) -> Any:
        ids = self.session._jvm.java.util.HashSet()
        for name in columns:
            ids.add(table.schema().findField(name).fieldId())
        return ids

    def _factory(self, table: Any) -> Any:
        parquet = self.iceberg.FileFormat.PARQUET
        builder = getattr(self.iceberg.data, "GenericFileWriterFactory$Builder")
        return builder(table).dataSchema(table.schema()).dataFileFormat(parquet).deleteFileFormat(parquet)

    def _output(self, table: Any, spec: Any, partition: Any, suffix: str) -> Any:
        factory = self.iceberg.io.OutputFileFactory.builderFor(table, 0, next(self._serial)).suffix(suffix).build()
        return factory.newOutputFile(spec, partition) if spec.isPartitioned() else factory.newOutputFile()

    def _spec(self, table: Any, spec: int | None) -> Any:
        return table.spec() if spec is None else table.specs()[spec]

    def _partition(self, table: Any, spec: Any, row: Row) -> Any:
        key = self.iceberg.PartitionKey(spec, table.schema())
        key.partition(self._record(table.schema().asStruct(), row))
        return key

    def _record(self, struct: Any, row: Row) -> Any:
        record = self.iceberg.data.GenericRecord.create(struct)
        for name, value in row.items():
            if isinstance(value, dict):
                value = self._record(struct.field(name).type().asStructType(), value)
            record.setField(name, self._java(value))
        return record

    def _java(self, value: Any) -> Any:
        time = self.session._jvm.java.time
        match value:
            case datetime.datetime():
                return time.LocalDateTime.parse(value.isoformat())
            case datetime.date():
                return time.LocalDate.parse(value.isoformat())
            case bytes():
                return self.session._jvm.java.nio.ByteBuffer.wrap(value)
            case _:
                return value


@dataclass(frozen=True)
class Deletes:
    """An equality delete file: rows that are equal to one of `rows` in `columns` are deleted."""

    columns: tuple[str, ...]
    rows: list[Row]
    # The columns in the file, if these are more.
    stored: tuple[str, ...] | None = None
    # The table's own if None.
    spec: int | None = None
    # A row of the partition.
    partition: Row | None = None


@dataclass(frozen=True)
class Data:
    """A data file, and what the same commit deletes of it by position."""

    rows: list[Row]
    deleted_positions: tuple[int, ...] = ()
    spec: int | None = None
    partition: Row | None = None
