"""Types of columns, and one form for their values whatever engine they come from.

A value's form is what JSON can hold: integers for dates (days) and for times and timestamps
(microseconds), strings for decimals, UUIDs and (in hexadecimal) bytes, `"NaN"`, `"Infinity"` and
`"-Infinity"` for floats that are no numbers, lists, and objects for structs. Two values are the
same if their forms are equal; -0.0 and 0.0 are not.
"""

from __future__ import annotations

import datetime
import decimal
import functools
import math
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Primitive:
    """A primitive type, named as the Iceberg specification names it."""

    name: str
    scale: int = 0

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class List:
    element: Any

    def __str__(self) -> str:
        return f"list<{self.element}>"


@dataclass(frozen=True)
class Map:
    key: Any
    value: Any

    def __str__(self) -> str:
        return f"map<{self.key}, {self.value}>"


@dataclass(frozen=True)
class Struct:
    fields: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return "struct<" + ", ".join(f"{name}: {of}" for name, of in self.fields) + ">"


BOOLEAN = Primitive("boolean")
INT = Primitive("int")
LONG = Primitive("long")
FLOAT = Primitive("float")
DOUBLE = Primitive("double")
DATE = Primitive("date")
TIME = Primitive("time")
TIMESTAMP = Primitive("timestamp")
TIMESTAMPTZ = Primitive("timestamptz")
STRING = Primitive("string")
# char(n): PostgreSQL pads with blanks that mean nothing.
PADDED = Primitive("string", scale=1)
UUID = Primitive("uuid")
BINARY = Primitive("binary")


def decimal_type(precision: int, scale: int) -> Primitive:
    return Primitive(f"decimal({precision}, {scale})", scale)


def form(of: Any, value: Any) -> Any:
    """The form of `value`, which an engine gave for a column of type `of`."""
    return former(of)(value)


@functools.cache
def former(of: Any) -> Callable[[Any], Any]:
    """The function that gives a value of type `of` its form; rows by the hundred thousand go through it."""
    if isinstance(of, List):
        element = former(of.element)
        return lambda value: None if value is None else [element(item) for item in value]
    if isinstance(of, Struct):
        fields = [(name, former(field)) for name, field in of.fields]
        return lambda value: None if value is None else {name: field(value[name]) for name, field in fields}
    if isinstance(of, Map):
        key, item = former(of.key), former(of.value)

        def pairs(value: Any) -> Any:
            if value is None:
                return None
            entries = value.items() if isinstance(value, dict) else value
            return sorted(([key(k), item(v)] for k, v in entries), key=repr)

        return pairs
    primitive = _FORMS[of.name.split("(")[0]]
    return lambda value: None if value is None else primitive(of, value)


def _boolean(_: Primitive, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is no boolean")
    return value


def _integer(_: Primitive, value: Any) -> int:
    if isinstance(value, bool) or int(value) != value:
        raise TypeError(f"{value!r} is no integer")
    return int(value)


def _double(_: Primitive, value: Any) -> Any:
    number = float(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    # repr() keeps the sign of zero, which comparison would not.
    return repr(number)


def _float(of: Primitive, value: Any) -> Any:
    number = float(value)
    if math.isnan(number) or math.isinf(number):
        return _double(of, number)
    return repr(struct.unpack("<f", struct.pack("<f", number))[0])


def _decimal(of: Primitive, value: Any) -> str:
    number = value if isinstance(value, decimal.Decimal) else decimal.Decimal(str(value))
    exact = number.quantize(_unit(of.scale), context=_DECIMALS)
    if exact != number:
        raise ValueError(f"{value!r} does not fit scale {of.scale}")
    # There is no negative zero among decimals.
    return format(_DECIMALS.plus(exact), "f")


_DECIMALS = decimal.Context(prec=60)


@functools.cache
def _unit(scale: int) -> decimal.Decimal:
    return decimal.Decimal(1).scaleb(-scale)


def _date(_: Primitive, value: Any) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        value = datetime.date.fromisoformat(value)
    return value.toordinal() - EPOCH_DAY


def _time(_: Primitive, value: Any) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        value = datetime.time.fromisoformat(value)
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return seconds * MICROSECONDS + value.microsecond


def _timestamp(_: Primitive, value: Any) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    if value.tzinfo is not None:
        value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    difference = value - datetime.datetime(1970, 1, 1)
    seconds = difference.days * 86_400 + difference.seconds
    return seconds * MICROSECONDS + difference.microseconds


def _string(of: Primitive, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no string")
    return value.rstrip(" ") if of.scale else value


def _uuid(_: Primitive, value: Any) -> str:
    if isinstance(value, bytes):
        return str(uuid.UUID(bytes=value))
    return str(uuid.UUID(str(value)))


def _binary(_: Primitive, value: Any) -> str:
    if isinstance(value, str):
        # PostgreSQL's output, or Spark's hex().
        return value.removeprefix("\\x").lower()
    return bytes(value).hex()


_FORMS = {
    "boolean": _boolean,
    "int": _integer,
    "long": _integer,
    "float": _float,
    "double": _double,
    "decimal": _decimal,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "timestamptz": _timestamp,
    "string": _string,
    "uuid": _uuid,
    "binary": _binary,
    "fixed": _binary,
}
