import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmill.errors import SpecError
from pixmill.specs import (
    KINDS,
    AnimateSpec,
    CompressSpec,
    DecompressSpec,
    EditSpec,
    EvaluateSpec,
    GenerateSpec,
    JobOptions,
    Spec,
    TrainSpec,
    parse_options,
    parse_spec,
    split_document,
)

texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
seeds = st.integers(0, 2**63 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
option_values = st.booleans() | st.integers(-(2**60), 2**60) | numbers | texts
train_specs = st.builds(
    TrainSpec,
    seed=seeds,
    model=texts,
    dataset=texts,
    image_size=st.none() | st.integers(8, 256),
    channels=st.sampled_from([None, 1, 3]),
    images=st.integers(1, 10**12),
    precision=st.sampled_from(["fp32", "bf16", "auto"]),
    options=st.dictionaries(texts, option_values, max_size=4),
)
generate_specs = st.builds(
    GenerateSpec, seed=seeds, model=texts, n=st.integers(1, 10**12), classes=st.none() | st.lists(texts, max_size=3)
)
evaluate_specs = st.builds(EvaluateSpec, seed=seeds, output=st.integers(1, 2**63 - 1), dataset=st.none() | texts)
compress_specs = st.builds(
    CompressSpec, model=texts, dataset=st.none() | texts, part=st.sampled_from([None, "held-out", "all"])
)
decompress_specs = st.builds(DecompressSpec, output=st.none() | st.integers(1, 99), files=st.none() | texts)
animate_specs = st.builds(
    AnimateSpec,
    seed=seeds,
    model=texts,
    n=st.integers(1, 100_000),
    frames=st.integers(2, 1000),
    stops=st.none() | st.integers(2, 100),
    given=st.none() | st.integers(1, 500),
)
edit_specs = st.builds(
    EditSpec,
    seed=seeds,
    model=texts,
    way=st.sampled_from(["attribute", "interpolate", "class", "optimise"]),
    dataset=st.none() | texts,
    n=st.none() | st.integers(1, 100_000),
    indices=st.none() | st.lists(st.integers(0, 2**62 - 1), min_size=1, max_size=4),
    strengths=st.none() | st.lists(st.floats(-100, 100), min_size=1, max_size=4),
    classes=st.none() | st.lists(texts, min_size=1, max_size=3),
    style_weight=st.none() | st.floats(0, 1e12),
)
specs = train_specs | generate_specs | animate_specs | edit_specs | evaluate_specs | compress_specs | decompress_specs
label_keys = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters='"\\\x7f\xad').filter(str.isprintable),
    min_size=1,
    max_size=20,
)
labels = st.dictionaries(label_keys, texts, max_size=3)
options = st.builds(JobOptions, priority=st.integers(-1000, 1000), after=st.lists(st.integers(1, 99)), labels=labels)

TRAIN = {"kind": "train", "model": "vae", "dataset": "digits"}
GENERATE = {"kind": "generate", "model": "digits@1", "n": 10}
EVALUATE = {"kind": "evaluate", "output": 3}


@given(specs)
def test_a_spec_survives_json(spec: Spec) -> None:
    back = parse_spec(json.loads(json.dumps(spec.model_dump(mode="json"))))
    assert back == spec
    assert back.digest() == spec.digest()


@given(options)
def test_options_survive_json(given_options: JobOptions) -> None:
    assert parse_options(json.loads(given_options.model_dump_json())) == given_options


def test_what_generate_jobs_have_learnt_leaves_the_digests_of_others_as_they_were() -> None:
    plain = GenerateSpec(model="m", n=5)
    assert plain.digest() == "88c77b3f4312a6960b5e5c50fd0e74dfe44568f468872e6e4cf18812911843bc"
    assert (
        len({plain.digest(), *(GenerateSpec(model="m", n=5, format=name).digest() for name in ("raw", "files"))}) == 3
    )


@given(specs)
def test_the_order_of_keys_does_not_change_the_digest(spec: TrainSpec | GenerateSpec | EvaluateSpec) -> None:
    values = spec.model_dump(mode="json")
    assert parse_spec(dict(reversed(values.items()))).digest() == spec.digest()


@given(train_specs, seeds)
def test_another_seed_is_another_digest(spec: TrainSpec, seed: int) -> None:
    other = spec.model_copy(update={"seed": seed})
    assert (other.digest() == spec.digest()) == (seed == spec.seed)


def test_digests_stay_what_they_were_when_the_first_jobs_were_stored() -> None:
    digests = [parse_spec(values).digest()[:16] for values in (TRAIN, GENERATE, EVALUATE)]
    assert digests == ["95b1eebdef684cf0", "1bdee641da3480e9", "265c88ad184747b7"]


def test_defaults_given_or_left_out_are_the_same_spec() -> None:
    assert parse_spec(TRAIN | {"seed": 0, "version": 1}).digest() == parse_spec(TRAIN).digest()


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        (
            {},
            "the spec has no 'kind'",
            (
                "choose one of: animate, compress, decompress, edit, evaluate, gate, generate, ping, report, restore, "
                "train"
            ),
        ),
        ({"kind": "tarin"}, "unknown kind 'tarin'", "did you mean 'train'?"),
        ({"kind": ["train"]}, "unknown kind", "did you mean 'train'?"),
        (TRAIN | {"version": 2}, "spec version 2 is not known", "upgrade pixmill"),
        (TRAIN | {"datset": "x"}, "train spec: unknown key 'datset'", "did you mean 'dataset'?"),
        ({"kind": "train", "modle": "vae", "dataset": "x"}, "unknown key 'modle'", "did you mean 'model'?"),
        ({"kind": "train", "model": "vae"}, "'dataset' is missing", "give a value for 'dataset'"),
        (TRAIN | {"train": 1}, "train spec: unknown key 'train'", "choose one of: accept_drift, "),
        (GENERATE | {"int": 1}, "unknown key 'int'", "choose one of: class"),
        (TRAIN | {"seed": -1}, "'seed' is -1: input should be greater than or equal to 0", None),
        (TRAIN | {"seed": "1"}, "'seed' is '1': input should be a valid integer", None),
        (TRAIN | {"image_size": 257}, "'image_size' is 257: .* less than or equal to 256", None),
        (TRAIN | {"channels": 2}, "'channels' is 2: input should be 1 or 3", None),
        (TRAIN | {"precision": "fp16"}, "'precision' is 'fp16': input should be 'fp32', 'bf16' or 'auto'", None),
        (TRAIN | {"model": "a\0b"}, "train spec: a text holds the character NUL", "remove it"),
        (TRAIN | {"options": {"a\0": 1}}, "train spec: a text holds the character NUL", "remove it"),
        (GENERATE | {"n": 0}, "'n' is 0: .* greater than or equal to 1", None),
        (GENERATE | {"classes": [1]}, r"'classes\.0' is 1: input should be a valid string", None),
        (EVALUATE | {"output": 2**63}, "'output' is 9223372036854775808: .* less than", None),
    ],
)
def test_a_wrong_spec_is_refused_in_one_line(values: dict[str, Any], message: str, hint: str | None) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        parse_spec(values)
    assert "\n" not in str(caught.value)
    assert (caught.value.hint or "").startswith(hint or "give another value for '")


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, float("nan"), float("inf")])
def test_an_option_of_no_allowed_type_is_told_all_allowed_types(value: object) -> None:
    message = r"train spec: 'options\.width' is .*: input should be true, false, a finite number or a string"
    with pytest.raises(SpecError, match=message):
        parse_spec(TRAIN | {"options": {"width": value}})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"qeue": "x"}, "job options: unknown key 'qeue'"),
        ({"name": "a b"}, "'name' is 'a b': string should match pattern"),
        ({"name": "digits\n"}, "'name' is .*: string should match pattern"),
        ({"priority": 1001}, "'priority' is 1001"),
        ({"after": [0]}, r"'after\.0' is 0"),
        ({"after_policy": "never"}, "'after_policy' is 'never': input should be 'ok' or 'any'"),
        ({"key": ""}, "'key' is ''"),
        ({"labels": {"a": 1}}, r"'labels\.a' is 1"),
        ({"begin": "2026-11-21T02:00:00"}, "'begin' is .* has no time zone; add Z"),
        ({"begin": "0001-01-01T00:00:00+14:00"}, "'begin' is .* lies outside"),
        ({"labels": {'a"b': "x"}}, "should match pattern"),
        ({"labels": {"a\\b": "x"}}, "should match pattern"),
        ({"labels": {"a\nb": "x"}}, "should match pattern"),
        ({"labels": {"": "x"}}, "should match pattern"),
        ({"labels": {"a": "\0"}}, "job options: a text holds the character NUL"),
    ],
)
def test_wrong_options_are_refused_by_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_options(values)


def test_a_begin_time_is_kept_in_utc() -> None:
    assert parse_options({"begin": "2026-11-21T02:00:00+01:00"}).begin == "2026-11-21T01:00:00.000Z"


def test_a_document_is_parted_into_spec_and_options() -> None:
    spec, rest = split_document(TRAIN | {"priority": 5, "labels": {"a": "b"}, "oops": 1})
    assert spec == TRAIN | {"oops": 1}
    assert rest == {"priority": 5, "labels": {"a": "b"}}


def test_no_key_is_both_of_a_spec_and_of_the_options() -> None:
    for kind in KINDS.values():
        assert not kind.model_fields.keys() & JobOptions.model_fields.keys()


def test_a_spec_cannot_be_changed_afterwards() -> None:
    spec = TrainSpec(model="vae", dataset="digits")
    with pytest.raises(ValueError, match="frozen"):
        setattr(spec, "seed", 1)  # noqa: B010  mypy refuses the plain way, as it should
