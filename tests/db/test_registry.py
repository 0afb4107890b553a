from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.leases import finish
from db.registry import (
    ModelReference,
    add_version,
    ensure_dataset,
    list_versions,
    parse_reference,
    resolve_model,
    version_of_job,
)
from db.tables.jobs import Job, Outcome
from db.tables.models import Dataset, Model, ModelVersion
from pixmill.errors import Conflict, NotFound, UserError
from tests import rows
from tests.rows import act

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)


def publish(session: Session, name: str, job_id: int) -> int:
    dataset = ensure_dataset(session, "digits", "f" * 64, {"images": 5})
    return add_version(session, name, rows.version(job_id, dataset)).version


def trained(database: Database, name: str = "digits") -> int:
    """A train job that has published a version; gives its id."""
    job_id = rows.add(database)
    act(database, publish, name, job_id)
    return job_id


@given(names, st.none() | st.integers(0, 10**9 - 1))
def test_a_name_with_or_without_a_version_is_read(name: str, version: int | None) -> None:
    text = name if version is None else f"{name}@{version}"
    assert parse_reference(text) == ModelReference(name, version, None)


@given(names, st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,63}", fullmatch=True))
def test_an_alias_is_read(name: str, alias: str) -> None:
    assert parse_reference(f"{name}@{alias}") == ModelReference(name, None, None, alias)


@given(st.integers(0, 10**18 - 1))
def test_a_train_job_is_read(job_id: int) -> None:
    assert parse_reference(f"job:{job_id}") == ModelReference(None, None, job_id)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a@",
        "@1",
        "a@-x",
        "a@1x",
        "a@1@2",
        "job:",
        "job:x",
        "digits\n",
        "digits@1\n",
        "a@٣",
        "job:" + "9" * 30,
    ],
)
def test_what_names_no_model_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="does not name a model"):
        parse_reference(text)


def test_a_name_means_its_newest_version_and_a_number_one_for_ever(database: Database) -> None:
    jobs = [trained(database) for _ in range(3)]
    with database.read() as session:
        for text, job_id in (("digits", jobs[2]), ("digits@1", jobs[0]), (f"job:{jobs[1]}", jobs[1])):
            found = resolve_model(session, text)
            assert isinstance(found, ModelVersion)
            assert found.job_id == job_id
            assert (found.model.name, found.dataset.name) == ("digits", "digits")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("digts", "did you mean 'digits'?"),
        ("zebra", "choose one of: digits"),
        ("digits@9", "pixmill model ls --name digits"),
    ],
)
def test_an_unknown_model_is_not_found_with_a_hint(database: Database, text: str, hint: str) -> None:
    trained(database)
    with database.read() as session, pytest.raises(NotFound, match=f"there is no model '{text}'") as caught:
        resolve_model(session, text)
    assert caught.value.hint == hint


def test_without_any_model_the_hint_says_how_to_train_one(database: Database) -> None:
    with database.read() as session, pytest.raises(NotFound) as caught:
        resolve_model(session, "digits")
    assert caught.value.hint is not None
    assert "pixmill submit train" in caught.value.hint


def test_a_train_job_that_still_runs_is_given_as_the_job(database: Database) -> None:
    job_id = rows.add(database)
    with database.read() as session:
        found = resolve_model(session, f"job:{job_id}")
    assert isinstance(found, Job)
    assert found.id == job_id


def test_a_train_job_that_ended_without_a_model_is_a_conflict(database: Database) -> None:
    lease = rows.running(database)
    act(database, finish, lease, Outcome.FAILED)
    with database.read() as session, pytest.raises(Conflict, match=f"train job {lease.job_id} has failed without"):
        resolve_model(session, f"job:{lease.job_id}")


def test_only_train_jobs_make_models(database: Database) -> None:
    job_id = rows.add(database, kind="generate")
    with database.read() as session:
        with pytest.raises(UserError, match=f"job {job_id} is a generate job"):
            resolve_model(session, f"job:{job_id}")
        with pytest.raises(NotFound, match="no job 999"):
            resolve_model(session, "job:999")


def test_versions_that_are_published_at_once_get_numbers_in_a_row(database: Database) -> None:
    jobs = [rows.add(database) for _ in range(4)]
    numbers = rows.run_all(*[partial(act, database, publish, "digits", job_id) for job_id in jobs])
    assert sorted(numbers) == [1, 2, 3, 4]
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Model)) == 1
        assert session.scalar(select(func.count()).select_from(Dataset)) == 1


def test_a_data_set_is_known_by_its_bytes_not_by_its_name(database: Database) -> None:
    first = act(database, ensure_dataset, "digits", "a" * 64, {"images": 5})
    again = act(database, ensure_dataset, "folder:/copy", "a" * 64, {"images": 5})
    other = act(database, ensure_dataset, "digits", "b" * 64, {"images": 6})
    assert first.id == again.id != other.id
    assert (again.name, other.description) == ("digits", {"images": 6})


def test_versions_are_listed_by_line_newest_first(database: Database) -> None:
    for name in ("b", "a", "b"):
        trained(database, name)
    with database.read() as session:
        every = [(row.model.name, row.version) for row in list_versions(session)]
        assert every == [("a", 1), ("b", 2), ("b", 1)]
        assert [row.version for row in list_versions(session, "b")] == [2, 1]
        newest = list_versions(session, "b")[0]
        assert version_of_job(session, newest.job_id) is newest
        assert version_of_job(session, 999) is None
