"""Independent engines: each reads the table that a metadata file describes."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Protocol

from values import Map, Struct, former
from values import List as ListType

Columns = tuple[tuple[str, str, Any], ...]
Rows = dict[Any, dict[str, Any]]


class Engine(Protocol):
    """Reads tables by their metadata file."""

    name: str

    def version(self) -> str: ...

    def rows(self, metadata: str, columns: Columns) -> Rows: ...

    def count(self, metadata: str, condition: tuple[str, str]) -> int | None:
        """How many rows a filter leaves, None if it cannot be said in this engine's terms."""

    def total(self, metadata: str) -> int:
        """How many rows there are."""

    def close(self) -> None: ...


def by_key(columns: Columns, records: Any) -> Rows:
    """`records` are sequences in the order of `columns`."""
    result: Rows = {}
    formers = [(name, former(of)) for name, _, of in columns]
    for record in records:
        forms = {name: form(value) for (name, form), value in zip(formers, record, strict=True)}
        key = forms[columns[0][0]]
        if key in result:
            raise ValueError(f"key {key} comes twice")
        result[key] = forms
    return result


def from_arrow(table: Any, columns: Columns) -> Rows:
    missing = [name for name, _, _ in columns if name not in table.column_names]
    if missing or len(table.column_names) != len(columns):
        raise ValueError(f"columns are {table.column_names}, missing {missing}")
    lists = [arrow_values(table.column(name)) for name, _, _ in columns]
    return by_key(columns, zip(*lists, strict=True) if lists else [])


def arrow_values(array: Any) -> list[Any]:
    """Values as Python has them, times and timestamps as microseconds, which have no bounds there."""
    import pyarrow as pa

    if isinstance(array, pa.ChunkedArray):
        return [value for chunk in array.chunks for value in arrow_values(chunk)]
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return arrow_values(array.storage)
    if pa.types.is_timestamp(kind):
        return array.cast(pa.timestamp("us", kind.tz)).cast(pa.int64()).to_pylist()
    if pa.types.is_time(kind):
        return array.cast(pa.time64("us")).cast(pa.int64()).to_pylist()
    if pa.types.is_date32(kind):
        return array.cast(pa.int32()).to_pylist()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        values = arrow_values(array.values)
        offsets = array.offsets.to_pylist()
        valid = array.is_valid().to_pylist()
        return [values[offsets[i] : offsets[i + 1]] if valid[i] else None for i in range(len(array))]
    if pa.types.is_map(kind):
        keys, items = arrow_values(array.keys), arrow_values(array.items)
        offsets = array.offsets.to_pylist()
        valid = array.is_valid().to_pylist()
        return [list(zip(keys[offsets[i] : offsets[i + 1]], items[offsets[i] : offsets[i + 1]])) if valid[i] else None for i in range(len(array))]
    if pa.types.is_struct(kind):
        fields = [(kind.field(i).name, arrow_values(array.field(i))) for i in range(kind.num_fields)]
        valid = array.is_valid().to_pylist()
        return [{name: values[i] for name, values in fields} if valid[i] else None for i in range(len(array))]
    return array.to_pylist()


def store() -> dict[str, str] | None:
    """The object store that the tables lie in: endpoint, key, secret."""
    if not os.environ.get("LAKEBASE_TABLESPACE"):
        return None
    return {name: os.environ[f"LAKEBASE_S3_{name.upper()}"] for name in ("endpoint", "access_key_id", "secret_access_key")}


class PyIceberg:
    name = "pyiceberg"

    def version(self) -> str:
        import pyiceberg

        return pyiceberg.__version__

    def table(self, metadata: str) -> Any:
        from pyiceberg.table import StaticTable

        if not (place := store()):
            return StaticTable.from_metadata(metadata)
        properties = {
            "s3.endpoint": place["endpoint"],
            "s3.access-key-id": place["access_key_id"],
            "s3.secret-access-key": place["secret_access_key"],
            "s3.region": "us-east-1",
        }
        return StaticTable.from_metadata(metadata, properties)

    def rows(self, metadata: str, columns: Columns) -> Rows:
        return from_arrow(self.table(metadata).scan().to_arrow(), columns)

    def rows_of_snapshot(self, metadata: str, snapshot_id: int, columns: Columns) -> Rows:
        return from_arrow(self.table(metadata).scan(snapshot_id=snapshot_id).to_arrow(), columns)

    def count(self, metadata: str, condition: tuple[str, str]) -> int | None:
        if not condition[1]:
            return None
        return self.table(metadata).scan(row_filter=condition[1]).to_arrow().num_rows

    def total(self, metadata: str) -> int:
        return self.table(metadata).scan().to_arrow().num_rows

    def close(self) -> None:
        pass


class DuckDb:
    name = "duckdb"

    def __init__(self) -> None:
        import duckdb
        from duckdb_extensions import import_extension

        self.directory = tempfile.mkdtemp(prefix="duckdb-")
        self.connection = duckdb.connect(
            config={"extension_directory": self.directory, "autoinstall_known_extensions": False, "threads": 2}
        )
        place = store()
        for extension in ("avro", "iceberg", *(("httpfs",) if place else ())):
            import_extension(extension, con=self.connection)
            self.connection.load_extension(extension)
        if place:
            self.connection.execute(
                f"CREATE SECRET (TYPE s3, KEY_ID '{place['access_key_id']}', SECRET '{place['secret_access_key']}', "
                f"ENDPOINT '{place['endpoint'].removeprefix('http://')}', REGION 'us-east-1', URL_STYLE 'path', USE_SSL false)"
            )
        self.connection.execute("SET TimeZone = 'UTC'")

    def version(self) -> str:
        import duckdb

        return duckdb.__version__

    def rows(self, metadata: str, columns: Columns) -> Rows:
        table = self.connection.execute("SELECT * FROM iceberg_scan(?)", [metadata]).to_arrow_table()
        return from_arrow(table, columns)

    def count(self, metadata: str, condition: tuple[str, str]) -> int | None:
        return self.connection.execute(f"SELECT count(*) FROM iceberg_scan(?) WHERE {condition[0]}", [metadata]).fetchone()[0]

    def total(self, metadata: str) -> int:
        return self.connection.execute("SELECT count(*) FROM iceberg_scan(?)", [metadata]).fetchone()[0]

    def close(self) -> None:
        self.connection.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class Spark:
    """Iceberg's Java implementation.

    A catalog of type hadoop finds a table by a `metadata` folder with a version hint: such folders
    are made in a temporary warehouse, and what the metadata refers to is read where it lies, in an object
    store too.
    """

    name = "spark"
    # A session keeps the catalogs it has opened: each instance has one of its own.
    _instances = itertools.count(1)

    def __init__(self, warehouse: Path | None = None) -> None:
        self.CATALOG = f"lake_{next(self._instances)}"
        from pyspark.sql import SparkSession

        jar = os.environ.get("ICEBERG_SPARK_JAR")
        if not jar:
            raise RuntimeError("ICEBERG_SPARK_JAR names no jar with Iceberg's Spark runtime")
        self.own = warehouse is None
        self.warehouse = warehouse or Path(tempfile.mkdtemp(prefix="spark-"))
        prefix = _package_prefix(jar)
        self.place = store()
        catalog = {"type": "hadoop", "warehouse": str(self.warehouse)}
        if self.place:
            # The AWS SDK for S3FileIO comes in a jar of its own.
            jar += "," + os.environ["ICEBERG_AWS_JAR"]
            catalog |= {
                # S3FileIO there, and Hadoop's for the warehouse.
                "io-impl": f"{prefix}org.apache.iceberg.io.ResolvingFileIO",
                "s3.endpoint": self.place["endpoint"],
                "s3.access-key-id": self.place["access_key_id"],
                "s3.secret-access-key": self.place["secret_access_key"],
                "s3.path-style-access": "true",
                "client.region": "us-east-1",
            }
        # Not one of the machine's own settings for Spark and Java may change the outcome.
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        builder = (
            SparkSession.builder.master("local[2]")
            .appName("interop")
            .config("spark.jars", jar)
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.driver.memory", "2g")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.local.dir", str(self.warehouse / ".local"))
            .config("spark.sql.warehouse.dir", str(self.warehouse / ".warehouse"))
            .config("spark.sql.extensions", f"{prefix}org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
            .config(f"spark.sql.catalog.{self.CATALOG}", f"{prefix}org.apache.iceberg.spark.SparkCatalog")
            .config(f"spark.sql.catalog.{self.CATALOG}.cache-enabled", "false")
        )
        for name, value in catalog.items():
            builder = builder.config(f"spark.sql.catalog.{self.CATALOG}.{name}", value)
        self.session = builder.getOrCreate()
        self.session.sparkContext.setLogLevel("ERROR")
        self.serial = 0

    def version(self) -> str:
        return f"{self.session.version} with {Path(os.environ['ICEBERG_SPARK_JAR']).name}"

    def frame(self, metadata: str) -> Any:
        self.serial += 1
        name = f"t{self.serial}"
        folder = self.warehouse / "found" / name / "metadata"
        folder.mkdir(parents=True)
        ending = ".gz.metadata.json" if metadata.endswith(".gz.metadata.json") else ".metadata.json"
        copy = folder / f"v1{ending}"
        if self.place:
            copy.write_bytes(PyIceberg().table(metadata).io.new_input(metadata).open().read())
        else:
            shutil.copyfile(metadata, copy)
        (folder / "version-hint.text").write_text("1")
        return self.session.table(f"{self.CATALOG}.found.{name}")

    def rows(self, metadata: str, columns: Columns) -> Rows:
        frame = self.frame(metadata)
        if frame.columns != [name for name, _, _ in columns]:
            raise ValueError(f"columns are {frame.columns}")
        return by_key(columns, self.collect(frame, [(name, of) for name, _, of in columns]))

    def collect(self, frame: Any, columns: list[tuple[str, Any]]) -> list[tuple[Any, ...]]:
        expressions = [_spark_expression("`" + name.replace("`", "``") + "`", of, 0) for name, of in columns]
        selected = frame.selectExpr(*(f"{e} AS c{i}" for i, e in enumerate(expressions)))
        return [tuple(row) for row in selected.collect()]

    def count(self, metadata: str, condition: tuple[str, str]) -> int | None:
        return self.frame(metadata).where(condition[0]).count()

    def total(self, metadata: str) -> int:
        return self.frame(metadata).count()

    def close(self) -> None:
        self.session.stop()
        if self.own:
            shutil.rmtree(self.warehouse, ignore_errors=True)


def _package_prefix(jar: str) -> str:
    """Some jars carry Iceberg under another package's name."""
    suffix = "org/apache/iceberg/spark/SparkCatalog.class"
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if name.endswith(suffix):
                return name.removesuffix(suffix).replace("/", ".")
    raise RuntimeError(f"{jar} has no {suffix}")


def _spark_expression(name: str, of: Any, depth: int) -> str:
    """What Python cannot hold in all its range, as numbers; bytes as hexadecimal."""
    if isinstance(of, ListType):
        variable = f"x{depth}"
        return f"transform({name}, {variable} -> {_spark_expression(variable, of.element, depth + 1)})"
    if isinstance(of, Map):
        variable = f"x{depth}"
        key = _spark_expression(f"{variable}.key", of.key, depth + 1)
        value = _spark_expression(f"{variable}.value", of.value, depth + 1)
        return f"transform(map_entries({name}), {variable} -> struct({key} AS `0`, {value} AS `1`))"
    if isinstance(of, Struct):
        fields = ", ".join(f"'{field}', {_spark_expression(f'{name}.`{field}`', kind, depth)}" for field, kind in of.fields)
        return f"if({name} IS NULL, NULL, named_struct({fields}))"
    match of.name:
        case "date":
            return f"unix_date({name})"
        case "timestamp" | "timestamptz":
            return f"unix_micros(CAST({name} AS timestamp))"
        case "binary":
            return f"hex({name})"
        case _:
            return name


ENGINES = {"pyiceberg": PyIceberg, "duckdb": DuckDb, "spark": Spark}
