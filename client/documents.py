"""Spec documents: read from a file, laid under the flags of a command line, and written back."""

import json
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pixmill.errors import SpecError, UserError
from pixmill.names import suggestion
from pixmill.quantities import parse_count, parse_seconds
from pixmill.specs import KINDS, JobOptions, parse_options, parse_spec, split_document

if TYPE_CHECKING:
    from db.tables.jobs import Job
    from pixmill.specs import Spec

MAX_BYTES = 1_000_000  # a spec has some hundred; whatever is larger is another file
MAX_VALUES = 50_000  # of a document, those that an alias of YAML repeats counted each time
LONGEST_REASON = 500  # characters of what a decoder says
MAX_DEPTH = 32  # of lists and mappings in each other

ARRAY_KEYS = ("array", "array_limit", "sweep")  # of documents that ask for many jobs

_GATE_KEYS = ("gates", "primary")
_COUNT_KEYS = ("images", "n", "shard_size", "min_images")
_SPAN_KEYS = ("retry_seconds", "time_limit_seconds")
_MERGED_KEYS = ("options", "labels", "sweep")  # a flag adds to what the file says of these
# What made the job wait belongs to its time, and its key to that one job.
_CIRCUMSTANCES = ("key", "after", "after_policy", "hold", "begin")


class _SpecLoader(yaml.SafeLoader):
    """YAML as its version 1.2 reads it: 1e-4 is a number, `no` a word, and a time stays as it was written."""

    met = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Give up early: this reader needs ten seconds for a megabyte of commas."""
        self.met += 1
        if self.met > MAX_VALUES:
            raise RecursionError
        return super().compose_node(parent, index)

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  as the base class declares it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a key that is there twice: one of them would be lost without a word."""
        met = set()
        for key_node, _value in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is no plain word", key_node.start_mark)
            key = self.construct_object(key_node, deep=True)
            if key in met:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is there twice", node.start_mark)
            met.add(key)
        return super().construct_mapping(node, deep)


def _construct_int(_loader: _SpecLoader, node: yaml.ScalarNode) -> int:
    """A number in base ten; the older version of YAML reads 012 as ten."""
    return int(node.value.replace("_", ""))


_SpecLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)
# Tags for what JSON has no word for are not known: times, bytes, sets and pairs.
_SpecLoader.yaml_constructors = {
    tag: constructor
    for tag, constructor in _SpecLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in ("null", "bool", "int", "float", "str", "seq", "map")
}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9][0-9_]*", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", "-+0123456789."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _SpecLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def read_documents(source: str) -> list[dict[str, Any]]:
    """The keys of each job in a YAML, JSON or TOML file by its suffix, or in YAML or JSON on stdin for `-`.

    A file of YAML may hold several documents, parted by lines of three dashes. Raises UserError for a file that cannot
    be read, SpecError for one that is no mapping of keys to values.
    """
    return text_documents(_read_text(source), _name(source), Path(source).suffix)


def text_documents(text: str, name: str = "the text", suffix: str = ".yaml") -> list[dict[str, Any]]:
    """The keys of each job in a text of YAML, or what else files of that suffix hold; errors call it `name`.

    Raises SpecError.
    """
    limit = SpecError(
        f"{name} holds more than {MAX_VALUES:,} values, or more than {MAX_DEPTH} lists and mappings in each other"
    )
    try:
        if suffix == ".toml":
            found: list[Any] = [tomllib.loads(text)]
        elif suffix == ".json":
            found = [json.loads(text)]
        else:
            found = read_yaml_documents(text)
    except RecursionError:
        raise limit from None
    except (ValueError, LookupError, yaml.YAMLError) as error:  # both decoders' errors are ValueErrors
        raise SpecError(f"{name} cannot be read: {' '.join(str(error).split())[:LONGEST_REASON]}") from None
    if not _is_small(found):
        raise limit
    return [_keys(document, number, name) for number, document in enumerate(found, start=1)]


def _is_small(value: Any) -> bool:
    """Whether a value is within the limits; of one that is not, no more is looked at than the limits allow.

    An alias of YAML is the same object in many places: nine lines can stand for a thousand million values.
    """
    waiting, met = [(value, 0)], 0
    while waiting:
        found, depth = waiting.pop()
        inner = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else []
        met += 1
        if depth > MAX_DEPTH or met + len(waiting) + len(inner) > MAX_VALUES:
            return False
        waiting += [(each, depth + 1) for each in inner]
    return True


def read_gates(source: str) -> dict[str, Any]:
    """`gates`, and maybe `primary`, of a file that `--gates` names.  Raises UserError or SpecError."""
    (document, *others) = read_documents(source)
    if others or "gates" not in document:
        found = "several documents" if others else "no 'gates'"
        raise SpecError(f"{_name(source)} holds {found}", hint="begin it with: gates:")
    for key in document.keys() - set(_GATE_KEYS):
        raise SpecError(f"{_name(source)}: unknown key '{key}'", hint=suggestion(key, _GATE_KEYS))
    return document


def _keys(document: Any, number: int, name: str) -> dict[str, Any]:
    if not isinstance(document, dict):
        which = f"document {number} of {name}" if number > 1 else name
        raise SpecError(f"{which} holds no keys and values", hint="begin it with: kind: train")
    return {str(key): value for key, value in document.items()}


def read_yaml_documents(text: str) -> list[Any]:
    """What each document of a YAML stream holds, empty ones left out if there is another.  Raises yaml.YAMLError."""
    found = list(yaml.load_all(text, _SpecLoader))
    return [document for document in found if document is not None] or [None]


def _name(source: str) -> str:
    return "stdin" if source == "-" else f"spec {source}"


def _read_text(source: str) -> str:
    try:
        if source == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UserError(f"{_name(source)} is larger than {MAX_BYTES:,} bytes; a spec is a small text file")
        return data.decode()
    except OSError as error:
        raise UserError(f"{_name(source)} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{_name(source)} is not a text in UTF-8") from None


def merge(document: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the flags that were given laid over it."""
    merged = dict(document)
    for key, value in flags.items():
        if value is None or value in ((), [], {}):
            continue
        present = merged.get(key)
        merged[key] = {**present, **value} if key in _MERGED_KEYS and isinstance(present, dict) else value
    return merged


def parse_document(document: Mapping[str, Any]) -> tuple["Spec", JobOptions]:
    """A validated spec and validated options; counts may be written like 10k, time spans like 2h.

    Raises SpecError that names the key, and the one that may be meant.
    """
    values = readable(document)
    spec_values, option_values = split_document(values)
    _refuse_unknown(values)
    return parse_spec(spec_values), parse_options(option_values)


def readable(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with plain numbers for counts and spans that people write short.  Raises SpecError."""
    return {key: _readable(key, value) for key, value in document.items()}


def _readable(key: str, value: Any) -> Any:
    readers: dict[str, Callable[[str], Any]] = {
        **dict.fromkeys(_COUNT_KEYS, parse_count),
        **dict.fromkeys(_SPAN_KEYS, parse_seconds),
    }
    if key not in readers or not isinstance(value, str) or "${" in value:  # a reference of a pipeline
        return value
    try:
        return readers[key](value)
    except ValueError as error:
        raise SpecError(f"'{key}': {error}") from None


def _refuse_unknown(document: Mapping[str, Any]) -> None:
    kind = document.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        return  # parse_spec says so
    known = {*KINDS[kind].model_fields, *JobOptions.model_fields}
    for key in document:
        if key in ARRAY_KEYS:
            raise SpecError(f"{kind} spec: '{key}' makes many jobs, and one is wanted here", hint="pixmill submit -f")
        if key not in known:
            raise SpecError(f"{kind} spec: unknown key '{key}'", hint=suggestion(key, known))


def spec_document(spec: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The document that asks for a spec under options."""
    head = {key: spec[key] for key in ("version", "kind") if key in spec}
    given = {key: value for key, value in spec.items() if value is not None and value != {}}
    return {**head, **given, **options}


def job_document(job: "Job") -> dict[str, Any]:
    """The document that repeats a job: without what it waited for, and without its key."""
    options = {key: value for key, value in job.options.items() if key not in _CIRCUMSTANCES}
    return spec_document(job.spec, {"name": job.name, **options})


def yaml_text(document: Mapping[str, Any]) -> str:
    """The document as YAML that `read_documents` reads back unchanged."""
    # The library does not escape those line breaks that only Unicode knows, and reads them back as spaces.
    plain = json.dumps(document, ensure_ascii=False).isprintable()
    text: str = yaml.dump(dict(document), Dumper=_SpecDumper, sort_keys=False, allow_unicode=plain)
    return text


class _SpecDumper(yaml.SafeDumper):
    """Quotes what either version of YAML would read as something else."""


_SpecDumper.yaml_implicit_resolvers = {
    letter: [
        *yaml.SafeDumper.yaml_implicit_resolvers.get(letter, []),
        *_SpecLoader.yaml_implicit_resolvers.get(letter, []),
    ]
    for letter in {*yaml.SafeDumper.yaml_implicit_resolvers, *_SpecLoader.yaml_implicit_resolvers}
}
