"""Jobs that name a registered data set keep what it was when they were submitted."""

import pytest

from db.datasets import NewDataset, register_dataset
from db.engine import Database
from db.views import job_tasks
from pixmill.datasets import PinnedDataset
from pixmill.errors import Conflict, DatasetError, KeyConflict
from pixmill.settings import Settings
from pixmill.specs import EvaluateSpec, TrainSpec
from tests import rows
from tests.rows import act
from tests.scheduler.desk import Desk

TRAIN = TrainSpec(model="vae", dataset="cats")


def register(database: Database, fingerprint: str, name: str = "cats") -> None:
    described = {
        "image_size": 32, "channels": 3, "images": 9, "fingerprint": "e" * 64, "content_fingerprint": fingerprint
    }  # fmt: skip
    new = NewDataset(name=name, source="folder:/data/cats", on_bad_image="skip", description=described, user_name="ann")
    act(database, register_dataset, new, replace=True)


@pytest.fixture
def desk(database: Database, settings: Settings) -> Desk:
    register(database, "c" * 64)
    return Desk(database, settings)


def pinned(desk: Desk, job_id: int) -> list[PinnedDataset | None]:
    with desk.database.read() as session:
        return [PinnedDataset.of_task(task.params) for task in job_tasks(session, job_id)]


def test_a_job_shows_and_its_task_holds_what_the_name_stood_for(desk: Desk) -> None:
    job = desk.job(TRAIN)
    register(desk.database, "d" * 64)
    assert job.spec["dataset"] == f"cats@{'c' * 12}"
    assert job.name == "vae-cats"
    (found,) = pinned(desk, job.id)
    assert found is not None
    assert (found.source, found.image_size, found.channels, found.on_bad_image) == ("folder:/data/cats", 32, 3, "skip")
    assert found.content_fingerprint == "c" * 64
    (found,) = pinned(desk, desk.submit(TRAIN).job_id)
    assert found is not None
    assert found.content_fingerprint == "d" * 64


def test_a_repeated_spec_is_the_same_data_or_an_error(desk: Desk) -> None:
    again = TrainSpec.model_validate(desk.job(TRAIN).spec)
    assert desk.job(again).spec == again.model_dump(mode="json")
    register(desk.database, "d" * 64)
    with pytest.raises(Conflict, match=r"stands for other data now: fingerprint d{12}, asked for was c{12}"):
        desk.submit(again)


def test_an_evaluation_may_name_one_too(desk: Desk) -> None:
    output = rows.add(desk.database, kind="generate")
    job = desk.job(EvaluateSpec(output=output, dataset="cats"))
    assert job.spec["dataset"] == f"cats@{'c' * 12}"
    assert pinned(desk, job.id) != [None]


def test_data_sets_named_by_their_place_are_not_pinned(desk: Desk) -> None:
    assert pinned(desk, desk.submit(TrainSpec(model="vae", dataset="digits")).job_id) == [None]


def test_a_key_belongs_to_the_name_that_was_asked_for(desk: Desk) -> None:
    first = desk.submit(TRAIN, key="night")
    register(desk.database, "d" * 64)
    register(desk.database, "d" * 64, name="dogs")
    again = desk.submit(TRAIN, key="night")
    assert (again.job_id, again.is_new) == (first.job_id, False)
    with pytest.raises(KeyConflict, match=f"dataset 'cats@{'c' * 12}' → 'dogs'"):
        desk.submit(TRAIN.model_copy(update={"dataset": "dogs"}), key="night")


def test_an_unknown_name_is_refused_with_the_one_that_may_be_meant(desk: Desk) -> None:
    with pytest.raises(DatasetError, match="unknown data set 'catz'") as caught:
        desk.submit(TRAIN.model_copy(update={"dataset": "catz"}))
    assert caught.value.hint == "did you mean the registered data set 'cats'?"
    assert desk.count() == 0
