"""Gate jobs at their submit: what is fixed, what is filled in, and what is refused before anything starts."""

from typing import Any

import pytest

from db.aliases import promote
from pixmill.aliases import aliases_of_task
from pixmill.errors import Conflict, KeyConflict, NotFound, PixmillError, SpecError
from pixmill.gates.limits import default_gates
from pixmill.specs import GateSpec, TrainSpec, parse_spec
from tests import rows
from tests.rows import act
from tests.scheduler.desk import DEED, Desk

CONDITIONAL = TrainSpec(model="vae", dataset="digits", conditional=True)


def trained(desk: Desk, preset: str = "vae", classes: tuple[str, ...] = ("0", "1"), **version: Any) -> None:
    """The next version of `digits`, from a train job that says how."""
    job = desk.submit(TrainSpec(model=preset, dataset="digits", conditional=bool(classes))).job_id
    desk.trained(job_id=job, preset=preset, classes=list(classes), **version)


@pytest.fixture
def two(desk: Desk) -> Desk:
    """Two versions of a model, the first of them champion."""
    for _ in range(2):
        trained(desk)
    act(desk.database, promote, "digits@1", "champion", DEED)
    return desk


def spec_of(desk: Desk, spec: GateSpec, **options: Any) -> GateSpec:
    found = parse_spec(desk.job(spec, **options).spec)
    assert isinstance(found, GateSpec)
    return found


def test_both_models_are_fixed_and_the_alias_is_kept(two: Desk) -> None:
    job = two.job(GateSpec(model="digits", against="digits@champion", images=100))
    assert (job.spec["model"], job.spec["against"]) == ("digits@2", "digits@1")
    (task,) = rows.tasks(two.database, job.id)
    assert (task.role.value, aliases_of_task(task.params)) == ("gate", {"digits@1": "champion"})
    assert job.progress_total == 600
    act(two.database, promote, "digits@2", "champion", DEED)
    assert rows.job(two.database, job.id).spec["against"] == "digits@1", "a promotion meanwhile changes nothing"


def test_gates_that_are_left_out_are_those_of_the_family(two: Desk) -> None:
    spec = spec_of(two, GateSpec(model="digits", against="digits@1"))
    assert (spec.primary, spec.gates) == ("kid", default_gates("autoencoder", has_classes=True))
    trained(two, preset="forest", classes=())
    spec = spec_of(two, GateSpec(model="digits@3"))
    assert spec.gates == default_gates("forest", has_classes=False)
    assert "agreement" not in (spec.gates or {})
    again = two.job(spec, name="again")
    assert again.spec == two.job(GateSpec(model="digits@3"), name="third").spec


def test_the_same_key_finds_the_job_whose_gates_were_filled_in(two: Desk) -> None:
    asked = GateSpec(model="digits", against="digits@champion")
    first = two.submit(asked, key="night")
    assert two.submit(asked, key="night").job_id == first.job_id
    with pytest.raises(KeyConflict, match="gates"):
        two.submit(parse_spec({**asked.model_dump(), "gates": {"kid": {"worse_by": 9}}}), key="night")


def test_a_model_still_in_training_is_waited_for(two: Desk) -> None:
    train = two.submit(CONDITIONAL).job_id
    job = two.job(GateSpec(model=f"job:{train}", against="digits@champion"))
    assert (job.spec["model"], job.spec["against"], two.parents(job.id)) == (f"job:{train}", "digits@1", {train: False})
    assert "class_share" in job.spec["gates"]


@pytest.mark.parametrize(
    ("changes", "error", "message", "hint"),
    [
        ({"against": "digits@champoin"}, NotFound, "model digits has no alias 'champoin'", "leave out --against"),
        ({"against": "digits@7"}, NotFound, "there is no model 'digits@7'", "pixmill model ls"),
        ({"against": "digits@2"}, Conflict, "model digits@2 is the one that it would be judged against", "--model"),
        ({"gates": {"psnr": {"min": 20}}}, SpecError, "gate 'psnr': nothing of that name is measured", "choose one"),
        ({"gates": {"coverge": {"min": 0.5}}}, SpecError, "gate 'coverge'", "did you mean 'coverage'?"),
        ({"gates": {"bad_pixels": {"max": 9}}}, SpecError, "is asked of every model", "leave it out"),
        ({"gates": {"kid": {}}}, SpecError, "gate kid asks for nothing", "worse_by"),
        ({"gates": {"kid": {"min": 0.1}}}, SpecError, "lower is better, and min 0.1 would refuse it", "max"),
        ({"gates": {"coverage": {"max": 0.1}}}, SpecError, "higher is better, and max 0.1 would refuse it", "min"),
        ({"gates": {"coverage": {"min": 80}}}, SpecError, "min is 80; it lies between 0 and 1", "share of real"),
        ({"gates": {"kid": {"worse_by": 1, "worse_by_share": 1}}}, SpecError, "both worse_by and", "leave out one"),
        ({"gates": {"coverage": {"worse_by": 0.1}}}, SpecError, "primary measure kid has no gate that", "worse_by"),
        ({"primary": "beauty"}, SpecError, "gate 'beauty'", "choose one of"),
        ({"dataset": "moving:digits"}, PixmillError, "is of sequences, and images are needed", "--dataset digits"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_before_anything_starts(
    two: Desk, changes: dict[str, Any], error: type[PixmillError], message: str, hint: str
) -> None:
    count = two.count()
    values = {"kind": "gate", "model": "digits@2", "against": "digits@1", **changes}
    with pytest.raises(error, match=message) as caught:
        two.submit(parse_spec(values))
    assert "\n" not in caught.value.message
    assert hint in (caught.value.hint or "")
    assert two.count() == count


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"kid": {"worse_by": -0.1}}, r"'gates\.kid\.worse_by' is -0.1: input should be greater than or equal to 0"),
        ({"kid": {"worse_by": "0.1"}}, r"'gates\.kid\.worse_by' is '0.1'"),
        (
            {"kid": {"worse_by_share": 1e9}},
            r"'gates\.kid\.worse_by_share' is 1000000000.0: .* less than or equal to 100",
        ),
        ({"kid": {"maximum": 1}}, r"unknown key 'gates\.kid\.maximum'"),
        ({"kid": {"max": float("nan")}}, r"'gates\.kid\.max' is nan"),
        ([{"measure": "kid", "max": 1}, {"measure": "kid", "worse_by": 1}], "measure 'kid' is there twice"),
        ([{"max": 1}], "each gate of a list has a 'measure'"),
        ({}, "at least 1 item"),
    ],
)
def test_limits_that_are_none_are_refused_with_the_spec(gates: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_spec({"kind": "gate", "model": "digits", "gates": gates})


def test_gates_may_be_a_list() -> None:
    listed = [{"measure": "kid", "max": 1, "worse_by": 0.1}, {"measure": "coverage", "min": 0.5}]
    mapped = {"coverage": {"min": 0.5}, "kid": {"max": 1, "worse_by": 0.1}}
    one, other = (parse_spec({"kind": "gate", "model": "digits", "gates": gates}) for gates in (listed, mapped))
    assert one == other
    assert one.digest() == other.digest()
    assert parse_spec(one.model_dump(mode="json")) == one


def test_models_of_other_images_are_not_compared(two: Desk) -> None:
    trained(two, image_size=8)
    with pytest.raises(SpecError, match="digits@1 makes images of 16×16×1, and digits@3 of 8×8×1"):
        two.submit(GateSpec(model="digits@3", against="digits@1"))
    trained(two, classes=())
    with pytest.raises(SpecError, match="models digits@4 and digits@1 know other classes"):
        two.submit(GateSpec(model="digits@4", against="digits@1"))
    with pytest.raises(SpecError, match="gate agreement is about classes, and model digits@4 knows none"):
        two.submit(parse_spec({"kind": "gate", "model": "digits@4", "gates": {"agreement": {"min": 0.5}}}))


def test_models_that_make_no_images_are_refused(two: Desk) -> None:
    reader = two.submit(TrainSpec(model="cnn", dataset="digits")).job_id
    for spec in (GateSpec(model=f"job:{reader}"), GateSpec(model="digits", against=f"job:{reader}")):
        with pytest.raises(SpecError, match=r"is a classifier \(cnn\): it makes no images"):
            two.submit(spec)
