"""What an edit job is settled to, and what is refused when it is asked for."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from db.engine import Database
from db.views import job_tasks
from pixmill.datasets import PinnedDataset
from pixmill.errors import DatasetError, KeyConflict, PixmillError, SpecError
from pixmill.settings import Settings
from pixmill.specs import EditSpec, TrainSpec
from scheduler.editing import check_edit, require_editor, settled_edit
from tests.scheduler.desk import Desk
from tests.scheduler.test_registered import register

VAE = TrainSpec(model="vae", dataset="digits")
CONDITIONAL = VAE.model_copy(update={"conditional": True})
KEPT: dict[str, Any] = {"lineage": {"encoder": True}, "classes": []}


@pytest.fixture
def desk(database: Database, settings: Settings) -> Desk:
    return Desk(database, settings)


def trained(desk: Desk, train: TrainSpec, **version: Any) -> None:
    """Publish a model `one` that was trained so."""
    desk.trained("one", desk.submit(train, name="one").job_id, **{"preset": train.model, **KEPT, **version})


def edit(way: str, **changes: Any) -> EditSpec:
    return EditSpec(**{"model": "one", "way": way, **changes})


@pytest.mark.parametrize(
    ("spec", "images_each", "filled_in"),
    [
        (edit("attribute", attribute="3"), 5, {"n": 10, "fit": "logistic", "strengths": [-1.0, 0.0, 1.0, 2.0]}),
        (edit("attribute", attribute="3", dataset="digits", strengths=[2.0]), 2, {"part": "held-out"}),
        (edit("attribute", attribute="3", dataset="digits", indices=[4, 9]), 5, {"n": 2, "part": None}),
        (edit("interpolate"), 10, {"steps": 8, "n": 10}),
        (edit("interpolate", indices=[1, 2, 5, 9], steps=3), 5, {"n": 2}),
        (edit("optimise", style="digits"), 3, {"iterations": 200, "style_index": 0, "part": "held-out"}),
    ],
)
def test_what_is_left_open_is_filled_in(spec: EditSpec, images_each: int, filled_in: dict[str, Any]) -> None:
    checked = check_edit(spec)
    assert checked.model_dump(include=set(filled_in)) == filled_in
    assert checked.images == checked.edits * images_each
    assert checked.shard_size % images_each == 0  # no edit is parted
    assert check_edit(checked) == checked  # asked for once more


def test_classes_are_all_of_the_model_unless_some_are_named(desk: Desk) -> None:
    trained(desk, CONDITIONAL, classes=["a", "b", "c"])
    assert desk.job(edit("class")).spec["classes"] == ["a", "b", "c"]
    named = desk.job(edit("class", classes=["c"]))
    assert (named.spec["classes"], named.spec["model"], named.name, named.progress_total) == (
        ["c"], "one@1", "one-edited", 20
    )  # fmt: skip
    with pytest.raises(SpecError, match="has no class 'x'"):
        desk.submit(edit("class", classes=["x"]))
    first = desk.submit(edit("class"), key="once")
    trained(desk, CONDITIONAL, classes=["a", "b"])
    assert desk.submit(edit("class"), key="once").job_id == first.job_id  # the classes of then
    with pytest.raises(KeyConflict, match="n 10 → 3"):
        desk.submit(edit("class", n=3), key="once")


def test_an_own_folder_is_edited_as_a_whole_and_a_running_training_is_waited_for(desk: Desk, tmp_path: Path) -> None:
    train = desk.submit(TrainSpec(model="cnn", dataset="digits"), name="reader").job_id
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    folder = f"folder:{tmp_path}"
    job = desk.job(edit("optimise", model=f"job:{train}", dataset=folder, style=folder))
    assert (job.spec["part"], job.spec["style_index"], job.spec["iterations"]) == ("all", 0, 200)
    assert desk.parents(job.id) == {train: False}


def test_registered_data_sets_are_pinned_for_what_they_are_named_for(desk: Desk) -> None:
    register(desk.database, "c" * 64)
    register(desk.database, "d" * 64, "dogs")
    trained(desk, VAE)
    job = desk.job(edit("attribute", attribute="x", dataset="cats", examples="dogs"))
    assert (job.spec["dataset"], job.spec["examples"]) == (f"cats@{'c' * 12}", f"dogs@{'d' * 12}")
    with desk.database.read() as session:
        params = [task.params for task in job_tasks(session, job.id)]
    for role, name in (("dataset", "cats"), ("examples", "dogs")):
        assert [found.name for one in params if (found := PinnedDataset.of_task(one, role))] == [name] * len(params)
    assert PinnedDataset.of_task(params[0], "style") is None


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (edit("optimise"), SpecError, "--way optimise needs --style"),
        (edit("attribute"), SpecError, "--way attribute needs --attribute"),
        (edit("optimise", style="digits", precision="bf16"), SpecError, "computes in fp32, not in bf16"),
        (edit("class", steps=4), SpecError, "--steps means nothing to --way class; it is for interpolate"),
        (edit("interpolate", style_weight=4.0), SpecError, "--style-weight means nothing to --way interpolate"),
        (edit("interpolate", indices=[1, 2, 3]), SpecError, "3 indices are no pairs"),
        (edit("interpolate", indices=[1, 2], n=3), SpecError, "2 indices are 1 edits, and 3 are asked for"),
        (edit("interpolate", part="all"), SpecError, "without --dataset images are made"),
        (edit("interpolate", part="all", dataset="digits", indices=[1, 2]), SpecError, "indices count all images"),
        (edit("interpolate", dataset="moving:digits"), DatasetError, "is of sequences, and images are needed"),
        (edit("interpolate", dataset="folder:/no/such"), DatasetError, "/no/such"),
    ],
)
def test_what_no_model_can_do_is_refused_in_one_line(spec: EditSpec, error: type[PixmillError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        check_edit(spec)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("preset", "conditional", "spec", "message"),
    [
        ("sngan", False, edit("interpolate", dataset="digits"), r"one \(sngan\) has no encoder"),
        ("cnn", False, edit("interpolate"), r"is a classifier \(cnn\): it makes no images"),
        ("fsq-ae", False, edit("attribute", attribute="3"), r"is a codec \(fsq-ae\): it makes no images"),
        ("vae", False, edit("class", classes=["3"]), "one knows no classes"),
        ("vae", True, edit("attribute", attribute="3"), "is told the class of each image"),
        ("vae", True, edit("class"), "the classes of one are not known yet"),
        ("vae", False, edit("optimise", style="digits"), "compares features of a classifier"),
    ],
)
def test_what_this_model_cannot_do_is_refused_in_one_line(
    preset: str, conditional: bool, spec: EditSpec, message: str
) -> None:
    def settle() -> EditSpec:
        require_editor(spec.way, spec.model, preset)
        return settled_edit(check_edit(spec), TrainSpec(model=preset, dataset="digits", conditional=conditional), None)

    with pytest.raises(SpecError, match=message) as caught:
        settle()
    assert "\n" not in caught.value.message


def test_a_model_whose_encoder_was_not_kept_edits_what_it_makes_alone(desk: Desk) -> None:
    trained(desk, VAE, lineage={})
    with pytest.raises(SpecError, match="trained by an earlier pixmill, which did not keep its encoder"):
        desk.submit(edit("interpolate", dataset="digits"))
    assert desk.job(edit("interpolate")).spec["dataset"] is None
