from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from db.datasets import (
    NewDataset,
    Registration,
    pin_dataset,
    register_dataset,
    registered_dataset,
    registered_datasets,
    remove_dataset,
)
from db.engine import Database
from db.tables.jobs import Event
from pixmill.datasets import DatasetReference, PinnedDataset
from pixmill.errors import Conflict, NotFound
from tests.errands import register_once, run_in_processes
from tests.rows import act

DESCRIBED = {
    "image_size": 32,
    "channels": 3,
    "images": 1000,
    "fingerprint": "e" * 64,
    "content_fingerprint": "c" * 64,
    "histogram": {"cat": 600, "dog": 400},
}
CATS = NewDataset(name="cats", source="folder:/data/cats", on_bad_image="skip", description=DESCRIBED, user_name="ann")


def changed(**described: Any) -> NewDataset:
    return replace(CATS, description={**DESCRIBED, **described})


def events(database: Database) -> list[tuple[str, str, str | None]]:
    with database.read() as session:
        found = session.scalars(select(Event).order_by(Event.id))
        return [(event.actor, event.action, event.detail) for event in found]


def test_a_registered_data_set_is_found_by_its_name_with_who_and_when(database: Database) -> None:
    assert act(database, register_dataset, CATS) is Registration.ADDED
    assert act(database, register_dataset, replace(CATS, name="bats")) is Registration.ADDED
    with database.read() as session:
        assert [row.name for row in registered_datasets(session)] == ["bats", "cats"]
        row = registered_dataset(session, "cats")
    assert (row.source, row.image_size, row.channels, row.image_count) == ("folder:/data/cats", 32, 3, 1000)
    assert (row.description, row.user_name, row.added_at.tzinfo is not None) == (DESCRIBED, "ann", True)
    assert events(database)[0] == ("ann", "add_dataset", f"cats: folder:/data/cats {'c' * 64}")


def test_the_same_once_more_changes_nothing(database: Database) -> None:
    act(database, register_dataset, CATS)
    with database.read() as session:
        before = registered_dataset(session, "cats").added_at
    assert act(database, register_dataset, replace(CATS, user_name="bob")) is Registration.UNCHANGED
    with database.read() as session:
        row = registered_dataset(session, "cats")
    assert (row.user_name, row.added_at, len(events(database))) == ("ann", before, 1)


@pytest.mark.parametrize(
    "other",
    [
        changed(content_fingerprint="d" * 64),
        changed(image_size=16, fingerprint="d" * 64),
        replace(CATS, source="folder:/data/more-cats"),
        replace(CATS, on_bad_image="fail"),
    ],
)
def test_a_name_stands_for_other_data_only_on_demand(database: Database, other: NewDataset) -> None:
    act(database, register_dataset, CATS)
    with pytest.raises(Conflict, match=r"cats is registered as folder:/data/cats, 1,000 images of 32 ×.*; this is"):
        act(database, register_dataset, other)
    assert act(database, register_dataset, replace(other, user_name="bob"), replace=True) is Registration.REPLACED
    with database.read() as session:
        row = registered_dataset(session, "cats")
    assert {key: getattr(row, key) for key in other.columns} == other.columns
    assert (row.user_name, events(database)[-1][:2]) == ("bob", ("bob", "replace_dataset"))


def test_of_processes_that_give_one_name_to_other_data_one_succeeds(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    *refused, told = sorted(
        run_in_processes(register_once, {"home": str(tmp_path), "database.url": database_url}, count=4)
    )
    assert told == "added"
    assert all(text.startswith("Conflict('data set one is registered as") for text in refused)
    with database.read() as session:
        assert len(registered_datasets(session)) == 1


def test_a_forgotten_name_is_free_again(database: Database) -> None:
    act(database, register_dataset, CATS)
    act(database, remove_dataset, "cats", user_name="bob")
    assert events(database)[-1] == ("bob", "remove_dataset", f"cats: folder:/data/cats {'c' * 64}")
    with pytest.raises(NotFound, match="no data set is registered as 'cats'") as caught:
        act(database, remove_dataset, "cats", user_name="bob")
    assert caught.value.hint == "none is registered: pixmill dataset add NAME SOURCE"
    assert act(database, register_dataset, changed(content_fingerprint="d" * 64)) is Registration.ADDED


def test_a_job_is_given_what_the_name_stands_for(database: Database) -> None:
    act(database, register_dataset, CATS)
    expected = PinnedDataset(
        name="cats",
        source="folder:/data/cats",
        image_size=32,
        channels=3,
        on_bad_image="skip",
        images=1000,
        content_fingerprint="c" * 64,
    )
    for pin in (None, "c" * 8, "c" * 64):
        assert act(database, pin_dataset, DatasetReference(name="cats", pin=pin)) == expected
    with pytest.raises(Conflict, match="fingerprint cccccccccccc, asked for was dddddddd"):
        act(database, pin_dataset, DatasetReference(name="cats", pin="d" * 8))
    with pytest.raises(NotFound) as caught:
        act(database, pin_dataset, DatasetReference(name="catz"))
    assert caught.value.hint == "did you mean 'cats'?"
