"""Cases: texts that mean something elsewhere, documents that are nearly right, and files with a few bytes changed."""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from pixmill.specs import KINDS, JobOptions
from tests.fuzz import draw as st

HOSTILE = (
    "", " ", "../../outside/secret", "/etc/passwd", "..", ".", "/", "//", "~", "~root", "a/../../b", "a\0b",
    "\x1b[2J\x1b]0;x\x07",
    "\u202egnp.exe", "\udc80", "\ud800", "%s%n%x", "${x.y}", "${params.n}", "${run.id", "{{7*7}}", "{0.__class__}",
    "<script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>", "'; DROP TABLE jobs; --", "$(id)", "`id`", "|id",
    "-h", "--help", "-", "--", "9" * 5000, "-1", "1e999", "nan", "inf", "-inf", "0x10", "1_000", "٣", "²", "½", "true",
    "null", "None", "job:1", "job:0", "job:99999999999999999999", "job:-1", "digits-vae@1", "digits-vae@champion",
    "digits-vae@", "@1", "a@b@c", "folder:", "folder:..", "folder:/proc/self", "folder:/dev", "zip:/dev/zero",
    "zip:/dev/null", "tar:/dev/random", "tar:{a,b,c}{1..999999999}", "tar:/tmp/{0..9}{0..9}{0..9}{0..9}{0..9}{0..9}",
    "idx:/dev/zero", "s3://pictures/x", "http://169.254.169.254/", "file:///etc/passwd", "sorted/", "\n", "\r\n",
    "a\nb",
    "2026-11-22", "2026-11-22T02:00:00Z", "9999-12-31T23:59:59+23:59", "0001-01-01T00:00:00-23:59", "now", "yesterday",
    "99999999999d", "1.5h", "-5m", "🂡" * 50, "a" * 10_000, "(" * 500, "[" * 500, "*" * 100, "\\", "\\u0000",
)  # fmt: skip
KEYS = [
    *sorted({key for kind in KINDS.values() for key in kind.model_fields} | set(JobOptions.model_fields)),
    "steps", "params", "step", "when", "gate", "auto", "gates", "primary", "kind", "version",
]  # fmt: skip
texts = st.one_of(st.sampled_from(HOSTILE), st.text(), st.text("0123456789.,-+:/*=<>@kMdhms {}$", most=25))
numbers = st.one_of(
    st.integers(-3, 40),
    st.sampled_from([2**31, 2**32, 2**53 + 1, 2**62, 2**63 - 1, 2**63, -(2**63), 10**30, 10**400]),
    st.floats(),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.nested(scalars, texts)
RIGHT = st.one_of(
    st.sampled_from(["digits", "vae", "sngan", "cnn", "job:1", "digits-vae@1", "default", "cpu", "any", "ok", "fail"]),
    st.integers(1, 64),
    st.booleans(),
)
documents = st.builds(
    lambda kind, body: {"kind": kind, **body} if kind else body,
    st.one_of(st.sampled_from([*KINDS, "pipeline", ""]), texts),
    st.dictionaries(st.sampled_from(KEYS) | texts, RIGHT | values, most=7),
)
steps = st.dictionaries(
    st.sampled_from(["train", "make", "judge", "promote", "report"]) | texts, documents | values, most=4
)
pipelines = st.builds(
    lambda name, found, params, more: {"kind": "pipeline", "name": name, "steps": found, "params": params, **more},
    st.just("night") | texts,
    steps | st.lists(documents, most=3) | values,
    st.dictionaries(texts, values, most=3) | values,
    st.dictionaries(st.sampled_from(KEYS) | texts, values, most=1),
)
gates = st.builds(
    lambda body, limits: {"kind": "gate", "model": "digits-vae@1", "gates": limits, **body},
    st.dictionaries(st.sampled_from(sorted(KINDS["gate"].model_fields)), RIGHT | values, most=3),
    st.dictionaries(
        st.sampled_from(["kid", "fd", "coverage", "copies", "max", "min", "margin"]) | texts, values, most=4
    )
    | values,
)


def written(document: Any, suffix: str) -> str:
    """A document as a file of that suffix; what the format has no word for is left to the text of JSON."""
    plain = json.dumps(document)
    if suffix == ".json":
        return plain
    if suffix == ".toml" and isinstance(document, dict):
        return "\n".join(f"{json.dumps(str(key))} = {json.dumps(value)}" for key, value in document.items())
    try:
        return str(yaml.safe_dump(document, allow_unicode=True))
    except (yaml.YAMLError, ValueError):
        return plain


YAML_PIECES = (
    "&a ", "*a", "<<: *a", "!!python/object:os.system ", "!!binary ", "!!set ", "? ", "- ", "---\n", "...\n", "|\n",
    "{", "}", "[", "]", ": ", ", ", "#", "%YAML 9.9\n", "!<x> ", "\t", "'", '"', "@", "`", "\ufeff", "kind: train\n",
    "kind: ping\n", "  ", "\n", "a", "1", "~", "[" * 200, "{a: " * 200, "x: &a [*a, *a]\n",
)  # fmt: skip
yaml_texts = st.lists(st.sampled_from(YAML_PIECES) | st.text(most=5), most=25).map("".join)
suffixes = st.sampled_from([".yaml", ".json", ".toml"])
spec_texts = st.one_of(
    st.tuples(st.builds(written, documents, suffixes), suffixes),
    st.tuples(st.builds(written, pipelines | gates, st.just(".json")), st.sampled_from([".yaml", ".json"])),
    st.tuples(yaml_texts, suffixes),
)

_INTERESTING = tuple(
    bytes.fromhex(each)
    for each in (
        "00",
        "ff",
        "7fffffff",
        "ffffffff",
        "80000000",
        "0000",
        "00000000",
        "ffff",
        "7fff",
        "0a",
        "22",
        "5b",
        "7b",
    )
)
_change = st.tuples(
    st.sampled_from(["set", "insert", "delete", "repeat", "cut", "zero"]),
    st.integers(0, 999_999).map(lambda share: share / 1e6),
    st.integers(1, 40),
    st.sampled_from(_INTERESTING) | st.binary(least=1, most=6),
)


def changed(content: bytes, changes: Sequence[tuple[str, float, int, bytes]]) -> bytes:
    """The bytes after some changes."""
    data = bytearray(content)
    for what, share, length, piece in changes:
        at = int(share * len(data))
        if what == "set":
            data[at : at + len(piece)] = piece
        elif what == "insert":
            data[at:at] = piece
        elif what == "delete":
            del data[at : at + length]
        elif what == "repeat":
            data[at:at] = data[at : at + length] * 3
        elif what == "zero":
            data[at : at + length] = bytes(length)
        elif share > 0.5:
            del data[at:]
    return bytes(data)


def damaged(samples: Sequence[bytes]) -> st.Cases:
    """One of the samples with a few changes, or bytes of no meaning."""
    return st.one_of(
        st.builds(changed, st.sampled_from(list(samples)), st.lists(_change, least=1, most=4)),
        st.builds(changed, st.sampled_from(list(samples)), st.lists(_change, least=1, most=4)),
        st.binary(most=200),
    )


def bent(sample: Any) -> st.Cases:
    """A JSON value with another value somewhere inside, or without something, or with more."""
    return st.builds(_bent, st.just(sample), st.lists(st.tuples(st.integers(0, 10**6), values), least=1, most=2))


def _bent(sample: Any, changes: Sequence[tuple[int, Any]]) -> Any:
    root = {"whole": json.loads(json.dumps(sample))}
    for number, new in changes:
        place = number
        holder: Any = root
        key: Any = "whole"
        while isinstance(holder[key], dict | list) and holder[key] and place % 7:
            holder = holder[key]
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            key, place = keys[place % len(keys)], place // 3
        if place % 5 == 0 and holder is not root:
            del holder[key]
        else:
            holder[key] = new
    return root["whole"]
