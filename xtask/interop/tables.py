"""The tables that are compared: how PostgreSQL makes them, and what their columns are to Iceberg."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from values import (
    BINARY,
    BOOLEAN,
    DATE,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    PADDED,
    STRING,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UUID,
    List,
    Struct,
    decimal_type,
)

SCHEMA = "interop"


@dataclass(frozen=True)
class Table:
    """A table, with its key first among the columns.

    `steps` are committed one after the other, and after each the table is compared.
    """

    name: str
    columns: tuple[tuple[str, str, Any], ...]
    steps: tuple[str, ...]
    create: str = ""
    # Engines that cannot read such a table; why stands beside.
    without: frozenset[str] = frozenset()
    # Conditions in SQL, understood alike by PostgreSQL, DuckDB and Spark; PyIceberg's own beside.
    filters: tuple[tuple[str, str], ...] = field(default=())
    # Whether all values are compared after each commit, or only after the last.
    each_commit: bool = True
    # Of the format, after the last step.
    format_version: int = 2

    @property
    def qualified(self) -> str:
        return f"{SCHEMA}.{self.name}"

    @property
    def is_heap_at_times(self) -> bool:
        return any("heap" in statement for statement in (self.create, *self.steps))

    def create_statement(self) -> str:
        if self.create:
            return self.create
        columns = ", ".join('"{}" {}'.format(name.replace('"', '""'), sql) for name, sql, _ in self.columns)
        return f"CREATE TABLE {self.qualified} ({columns}) USING iceberg;"


POINT = Struct((("x", DOUBLE), ("y", DOUBLE), ("label", STRING)))
NEST = Struct((("n", INT), ("p", POINT), ("tags", List(STRING)), ("at", TIMESTAMPTZ), ("d", decimal_type(12, 4))))

TYPES = """
CREATE TYPE interop.mood AS ENUM ('sad', 'ok', 'very "happy"');
CREATE TYPE interop.visit AS (at tstzrange, moods interop.mood[], lasted interval, cost numeric);
CREATE TYPE interop.point3 AS (x float8, y float8, label text);
CREATE TYPE interop.nest AS (n int, p interop.point3, tags text[], at timestamptz, d numeric(12, 4));
"""

PRIMITIVE_COLUMNS = (
    ("id", "int", INT),
    ("c_bool", "boolean", BOOLEAN),
    ("c_int2", "smallint", INT),
    ("c_int8", "bigint", LONG),
    ("c_float4", "real", FLOAT),
    ("c_float8", "double precision", DOUBLE),
    ("c_dec_38", "numeric(38,10)", decimal_type(38, 10)),
    ("c_dec_9", "numeric(9,2)", decimal_type(9, 2)),
    ("c_dec_18", "numeric(18,0)", decimal_type(18, 0)),
    ("c_dec_fraction", "numeric(20,20)", decimal_type(20, 20)),
    ("c_text", "text", STRING),
    ("c_varchar", "varchar(40)", STRING),
    ("c_char", "char(6)", PADDED),
    ("c_name", "name", STRING),
    ("c_bytea", "bytea", BINARY),
    ("c_date", "date", DATE),
    ("c_timestamp", "timestamp", TIMESTAMP),
    ("c_timestamptz", "timestamptz", TIMESTAMPTZ),
    ("c_uuid", "uuid", UUID),
    ("c_json", "json", STRING),
    ("c_jsonb", "jsonb", STRING),
)
NULLS = ", ".join(["NULL"] * (len(PRIMITIVE_COLUMNS) - 1))

PRIMITIVES = Table(
    "primitives",
    PRIMITIVE_COLUMNS,
    (
        """INSERT INTO interop.primitives VALUES
        (1, true, 1, 2, 1.5, 2.5, 1.0000000001, 1.25, 7, 0.5, 'text', 'varchar', 'char', 'name', '\\x00ff10', '2024-02-29',
         '2024-02-29 23:59:59.999999', '2024-02-29 12:00:00.000001+02', '00112233-4455-6677-8899-aabbccddeeff', '{"a": 1,  "a": 2}', '{"b": [1, null]}');""",
        """INSERT INTO interop.primitives VALUES
        (2, false, -32768, -9223372036854775808, '-3.4028235e38', '-1.7976931348623157e308', -9999999999999999999999999999.9999999999, -9999999.99,
         -999999999999999999, -0.99999999999999999999, '', '', '', '', '', '0001-01-01', '0001-01-01 00:00:00', '0001-01-01 00:00:00+00',
         '00000000-0000-0000-0000-000000000000', '""', '""'),
        (3, true, 32767, 9223372036854775807, '3.4028235e38', '1.7976931348623157e308', 9999999999999999999999999999.9999999999, 9999999.99,
         999999999999999999, 0.99999999999999999999, repeat('é', 1000), repeat('漢', 40), 'ab cd ', repeat('n', 63), decode(repeat('ab', 1000), 'hex'),
         '9999-12-31', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '[]', '{}');""",
        f"INSERT INTO interop.primitives VALUES (4, {NULLS});",
        """INSERT INTO interop.primitives (id, c_float4, c_float8, c_text, c_bytea, c_date, c_timestamp, c_timestamptz) VALUES
        (5, 'NaN', 'NaN', E'\\t\\n\\\\ "quoted" ''single''', '\\xffffffff', '1969-12-31', '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.999999+00'),
        (6, 'Infinity', '-Infinity', U&'\\+01F600 \\200B', '\\x00', '1970-01-01', '1970-01-01', '1582-10-04 00:00:00.5+00'),
        (7, '-0', '-0', 'NULL', '\\x', '0099-12-31', '1582-10-10 01:02:03.000004', '2000-01-01 00:00:00.123456-11:30'),
        (8, '1e-45', '5e-324', ' ', '\\x20', '1582-10-04', '1900-01-01', '1900-01-01+00'),
        (9, 0, 0, repeat(U&'\\+10FFFD', 20), decode(repeat('ff', 40), 'hex'), '2038-01-20', '2262-04-12', '2262-04-12+00');""",
    ),
    filters=(
        ("c_int8 > 0", "c_int8 > 0"),
        ("c_text = 'text'", "c_text == 'text'"),
        ("c_text IS NULL", "c_text is null"),
        ("c_date >= DATE '2024-01-01'", "c_date >= '2024-01-01'"),
        ("c_dec_9 < 0", "c_dec_9 < 0"),
        ("c_bool = false", "c_bool == false"),
    ),
)

# Spark has no type for a time of day and refuses the whole table.
TIMES = Table(
    "times",
    (("id", "int", INT), ("t", "time", TIME), ("ts", "time[]", List(TIME))),
    (
        "INSERT INTO interop.times VALUES (1, '00:00', '{12:00}'), (2, '23:59:59.999999', '{NULL,00:00:00.000001}'), (3, NULL, NULL), (4, '12:34:56.789012', '{}');",
    ),
    without=frozenset({"spark"}),
)

NESTED = Table(
    "nested",
    (
        ("id", "int", INT),
        ("ints", "int[]", List(INT)),
        ("longs", "bigint[]", List(LONG)),
        ("texts", "text[]", List(STRING)),
        ("stamps", "timestamptz[]", List(TIMESTAMPTZ)),
        ("dates", "date[]", List(DATE)),
        ("nums", "numeric(10,3)[]", List(decimal_type(10, 3))),
        ("flags", "boolean[]", List(BOOLEAN)),
        ("floats", "real[]", List(FLOAT)),
        ("blobs", "bytea[]", List(BINARY)),
        ("docs", "jsonb[]", List(STRING)),
        ("p", "interop.point3", POINT),
        ("ps", "interop.point3[]", List(POINT)),
        ("n", "interop.nest", NEST),
        ("ns", "interop.nest[]", List(NEST)),
    ),
    (
        """INSERT INTO interop.nested VALUES
        (1, '{1,2,3}', '{-9223372036854775808,9223372036854775807}', '{a,"b c",""}', '{2024-01-01 00:00+00}', '{2024-02-29}', '{1.5,-2.125}', '{t,f}', '{1.5,NaN}',
         ARRAY['\\x00'::bytea, '\\x'], ARRAY['{"k": 1}'::jsonb],
         (1, 2, 'three'), ARRAY[(1, 2, 'a')::interop.point3, (3, 4, 'b')::interop.point3], (1, (2, 3, 'in')::interop.point3, '{t1,t2}', '2024-01-01+00', 1.5),
         ARRAY[(1, (2, 3, 'in')::interop.point3, '{t1}', '2024-01-01+00', -1.5)::interop.nest]);""",
        """INSERT INTO interop.nested VALUES
        (2, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', (NULL, NULL, NULL), '{}', (NULL, NULL, NULL, NULL, NULL), '{}'),
        (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (4, '{NULL}', '{NULL,1,NULL}', '{NULL,x,NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL,-0}', '{NULL}', ARRAY[NULL, 'null']::jsonb[],
         (NULL, 2, NULL), ARRAY[NULL, (NULL, NULL, NULL)::interop.point3, (1, NULL, '')::interop.point3], (1, NULL, NULL, NULL, NULL),
         ARRAY[NULL, (NULL, NULL, '{}', NULL, NULL)::interop.nest]);""",
        """INSERT INTO interop.nested (id, ints, p, n, ns)
        SELECT g, array(SELECT x FROM generate_series(1, g % 7) x), (g, -g, 'p' || g)::interop.point3, (g, (g, g, NULL)::interop.point3, ARRAY['t' || g], 'epoch'::timestamptz + g * interval '1 hour', g / 4.0)::interop.nest,
               array(SELECT (x, NULL, NULL, NULL, x)::interop.nest FROM generate_series(1, g % 3) x)
        FROM generate_series(10, 2000) g;""",
    ),
)

VISIT = Struct((("at", STRING), ("moods", List(STRING)), ("lasted", STRING), ("cost", decimal_type(38, 18))))
# What PostgreSQL prints of them, with the settings that text forms are made with.
WITHOUT_COUNTERPART_COLUMNS = (
    ("id", "int", INT),
    ("c_numeric", "numeric", decimal_type(38, 18)),
    ("c_wide", "numeric(50,3)", STRING),
    ("c_oid", "oid", LONG),
    ("c_xid8", "xid8", decimal_type(20, 0)),
    ("c_interval", "interval", STRING),
    ("c_mood", "interop.mood", STRING),
    ("c_inet", "inet", STRING),
    ("c_bit", "bit(5)", STRING),
    ("c_range", "tstzrange", STRING),
    ("c_point", "point", STRING),
    ("c_timetz", "timetz", STRING),
    ("c_tsvector", "tsvector", STRING),
    ("spans", "interval[]", List(STRING)),
    ("moods", "interop.mood[]", List(STRING)),
    ("numbers", "numeric[]", List(decimal_type(38, 18))),
    ("v", "interop.visit", VISIT),
    ("vs", "interop.visit[]", List(VISIT)),
)
WITHOUT_COUNTERPART = Table(
    "without_counterpart",
    WITHOUT_COUNTERPART_COLUMNS,
    (
        """SET timezone = 'Asia/Kathmandu'; SET datestyle = 'SQL, DMY'; SET intervalstyle = 'sql_standard'; SET extra_float_digits = -5;
        INSERT INTO interop.without_counterpart VALUES
        (1, 1.50, 12345678901234567890123456789012345678901234567.125, 4294967295, '18446744073709551615', make_interval(1, 2, 0, -3, 4, 5, 6.789),
         'very "happy"', '10.1.2.3/8', B'01011', '["2024-01-01 00:00:00+05",infinity)', '(0.1,0.30000000000000004)', '12:34:56.5+05:45', 'a fat cat:3A',
         ARRAY['1 mon'::interval, NULL, '-1 hour'], '{ok,NULL}', '{1.5,NULL,-0.000000000000000001}',
         ('["2024-01-01 00:00:00+00",)', '{sad}', '5 min', 0.1), ARRAY[NULL, ('empty', NULL, 'infinity', 100)::interop.visit]);""",
        """INSERT INTO interop.without_counterpart VALUES
        (2, 99999999999999999999.999999999999999999, -0.001, 0, '0', '0', 'sad', '::1', B'00000', 'empty', '(NaN,-Infinity)', '00:00-15:59', '',
         '{}', '{}', '{}', (NULL, NULL, NULL, NULL), '{}'),
        (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);""",
    ),
    filters=(
        ("c_numeric = 1.5", "c_numeric == 1.500000000000000000"),
        ("c_oid > 4294967294", "c_oid > 4294967294"),
        ("c_mood IS NULL", "c_mood is null"),
    ),
)

# PyIceberg hands lists of UUIDs to pyarrow in a form that pyarrow cannot make.
UUIDS = Table(
    "uuids",
    (("id", "int", INT), ("us", "uuid[]", List(UUID))),
    ("INSERT INTO interop.uuids VALUES (1, ARRAY['00112233-4455-6677-8899-aabbccddeeff', NULL]::uuid[]), (2, '{}'), (3, NULL);",),
    without=frozenset({"pyiceberg"}),
)

EMPTY = Table("empty", PRIMITIVE_COLUMNS, (), create="CREATE TABLE interop.empty (LIKE interop.primitives) USING iceberg;")
EMPTY_NESTED = Table("empty_nested", NESTED.columns, (), create="CREATE TABLE interop.empty_nested (LIKE interop.nested) USING iceberg;")
EMPTIED = Table(
    "emptied",
    (("id", "int", INT), ("name", "text", STRING)),
    (
        "INSERT INTO interop.emptied SELECT g, 'row ' || g FROM generate_series(1, 100) g;",
        "TRUNCATE interop.emptied;",
        "BEGIN; INSERT INTO interop.emptied VALUES (1, 'undone'); ROLLBACK;",
        "BEGIN; TRUNCATE interop.emptied; INSERT INTO interop.emptied VALUES (2, 'kept'); SAVEPOINT s; INSERT INTO interop.emptied VALUES (3, 'undone'); ROLLBACK TO s; INSERT INTO interop.emptied VALUES (4, 'behind a gap in row ids'); COMMIT;",
    ),
)

LARGE = Table(
    "large",
    (
        ("id", "bigint", LONG),
        ("grp", "int", INT),
        ("amount", "numeric(12,2)", decimal_type(12, 2)),
        ("ratio", "double precision", DOUBLE),
        ("at", "timestamptz", TIMESTAMPTZ),
        ("day", "date", DATE),
        ("label", "text", STRING),
        ("hash", "text", STRING),
        ("sparse", "int", INT),
        ("tags", "int[]", List(INT)),
    ),
    tuple(
        f"""SET pg_iceberg_am.target_file_size = '{size}';
        INSERT INTO interop.large
        SELECT g, g % 97, (g * 7919::bigint % 1000000) / 100.0 - 5000, sqrt(g), '2020-01-01 00:00+00'::timestamptz + g * interval '1 second 7 microseconds', '2020-01-01'::date + (g / 1000)::int,
               'a label that is longer than the bounds are: ' || lpad((g % 1000)::text, 5, '0'), md5(g::text), CASE WHEN g % 1000 = 0 THEN g END, CASE WHEN g % 5 > 0 THEN ARRAY[g, NULL, -g] END
        FROM generate_series({first}, {last}) g;"""
        for size, first, last in (("1MB", 1, 150_000), ("256MB", 150_001, 299_000), ("4MB", 299_001, 300_000))
    ),
    filters=(
        ("id = 123456", "id == 123456"),
        ("id % 8 = 2", ""),
        ("id > 299990", "id > 299990"),
        ("id BETWEEN 149990 AND 150010", "id >= 149990 and id <= 150010"),
        ("grp = 13 AND id < 10000", "grp == 13 and id < 10000"),
        ("label = 'a label that is longer than the bounds are: 00042'", "label == 'a label that is longer than the bounds are: 00042'"),
        ("sparse IS NOT NULL", "sparse is not null"),
        ("amount < -4999", "amount < -4999.00"),
        ("day = DATE '2020-03-01'", "day == '2020-03-01'"),
    ),
    each_commit=False,
)

SMALL_COMMITS = Table(
    "small_commits",
    (("id", "int", INT), ("name", "text", STRING)),
    tuple(f"INSERT INTO interop.small_commits VALUES ({n}, {'NULL' if n % 3 == 0 else repr('row ' + str(n))});" for n in range(1, 21)),
)

NAMES = Table(
    "names",
    (
        ("id", "int", INT),
        ("Column One", "int", INT),
        ('quo"te', "text", STRING),
        ("größe 表 😀", "text", STRING),
        ("with.dot", "int", INT),
        ("1st", "int", INT),
        ("list", "int[]", List(INT)),
        ("element", "int", INT),
        ("a/b-c", "int", INT),
    ),
    ("INSERT INTO interop.names VALUES (1, 2, 'q', 'g', 3, 4, '{5,NULL}', 6, 7), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);",),
)

REWRITTEN = Table(
    "rewritten",
    (("id", "int", INT), ("kept", "text", STRING), ("added", "int", INT)),
    (
        "INSERT INTO interop.rewritten (id, kept) SELECT g, 'k' || g FROM generate_series(11, 20) g;",
        "VACUUM FULL interop.rewritten;",
        "ALTER TABLE interop.rewritten SET ACCESS METHOD heap; DELETE FROM interop.rewritten WHERE id % 2 = 0; ALTER TABLE interop.rewritten SET ACCESS METHOD iceberg;",
    ),
    create="""CREATE TABLE interop.rewritten (id int, lost date, kept text) USING heap;
        INSERT INTO interop.rewritten SELECT g, '2024-01-01', 'k' || g FROM generate_series(1, 10) g;
        ALTER TABLE interop.rewritten DROP COLUMN lost;
        ALTER TABLE interop.rewritten ADD COLUMN added int DEFAULT 5;
        ALTER TABLE interop.rewritten SET ACCESS METHOD iceberg;""",
)

# Deletes: rows that are in files and rows that are not yet, files that lose all rows, files that lose some more each time.
CHANGED = Table(
    "changed",
    (("id", "int", INT), ("name", "text", STRING), ("amount", "numeric(12,2)", decimal_type(12, 2)), ("tags", "int[]", List(INT))),
    (
        "INSERT INTO interop.changed SELECT g, 'row ' || g, g, ARRAY[g, NULL] FROM generate_series(1, 5000) g;",
        "UPDATE interop.changed SET name = name || ' updated', tags = tags || 7 WHERE id % 10 = 3;",
        "DELETE FROM interop.changed WHERE id BETWEEN 100 AND 199 OR id % 7 = 0;",
        "INSERT INTO interop.changed SELECT g, NULL, -g, NULL FROM generate_series(5001, 6000) g; DELETE FROM interop.changed WHERE id = 5500; UPDATE interop.changed SET amount = 0 WHERE id > 5990;",
        "BEGIN; UPDATE interop.changed SET amount = amount + 1 WHERE id < 50; UPDATE interop.changed SET amount = amount + 1 WHERE id < 25; SAVEPOINT s; DELETE FROM interop.changed; ROLLBACK TO s; INSERT INTO interop.changed VALUES (7001, 'gone', 1, NULL), (7002, 'stays', 2, NULL); DELETE FROM interop.changed WHERE id = 7001; COMMIT;",
        "MERGE INTO interop.changed t USING (SELECT g AS id FROM generate_series(4900, 7100) g) s ON t.id = s.id WHEN MATCHED AND t.id % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET name = 'merged' WHEN NOT MATCHED AND s.id > 6990 THEN INSERT VALUES (s.id, 'new', 0, '{}');",
        "SELECT lakebase.publish('interop.changed'); VACUUM interop.changed;",
        "DELETE FROM interop.changed WHERE id < 3000;",
        "SELECT lakebase.compact('interop.changed');",
        "DELETE FROM interop.changed;",
        "INSERT INTO interop.changed VALUES (1, 'again', 1, NULL);",
    ),
    filters=(("id = 1", "id == 1"), ("name IS NULL", "name is null")),
)


def _named(table: Table, name: str, options: str = "", at: dict[int, str] | None = None) -> Table:
    """The table under another name and in version 3: by an option at once, or by the statements before these steps."""
    statements = [statement.replace(table.qualified, f"{SCHEMA}.{name}") for statement in table.steps]
    for step, statement in (at or {}).items():
        statements[step] = f"{statement} {statements[step]}"
    renamed = replace(table, name=name, steps=tuple(statements), format_version=3)
    return replace(renamed, create=renamed.create_statement().removesuffix(";") + f" {options};")


# The same with deletion vectors, from the beginning and from when there are position delete files already.
CHANGED_V3 = _named(CHANGED, "changed_v3", "WITH (format_version = 3)")
UPGRADED = _named(CHANGED, "upgraded", at={4: "ALTER TABLE interop.upgraded SET (format_version = 3);"})

PLACE = Struct((("label", STRING), ("height", DOUBLE)))

# Names are exchanged: who goes by them reads the wrong column.
RENAMED = Table(
    "renamed",
    (("id", "int", INT), ("b", "int", INT), ("a", "int", INT), ("at", "interop.place", PLACE), ("ats", "interop.place[]", List(PLACE))),
    ("INSERT INTO interop.renamed VALUES (3, 30, 300, ('three', 3.5), ARRAY[('3', 3)::interop.place, NULL]);",),
    create="""CREATE TYPE interop.place AS (x float8, label text, y float8);
        CREATE TABLE interop.renamed (id int, lost text, a int, b int, at interop.place, ats interop.place[]) USING iceberg;
        INSERT INTO interop.renamed VALUES (1, 'lost', 10, 100, (0.5, 'one', 1.5), ARRAY[(0, '1', 1)::interop.place]);
        BEGIN;
        INSERT INTO interop.renamed VALUES (2, 'lost', 20, 200, (0.5, NULL, 2.5), NULL);
        ALTER TABLE interop.renamed RENAME a TO c;
        ALTER TABLE interop.renamed RENAME b TO a;
        ALTER TABLE interop.renamed RENAME c TO b;
        ALTER TABLE interop.renamed DROP COLUMN lost;
        ALTER TYPE interop.place RENAME ATTRIBUTE y TO height;
        ALTER TYPE interop.place DROP ATTRIBUTE x;
        COMMIT;""",
    filters=(("b = 20", "b == 20"), ("a > 100", "a > 100")),
)

MATVIEW = Table(
    "matview",
    (("grp", "int", INT), ("n", "bigint", LONG), ("top", "text", STRING)),
    ("REFRESH MATERIALIZED VIEW interop.matview;",),
    create="CREATE MATERIALIZED VIEW interop.matview USING iceberg AS SELECT id % 3 AS grp, count(*) AS n, max(name) AS top FROM interop.small_commits GROUP BY 1;",
)

# In the order in which they are made.
TABLES = (PRIMITIVES, TIMES, NESTED, WITHOUT_COUNTERPART, UUIDS, EMPTY, EMPTY_NESTED, EMPTIED, LARGE, SMALL_COMMITS, NAMES, REWRITTEN, CHANGED, CHANGED_V3, UPGRADED, RENAMED, MATVIEW)
