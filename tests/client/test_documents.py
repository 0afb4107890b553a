from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.params import parse_begin
from client.documents import (
    MAX_BYTES,
    merge,
    parse_document,
    read_documents,
    read_yaml_documents,
    spec_document,
    text_documents,
    yaml_text,
)
from pixmill.errors import SpecError, UserError
from pixmill.pipelines import parse_pipeline
from pixmill.quantities import parse_count, parse_seconds
from pixmill.specs import GenerateSpec, JobOptions, TrainSpec

# A database keeps no NUL in a text, so a spec holds none.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
SCALARS = st.one_of(
    st.booleans(), st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)
WORDS = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
TRICKY = ["no", "yes", "on", "true", "null", "~", "1e-4", "1_000", "0x10", "0o7", "12:30:45", "2026-11-21", "<<", ""]


@given(
    st.dictionaries(WORDS, SCALARS, max_size=4),
    st.lists(st.one_of(TEXTS, st.sampled_from(TRICKY)), min_size=1, max_size=4),
    st.dictionaries(WORDS, st.one_of(TEXTS, st.sampled_from(TRICKY)), max_size=3),
    st.integers(1, 10**9),
)
def test_a_written_document_reads_back_as_the_same_job(
    options: dict[str, Any], classes: list[str], labels: dict[str, str], count: int
) -> None:
    text_cases = [
        (TrainSpec(model="vae", dataset="folder:/data/no: such", images=count, options=options), labels),
        (GenerateSpec(model="digits@3", n=count, classes=classes), labels),
    ]
    for spec, chosen in text_cases:
        queued = JobOptions(name="no", labels=chosen, priority=3)
        text = yaml_text(spec_document(spec.model_dump(mode="json"), queued.model_dump(exclude_defaults=True)))
        assert [parse_document(found) for found in read_yaml_documents(text)] == [(spec, queued)]


def test_time_spans_of_a_file_are_read_like_those_of_flags() -> None:
    _spec, options = parse_document({"kind": "ping", "retry_seconds": "1.5m", "time_limit_seconds": 60})
    assert (options.retry_seconds, options.time_limit_seconds) == (90, 60)
    with pytest.raises(SpecError, match="'retry_seconds': 'soon' is not a time span"):
        parse_document({"kind": "ping", "retry_seconds": "soon"})


@pytest.mark.parametrize(
    ("text", "found"),
    [("a: 1\n---\nb: 2\n", [{"a": 1}, {"b": 2}]), ("---\na: 1\n---\n", [{"a": 1}]), ("---\n---\n", None), ("", None)],
)
def test_a_file_holds_any_number_of_documents(text: str, found: list[object] | None, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(text, encoding="utf-8")
    if found is None:
        with pytest.raises(SpecError, match="holds no keys and values"):
            read_documents(str(file))
    else:
        assert read_documents(str(file)) == found


def test_yaml_is_read_as_its_later_version_says(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    lines = [
        "a: no",
        "b: 1e-4",
        "c: 2026-11-21T02:00:00Z",
        "d: 012",
        "e: true",
        "f: ~",
        "g: 1_000",
        "h: .5",
        "i: 12:30",
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    assert read_documents(str(file))[0] == {
        "a": "no",
        "b": 1e-4,
        "c": "2026-11-21T02:00:00Z",
        "d": 12,
        "e": True,
        "f": None,
        "g": 1000,
        "h": 0.5,
        "i": "12:30",
    }


def test_a_file_that_is_no_spec_by_its_size_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    file.write_text("a: " + "x" * MAX_BYTES, encoding="utf-8")
    with pytest.raises(UserError, match="larger than"):
        read_documents(str(file))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text"):
        read_documents(str(file))


@pytest.mark.parametrize("name", ["a.json", "a.toml", "a.yaml"])
def test_a_broken_file_is_one_clear_error(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{ [", encoding="utf-8")
    with pytest.raises(SpecError, match="cannot be read"):
        read_documents(str(tmp_path / name))


def test_flags_that_were_not_given_leave_the_document_alone() -> None:
    document = {"kind": "train", "images": 5, "options": {"width": 8}, "labels": {"a": "1"}}
    assert merge(document, {"images": None, "labels": {}, "options": {}, "after": []}) == document
    merged = merge(document, {"images": 6, "options": {"norm": "none"}, "labels": {"a": "2"}})
    assert merged == {"kind": "train", "images": 6, "options": {"width": 8, "norm": "none"}, "labels": {"a": "2"}}


def test_counts_of_a_document_may_be_written_short() -> None:
    spec, _options = parse_document({"kind": "generate", "model": "m", "n": "1.5M", "shard_size": "10k"})
    assert spec == GenerateSpec(model="m", n=1_500_000, shard_size=10_000)
    with pytest.raises(SpecError, match="'n': 'lots' is not a whole number"):
        parse_document({"kind": "generate", "model": "m", "n": "lots"})


@given(st.integers(0, 10**15))
def test_a_written_count_reads_back(number: int) -> None:
    assert parse_count(str(number)) == parse_count(f"{number:_}") == number


@pytest.mark.parametrize("text", ["", "k", "1.5", "-3", "1e6", "10 k", "0.0001k", "1.2345k", "ten", "1__"])
def test_what_is_no_count_is_refused(text: str) -> None:
    if text == "1__":
        assert parse_count(text) == 1
        return
    with pytest.raises(ValueError, match="is not a whole number"):
        parse_count(text)


@pytest.mark.parametrize("text", ["", "m", "-3", "1y", "10 m"])
def test_what_is_no_time_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time span"):
        parse_seconds(text)


def test_a_begin_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        parse_begin("2026-11-21T02:00:00")


NINE = "[" + ",".join(["*a"] * 9) + "]"
BOMBS = {
    "aliases of aliases": "x: &a 1\n" + "".join(f"{k}: &a {NINE}\n" for k in "bcdefghij"),
    "an alias of itself": "a: &a [*a]\n",
    "lists in lists": "a: " + "[" * 3000,
    "mappings in mappings": "{a: " * 3000,
    "too many values": "a: [" + "1," * 2_000 + "1]",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
@pytest.mark.parametrize("suffix", [".yaml", ".json", ".toml"])
def test_a_small_text_that_stands_for_much_is_refused(text: str, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.documents.MAX_VALUES", 1000)
    with pytest.raises(SpecError) as caught:
        text_documents(text, "the spec", suffix)
    assert len(caught.value.message) < 600


def test_json_may_not_be_deep_or_long_either() -> None:
    for text in ("[" * 100_000, '{"a":' * 40 + "1" + "}" * 40, '{"a": [' + "1," * 60_000 + "1]}"):
        with pytest.raises(SpecError, match="holds more than 50,000 values, or more than 32 lists"):
            text_documents(text, "the spec", ".json")


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system [id]",
        "a: !!binary aGVsbG8=",
        "a: !!timestamp 2026-11-22",
        "a: !!timestamp never",
        "a: !!bool perhaps",
        "a: !!set {x, y}",
        "? [1, 2]\n: 3",
        "a: " + "9" * 5000,
    ],
)
def test_what_json_has_no_word_for_is_no_value(text: str) -> None:
    with pytest.raises(SpecError, match="the spec cannot be read"):
        text_documents(text, "the spec")


def test_half_a_character_is_refused_and_a_long_value_is_told_in_part() -> None:
    with pytest.raises(SpecError, match="half a character"):
        parse_document({"kind": "train", "model": "vae", "dataset": "\ud800"})
    with pytest.raises(SpecError) as caught:
        parse_document({"kind": "train", "model": "vae", "dataset": "digits", "seed": "x" * 100_000})
    assert len(caught.value.message) < 500
    deep: list[Any] = []
    deep.append(deep)
    with pytest.raises(SpecError, match="lists and mappings in each other"):
        parse_document({"kind": "train", "model": "vae", "dataset": deep})


@pytest.mark.parametrize("kind", [{}, [], 7, None])
def test_a_kind_or_a_step_that_is_no_word_is_refused(kind: Any) -> None:
    with pytest.raises(SpecError):
        parse_document({"kind": kind, "model": "vae"})
    with pytest.raises(SpecError):
        parse_pipeline({"kind": "pipeline", "name": "night", "steps": [{"step": kind, "kind": "ping"}]})
