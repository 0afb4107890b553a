"""Rows of a data set's tables by what stands in them: `label == cat`, `size > 900`, `sha256 == 12ab…`."""

import json
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pixmill.errors import CorruptFile, UserError
from pixmill.names import suggestion
from storage.manifest import read_hashes, read_metadata, read_table
from storage.places import Place, at_hand
from storage.records import ShardRecord

NULL = "null"
CLASS = "class"  # a column that no table has: the name of the label

_CONDITION = re.compile(r"\s*(\w+)\s*(==|=|!=|<=|>=|<|>|\bin\b)\s*(.+?)\s*")
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "=": operator.eq,
        "==": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }
)


@dataclass(frozen=True)
class Condition:
    """A column, what it is compared by, and with what."""

    column: str
    comparison: str
    value: str


def parse_condition(text: str) -> Condition:
    """Read one condition.  Raises UserError.

    >>> parse_condition("label in 3, 7")
    Condition(column='label', comparison='in', value='3, 7')
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UserError(f"{text!r} is no condition", hint="write COLUMN OP VALUE, such as 'label == 3' or 'size > 900'")
    return Condition(match[1], match[2], match[3])


def find_rows(
    place: Place, records: Sequence[ShardRecord], conditions: Sequence[Condition]
) -> Iterator[dict[str, Any]]:
    """The rows that fulfil all conditions, in order; hashes as hexadecimal digits, and of labels the classes too.

    One shard is held at a time. Raises UserError for a column that is not there or a value that does not fit it, and
    CorruptFile for a table that cannot be read.
    """
    for record in sorted(records, key=lambda record: record.number):
        path = at_hand(place, record.number, "parquet") / record.parquet
        classes = _class_names(path)
        table = read_table(path)
        for condition in conditions:
            table = table.filter(_expression(condition, table.schema, classes))
        for row in table.to_pylist():
            yield _shown(row, classes)


def find_hashes(place: Place, records: Sequence[ShardRecord], hashes: Collection[bytes]) -> Iterator[dict[str, Any]]:
    """The rows with one of these sha256 (32 bytes each), as `find_rows` gives them.

    Of a shard without any, one column is read. Raises CorruptFile for a table that cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(hashes, pa.binary(32))
    for record in sorted(records, key=lambda record: record.number):
        path = at_hand(place, record.number, "parquet") / record.parquet
        if not pc.any(pc.is_in(read_hashes(path), wanted)).as_py():
            continue
        classes = _class_names(path)
        for row in read_table(path).filter(pc.is_in(pc.field("sha256"), wanted)).to_pylist():
            yield _shown(row, classes)


def _class_names(path: Path) -> list[str]:
    try:
        names: list[str] = json.loads(read_metadata(path).get("class_names", "[]"))
    except ValueError as error:
        raise CorruptFile(f"{path} names classes that cannot be read: {error}", hint="make the shard again") from error
    return names


def _shown(row: dict[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    label = row.get("label")
    if classes and label is not None:
        named = classes[label] if 0 <= label < len(classes) else None
        place = list(row).index("label") + 1
        items = list(row.items())
        row = dict([*items[:place], (CLASS, named), *items[place:]])
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}


def _expression(condition: Condition, schema: Any, classes: Sequence[str]) -> Any:
    import pyarrow.compute as pc

    by_name = condition.column == CLASS
    name = "label" if by_name else condition.column
    if name not in schema.names:
        known = [*schema.names, *([CLASS] if classes else [])]
        raise UserError(f"there is no column {name!r}", hint=suggestion(name, known))
    field, kind = pc.field(name), schema.field(name).type
    if condition.value.lower() == NULL:
        return _null_test(condition, field)
    if by_name and condition.comparison not in ("=", "==", "!=", "in"):
        raise UserError(f"classes have no order: class {condition.comparison} means nothing", hint="compare the label")
    texts = condition.value.split(",") if condition.comparison == "in" else [condition.value]
    values = [_value(condition.column, text.strip(), kind, classes) for text in texts]
    return field.isin(values) if condition.comparison == "in" else _COMPARISONS[condition.comparison](field, values[0])


def _null_test(condition: Condition, field: Any) -> Any:
    if condition.comparison not in ("=", "==", "!="):
        raise UserError(f"{condition.column} {condition.comparison} null means nothing", hint="use == or !=")
    return field.is_null() if condition.comparison != "!=" else field.is_valid()


def _value(name: str, text: str, kind: Any, classes: Sequence[str]) -> Any:
    """The text as a value of the column's type; of a label it may name the class."""
    import pyarrow as pa

    bare = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
    is_name = name == CLASS or (name == "label" and not bare.isdecimal())
    if is_name and bare in classes:
        return pa.scalar(classes.index(bare), kind)
    if is_name and classes:
        raise UserError(f"there is no class {bare!r}", hint=suggestion(bare, classes))
    try:
        if pa.types.is_integer(kind):
            return pa.scalar(int(bare.replace("_", "")), pa.int64())
        if pa.types.is_boolean(kind):
            return pa.scalar({"true": True, "false": False}[bare.lower()], kind)
        if pa.types.is_floating(kind):
            return pa.scalar(float(bare), kind)
        return pa.scalar(bytes.fromhex(bare) if pa.types.is_fixed_size_binary(kind) else bare, kind)
    except (ValueError, KeyError, OverflowError, pa.ArrowException):
        raise UserError(f"{bare!r} does not fit column {name}", hint=f"give a value of type {kind}, or null") from None
