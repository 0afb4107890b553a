"""Arrays and sweeps from Python."""

import pytest

from client import Client, Element
from pixmill.errors import KeyConflict, NotFound, SpecError, UserError
from pixmill.specs import PingSpec, TrainSpec
from tests.cli.world import World

TRAIN = {"kind": "train", "model": "vae", "dataset": "digits", "images": 10_000}


def test_an_array_is_submitted_as_the_command_line_does(pixmill: Client) -> None:
    jobs = pixmill.submit_array(TRAIN, array="0-2%2", name="digits", key="night")
    assert [job.spec["seed"] for job in jobs] == [0, 1, 2]
    assert jobs[2].array == Element(id=jobs[0].id, index=2, size=3, max_running=2)
    assert jobs[2].to_json()["array"] == {"id": 1, "index": 2, "size": 3, "max_running": 2}
    spec = TrainSpec(kind="train", model="vae", dataset="digits", images=10_000)
    again = pixmill.submit_array(spec, array="0-2%2", name="digits", key="night")
    assert [job.id for job in again] == [1, 2, 3]
    with pytest.raises(KeyConflict, match="which has elements 0-2; 0-3 were asked for"):
        pixmill.submit_array(TRAIN, array="0-3", key="night")
    assert pixmill.submit(PingSpec()).array is None
    assert [job.id for job in pixmill.jobs(arrays=[1])] == [1, 2, 3]


def test_values_of_a_sweep_are_lists_ranges_or_a_text(pixmill: Client) -> None:
    sweep = {"seed": range(2), "width": [8, 16], "learning_rate": "1e-4,2e-4"}
    plans = pixmill.plan_array(TRAIN, sweep=sweep)
    assert pixmill.jobs() == []
    jobs = pixmill.submit_array(TRAIN, sweep=sweep, array_limit=3)
    assert [job.spec["seed"] for job in jobs] == [plan.document["seed"] for plan in plans] == [0] * 4 + [1] * 4
    assert jobs[-1].spec["options"] == {"width": 16, "learning_rate": 2e-4}
    assert jobs[-1].labels == {"seed": "1", "width": "16", "learning_rate": "0.0002"}


def test_texts_with_arrays_are_added_beside_single_jobs(pixmill: Client) -> None:
    jobs = pixmill.submit_all(["kind: ping\narray: 0-1\n---\nkind: ping\n", PingSpec()], labels={"set": "one"})
    assert [job.array and job.array.index for job in jobs] == [0, 1, None, None]
    with pytest.raises(SpecError, match="one job was expected, and an array came") as found:
        pixmill.submit("kind: ping\narray: 0-1\n")
    assert found.value.hint == "submit_array and plan_array take it"
    with pytest.raises(SpecError, match="an array was expected, and one job came"):
        pixmill.plan_array(PingSpec())
    assert len(pixmill.jobs()) == 4


def test_a_job_waits_for_an_array_and_for_another_job(pixmill: Client) -> None:
    pixmill.submit_array(PingSpec(), array="0-2")
    alone = pixmill.submit(PingSpec(), after="array:1")
    assert alone.waits_for == (1, 2, 3)
    assert pixmill.submit(PingSpec(), after=[alone, "array:1"]).waits_for == (1, 2, 3, 4)
    with pytest.raises(NotFound):
        pixmill.submit(PingSpec(), after="array:2")


def test_the_limit_of_an_array_is_changed_by_any_of_its_jobs(pixmill: Client, world: World) -> None:
    jobs = pixmill.submit_array(PingSpec(), array="0-2")
    for limit in (2, None, 0):
        changed = pixmill.limit_array(jobs[1], limit, reason="night")
        assert changed.array == Element(id=1, index=1, size=3, max_running=limit)
    assert pixmill.job(3).reason == "ArrayLimit"
    with pytest.raises(UserError, match="-1 is no limit"):
        pixmill.limit_array(1, -1)
    with pytest.raises(NotFound, match="belongs to no array"):
        pixmill.limit_array(pixmill.submit(PingSpec()), 1)
