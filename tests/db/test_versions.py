from functools import partial
from typing import Any

import pytest
from sqlalchemy.orm import Session

from db.aliases import Deed, model_events, promote, remove_alias, set_alias
from db.control import retry_job
from db.engine import Database
from db.jobs import add_job
from db.leases import finish
from db.outputs import forget_output
from db.references import job_references, still_there, versions_after
from db.registry import find_any_version, list_versions, resolve_model
from db.tables.jobs import Outcome
from db.tables.models import ModelVersion
from db.versions import forget_version, hold_versions
from pixmill.errors import Conflict, NotFound
from tests import rows
from tests.db.test_registry import trained
from tests.rows import act

ANN = Deed(actor="ann", reason="too dark")


def forget(database: Database, text: str = "digits@1") -> None:
    act(database, forget_version, text, ANN)


def generate(database: Database, model: str = "digits@1", **spec: Any) -> int:
    return rows.add(database, kind="generate", spec={"kind": "generate", "model": model, **spec}, priority=1000)


def ended(database: Database, outcome: Outcome) -> None:
    rows.queue(database)
    lease = rows.claimed(database, rows.add_worker(database))
    publish = rows.nothing if outcome is Outcome.SUCCEEDED else None
    act(database, finish, lease, outcome, publish=publish)


def test_a_removed_version_is_named_no_more_and_its_number_is_not_given_again(database: Database) -> None:
    jobs = [trained(database), trained(database)]
    forget(database, "digits@2")
    assert trained(database) > jobs[1]
    with database.read() as session:
        assert [row.version for row in list_versions(session, "digits")] == [3, 1]
        assert [row.version for row in list_versions(session, "digits", removed=True)] == [3, 2, 1]
        for text in ("digits@2", f"job:{jobs[1]}"):
            with pytest.raises(NotFound, match=r"digits@2 was removed at .* by ann: too dark"):
                resolve_model(session, text)
        row = find_any_version(session, "digits", 2)
        assert row is not None
        (event,) = model_events(session, row.model_id)
        assert (event.action, event.from_version, event.to_version) == ("remove_version", 2, None)
        assert event.alias is None
        assert job_references(session, [jobs[1]])[jobs[1]].paths == set()
        assert job_references(session, [jobs[0]])[jobs[0]].paths == {f"runs/{jobs[0]}/1/1/model"}
        assert [row.version for row in versions_after(session, 0, 10)] == [1, 3]
        assert still_there(session, ModelVersion, [1, 2, 3]) == {1, 3}
    with pytest.raises(NotFound):
        forget(database, "digits@2")


def test_a_name_means_the_newest_version_that_is_there(database: Database) -> None:
    for _ in range(2):
        trained(database)
    forget(database, "digits@2")
    with database.read() as session:
        found = resolve_model(session, "digits")
        assert getattr(found, "version", None) == 1


def test_what_an_alias_stands_for_stays(database: Database) -> None:
    trained(database)
    act(database, promote, "digits@1", "champion", ANN)
    act(database, set_alias, "digits@1", "beta", ANN)
    with pytest.raises(Conflict, match=r"digits@1 is needed: champion stands for it; beta stands for it"):
        forget(database)
    act(database, remove_alias, "digits", "beta", ANN)


@pytest.mark.parametrize("named", ["version", "job"])
def test_what_a_job_or_a_data_set_needs_stays(database: Database, named: str) -> None:
    train = trained(database)
    name = "digits@1" if named == "version" else f"job:{train}"
    job = generate(database, "other@1", filter_model=name)
    with pytest.raises(Conflict, match=f"is needed: generate job {job} is pending"):
        forget(database)
    ended(database, Outcome.SUCCEEDED)
    with pytest.raises(Conflict, match=f"is needed: output {job} was made with it"):
        forget(database)
    act(database, forget_output, job, "/outputs/2", actor="ann", why=None)
    failed = generate(database, "other@1", further_models=[name])
    generate(database, "digits@11")  # another version
    ended(database, Outcome.FAILED)
    assert rows.job(database, failed).state == "failed"
    forget(database)


@pytest.mark.parametrize("named", ["digits@1", "job:1"])
def test_a_job_whose_model_was_removed_is_not_tried_again(database: Database, named: str) -> None:
    trained(database)
    job = generate(database, "other@1", filter_model=named)
    ended(database, Outcome.FAILED)
    forget(database)
    with pytest.raises(Conflict, match=f"model {named} was removed") as caught:
        act(database, retry_job, job, actor="ann")
    assert caught.value.hint == f"submit it anew with another model: pixmill job show {job} --spec"
    assert rows.states(database, job) == ["failed"]
    act(database, retry_job, generate_failed(database), actor="ann")


def generate_failed(database: Database) -> int:
    """A failed job whose model is still there."""
    trained(database)
    job = generate(database, "digits@2")
    ended(database, Outcome.FAILED)
    return job


def test_a_job_and_a_removal_at_once_leave_no_job_without_its_model(database: Database) -> None:
    trained(database)

    def submit(session: Session) -> int:
        resolve_model(session, "digits@1")
        hold_versions(session, ["digits@1", "job:1"])
        new = rows.new_job(kind="generate", spec={"kind": "generate", "model": "digits@1"})
        return add_job(session, new)

    found = rows.run_all(partial(forget, database), partial(act, database, submit))
    errors = [each for each in found if isinstance(each, Exception)]
    assert len(errors) == 1
    assert isinstance(errors[0], Conflict | NotFound)
    assert "removed" in errors[0].message or "is needed: generate job 2 is pending" in errors[0].message
