"""What a generate job can be asked for."""

from typing import Any

import pytest

from db.tables.models import Dataset
from pixmill.errors import SpecError
from pixmill.specs import GenerateSpec, parse_spec
from scheduler.generation import check_filter, check_generate
from tests import rows


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"n": 9, "class_counts": {"a": 3, "b": 5}}, "the class counts sum to 8, and 9 images are asked for"),
        ({"class_counts": {"a": 3}, "class_weights": {"a": 1.0}}, "--class-counts and --class-weights both say"),
        ({"n": 9, "classes": ["a"], "class_weights": {"a": 1.0}}, "--classes and --class-weights both say"),
        ({"class_counts": {"a": 0}}, "is missing"),
        ({"n": 9, "class_counts": {"a": -3}}, "'class_counts.a' is -3"),
        ({"n": 9, "class_weights": {"a": 0.0}}, "'class_weights.a' is 0.0: input should be greater than 0"),
        ({"n": 9, "class_weights": {}}, "'class_weights' is {}"),
        ({"n": 9, "truncation": 0.0}, "'truncation' is 0.0"),
        ({"n": 9, "min_confidence": 0.5}, "--min-confidence means nothing where no image is rejected"),
        ({"n": 9, "further_models": ["one@1"]}, "model one@1 is named twice"),
        ({"n": 9, "further_models": ["two@1"], "model_weights": [1.0]}, "1 weights are given to 2 models"),
        ({"n": 9, "model_weights": [1.0, 2.0]}, "2 weights are given to 1 model"),
        ({"n": 9, "further_models": ["two@1"], "model_weights": [1.0, 0.0]}, "'model_weights.1' is 0.0"),
        ({"n": 9, "reject_duplicates": "exact", "min_confidence": 0.5}, "--min-confidence means nothing"),
        ({"n": 9, "reject_duplicates": "exact", "on_reject": "best"}, "of duplicates none is the best"),
        ({"n": 9, "filter_model": "cnn@1", "min_confidence": 1.0}, "'min_confidence' is 1.0"),
        ({"n": 9, "truncation": 1.5}, "'truncation' is 1.5: input should be less than or equal to 1"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as refused:
        check(**asked)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def check(**asked: Any) -> GenerateSpec:
    spec = parse_spec({"kind": "generate", "model": "one@1", **asked})
    assert isinstance(spec, GenerateSpec)
    return check_generate(spec)


def test_class_counts_say_how_many_images_there_are() -> None:
    spec = check(class_counts={"a": 3, "b": 5})
    assert (spec.n, spec.named_classes) == (8, ["a", "b"])
    assert check(n=4, class_weights={"c": 0.5}).named_classes == ["c"]
    assert check(n=4).named_classes == []


def test_duplicates_are_rejected_as_often_as_a_filter_would() -> None:
    spec = check(n=4, reject_duplicates="near")
    assert (spec.max_tries, spec.on_reject, spec.min_confidence) == (100, "fail", None)


def test_models_share_the_images_evenly_unless_weighted() -> None:
    assert check(n=4, further_models=["two@1"]).model_weights == [1.0, 1.0]
    assert check(n=4, further_models=["two@1"], model_weights=[1.0, 3.0]).model_weights == [1.0, 3.0]
    assert check(n=4, model_weights=[2.0]).model_weights is None


def test_a_filter_is_stored_with_all_that_was_left_open() -> None:
    spec = check(n=4, filter_model="cnn@1", max_tries=7)
    assert (spec.min_confidence, spec.max_tries, spec.on_reject) == (0.8, 7, "fail")
    assert check(n=4).max_tries is None


@pytest.mark.parametrize(
    ("judge", "asked", "message"),
    [
        ({"image_size": 8}, {}, "filter model cnn@1 takes images of 8×8×1, and those of one@1 are of 16×16×1"),
        ({"channels": 3}, {}, "takes images of 16×16×3"),
        ({"classes": ["0", "1"]}, {}, "filter model cnn@1 knows no class '2'; classes: 0, 1"),
        ({"classes": ["0", "1"]}, {"classes": ["0"]}, None),
        ({"classes": ["0", "x"]}, {"class_weights": {"1": 1.0}}, "knows no class '1'"),
    ],
)
def test_a_filter_takes_the_images_and_knows_their_classes(
    judge: dict[str, Any], asked: dict[str, Any], message: str | None
) -> None:
    data = Dataset(id=1)
    spec = check(n=4, filter_model="cnn@1", **asked)
    maker, filters = rows.version(1, data), rows.version(2, data, **judge)
    if message is None:
        check_filter(spec, maker, filters)
        return
    with pytest.raises(SpecError, match=message):
        check_filter(spec, maker, filters)
