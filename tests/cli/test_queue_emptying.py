"""Queues that operators empty: `queue drain`, `queue purge`."""

from typing import Any

import cli.removing
from pixmill.states import State
from tests.cli.running import Runner, Terminal
from tests.cli.world import World


def states(run: Runner) -> dict[int, str]:
    return {item["id"]: item["state"] for item in run("ps", "-a", "-o", "json").json["items"]}


def test_a_drained_queue_starts_nothing_and_its_devices_become_free(run: Runner, world: World) -> None:
    running = world.train(queue="bulk")
    lease = world.claim(world.worker())
    found = run("queue", "drain", "bulk", "--reason", "new driver")
    assert (found.code, found.out) == (0, "")
    assert "queue bulk is paused" in found.err
    assert "tasks of it that run, 1, go on to their end; --now has them stopped" in found.err
    assert run("queue", "ls", "-o", "json").json["items"][0]["reason"] == "new driver"

    found = run("queue", "drain", "bulk", "--reason", "new driver", "--wait", "--timeout", "0.1")
    assert found.code == 101
    assert "1 task of queue bulk still runs" in found.err

    found = run("queue", "drain", "bulk", "--reason", "fan", "--now")
    assert "stop at their next checkpoint, and wait again" in found.err
    (task,) = run("job", "show", running, "-o", "json").json["item"]["tasks"]
    assert (task["state"], task["stop_to"]) == ("running", "pending")

    world.succeed(lease)
    found = run("queue", "drain", "bulk", "--reason", "fan", "--wait")
    assert found.code == 0
    assert "nothing of queue bulk runs any more" in found.err


def test_draining_is_said_as_it_is_meant(run: Runner, world: World) -> None:
    world.train(queue="bulk")
    assert run("queue", "drain", "bulk").code == 2
    assert "--timeout goes with --wait" in run("queue", "drain", "bulk", "--reason", "x", "--timeout", "5").err
    found = run("queue", "drain", "bluk", "--reason", "x")
    assert found.code == 3
    assert "did you mean 'bulk'?" in found.err


def test_a_purge_cancels_what_waits_and_nothing_else(run: Runner, world: World) -> None:
    running = world.train(queue="bulk", priority=5)
    world.claim(world.worker())
    waiting = [world.train(queue="bulk"), world.train(queue="bulk", hold=True)]
    other = world.train(queue="default")

    found = run("queue", "purge", "bulk", "--dry-run")
    assert (found.code, states(run)[waiting[0]]) == (0, "pending")
    assert "cancel 2 waiting jobs of queue bulk: this was a rehearsal, nothing was changed" in found.err

    found = run("queue", "purge", "bulk")
    assert found.code == 2
    assert "nobody can be asked" in found.err
    assert "add -y" in found.err

    found = run("queue", "purge", "bulk", "--reason", "wrong model", "-y")
    assert found.code == 0
    assert "2 jobs of queue bulk cancelled" in found.err
    assert states(run) == {running: "running", waiting[0]: "cancelled", waiting[1]: "cancelled", other: "pending"}
    events = run("job", "show", waiting[0], "-o", "json").json["item"]["events"]
    assert any((event["action"], event["detail"]) == ("cancel", "wrong model") for event in events)

    assert "nothing waits in queue bulk; nothing was changed" in run("queue", "purge", "bulk", "-y").err
    assert run("queue", "purge", "bluk", "-y").code == 3


def test_a_purge_asks_for_the_name_of_the_queue(run: Runner, world: World) -> None:
    job_id = world.train(queue="bulk")
    for typed, state in (("yes\n", "pending"), ("bulk\n", "cancelled")):
        terminal = Terminal("queue", "purge", "bulk", columns=100)
        terminal.read_until("type bulk to do it")
        terminal.type(typed)
        terminal.finish()
        assert states(run)[job_id] == state


def test_what_began_meanwhile_goes_on(run: Runner, world: World, monkeypatch: Any) -> None:
    """The worker claims the job between the question and the answer."""
    first, second = world.train(queue="bulk", priority=5), world.train(queue="bulk")
    worker, agreed = world.worker(), cli.removing.agreed

    def agreed_late(*args: Any) -> bool:
        answer = agreed(*args)
        world.claim(worker)
        return answer

    monkeypatch.setattr("cli.queueacting.agreed", agreed_late)
    found = run("queue", "purge", "bulk", "-y")
    assert found.code == 1
    assert "1 job of queue bulk cancelled" in found.err
    assert f"job {first} is running by now; it is left as it is" in found.err
    assert states(run) == {first: State.RUNNING.value, second: State.CANCELLED.value}
