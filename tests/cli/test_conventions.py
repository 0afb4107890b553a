"""What holds for every command, tried on all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from tests.cli.running import Runner
from tests.cli.tree import COMMANDS
from tests.cli.world import World

ACTS = ("cancel", "hold", "release", "requeue", "retry", "top", "set")
ACT_NAMES = [*(f"pixmill job {verb}" for verb in ACTS), "pixmill cancel"]
REMOVALS = [name for name in COMMANDS if name.split()[-1] in ("rm", "purge")]
PAGING = {"limit", "everything", "before", "expand"}  # of `ps`: how much of a list is shown, not what is chosen
LISTED = {"output_format", "columns", "utc", "watch_seconds"}


def options(name: str) -> dict[str, click.Option]:
    return {param.name or "": param for param in COMMANDS[name].params if isinstance(param, click.Option)}


def spelled(name: str) -> set[str]:
    return {opt for option in options(name).values() for opt in option.opts}


@pytest.mark.parametrize("name", ACT_NAMES)
def test_acts_on_jobs_choose_as_the_list_does(name: str) -> None:
    chosen = set(options("pixmill ps")) - PAGING - LISTED
    assert chosen == {"states", "kinds", "labels", "queues", "users", "arrays", "since", "until", "ended_since"}
    assert chosen <= set(options(name))
    assert {"--reason", "--dry-run", "--yes", "-y"} <= spelled(name)


@pytest.mark.parametrize("verb", ACTS)
def test_acts_on_several_jobs_count_and_ask_and_name_the_flag(verb: str, run: Runner, world: World) -> None:
    change = ("--priority", "1") if verb == "set" else ()
    for _ in range(2):
        world.train(user="ann")
    state = {"release": "held", "requeue": "running", "retry": "failed"}.get(verb, "pending")
    found = run("job", verb, 1, 2, *change)
    assert (found.code, found.out) == (2, "")
    assert " 2 jobs (2 pending): nobody can be asked" in found.err
    assert "hint:  add -y to do it, or --dry-run to look first" in found.err
    found = run("job", verb, *change)
    assert (found.code, found.out) == (2, "")
    assert "name the jobs to " in found.err
    found = run("job", verb, "--user", "ann", "--state", state, "--reason", "x", "--dry-run", *change)
    assert found.code == 0, found.err
    events = run("job", "show", 1, "-o", "json").json["item"]["events"]
    assert [event["action"] for event in events] == ["submit"]


@dataclass(frozen=True)
class Doomed:
    """Something that can be removed."""

    make: Callable[[World, Runner, Path], object]
    args: tuple[str, ...]
    typed: str
    listed: tuple[str, ...]  # prints its name as long as it is there


def make_dataset(world: World, run: Runner, folder: Path) -> None:
    from db.tables.models import RegisteredDataset

    values = {"image_size": 8, "channels": 1, "on_bad_image": "fail", "image_count": 40, "user_name": "olga"}
    names = {"name": "pets", "source": "folder:/pets", "fingerprint": "f" * 64, "content_fingerprint": "c" * 64}
    empty: dict[str, Any] = {"classes": [], "histogram": {}, "split": "", "train_images": 1, "test_images": 1}
    described = {**empty, "test_indices_sha256": "0" * 64, "bad_images": 0, "bad_images_named": []}
    world.database.transact(lambda session: session.add(RegisteredDataset(**names, **values, description=described)))


def make_output(world: World, run: Runner, folder: Path) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    world.generated(worker)


def make_model(world: World, run: Runner, folder: Path) -> None:
    job_id = world.trained(world.worker(), name="digits-vae")
    (world.root / "runs" / str(job_id) / "1" / "1" / "model").mkdir()
    (world.root / "runs" / str(job_id) / "1" / "1" / "model" / "weights").write_bytes(b"w")


def make_alias(world: World, run: Runner, folder: Path) -> None:
    world.trained(world.worker(), name="digits-vae")
    assert run("model", "alias", "set", "digits-vae@1", "paper").code == 0


def make_queue(world: World, run: Runner, folder: Path) -> None:
    world.train(queue="bulk", name="bulk")


def make_schedule(world: World, run: Runner, folder: Path) -> None:
    (folder / "ping.yaml").write_text("kind: ping\n")
    assert run("schedule", "add", "nightly", "--cron", "30 2 * * *", "-f", folder / "ping.yaml").code == 0


DOOMED = {
    "pixmill dataset rm": Doomed(make_dataset, ("pets",), "pets", ("dataset", "ls", "-o", "ids")),
    "pixmill output rm": Doomed(make_output, ("2",), "2", ("output", "ls", "-o", "ids")),
    "pixmill model rm": Doomed(make_model, ("digits-vae@1",), "digits-vae@1", ("model", "ls", "-o", "ids")),
    "pixmill model alias rm": Doomed(
        make_alias, ("digits-vae", "paper"), "paper", ("model", "ls", "--columns", "aliases")
    ),
    "pixmill queue purge": Doomed(make_queue, ("bulk",), "bulk", ("ps", "--state", "pending", "--columns", "name")),
    "pixmill schedule rm": Doomed(make_schedule, ("nightly",), "nightly", ("schedule", "ls", "-o", "ids")),
}


def test_every_removal_is_tried_below() -> None:
    assert set(REMOVALS) == set(DOOMED)
    for name in REMOVALS:
        assert {"--reason", "--dry-run", "--yes", "-y"} <= spelled(name), name


@pytest.mark.parametrize("name", DOOMED)
def test_what_is_removed_is_typed_first(
    name: str, run: Runner, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed = DOOMED[name]
    doomed.make(world, run, tmp_path)
    words = (*name.split()[1:], *doomed.args)
    there = run(*doomed.listed).out
    assert there
    found = run(*words)
    assert (found.code, found.out) == (2, "")
    assert "nobody can be asked" in found.err
    assert "hint:  add -y to do it" in found.err
    found = run(*words, "--dry-run")
    assert (found.code, found.out) == (0, "")
    assert "this was a rehearsal, nothing was changed" in found.err
    with monkeypatch.context() as patched:
        patched.setattr("cli.asking.is_terminal", lambda _stream: True)
        for answer in ("y\n", "\n" * 2, f"{doomed.typed}x\n"):
            found = run(*words, stdin=answer)
            assert (found.code, run(*doomed.listed).out) == (1, there)
            assert f"type {doomed.typed} to do it" in found.err
        found = run(*words, "--reason", "no longer needed", stdin=f"{doomed.typed}\n")
    assert found.code == 0, found.err
    assert run(*doomed.listed).out != there
    with world.database.read() as session:
        from db.tables.jobs import Event
        from db.tables.models import ModelEvent

        told = [*session.query(Event.detail), *session.query(ModelEvent.reason)]
    assert any("no longer needed" in str(detail) for (detail,) in told)


def test_options_that_several_commands_have_are_spelled_alike() -> None:
    long = {
        "-y": "--yes",
        "-q": "--quiet",
        "-f": ("--file", "--follow"),
        "-l": "--label",
        "-w": "--watch",
        "-a": "--all",
    }
    for name in COMMANDS:
        for option in options(name).values():
            for short, spelling in long.items():
                if short in option.opts:
                    assert set(option.opts) & ({spelling} if isinstance(spelling, str) else set(spelling)), (
                        name,
                        short,
                    )
            if "-o" in option.opts:
                assert option.show_default, name
            if option.name == "reason":
                assert option.metavar == "TEXT", name
            if "--yes" in option.opts:
                assert option.help == "Do not ask.", name


def test_whatever_prints_json_has_it_under_the_same_option() -> None:
    for name in COMMANDS:
        for option in options(name).values():
            if isinstance(option.type, click.Choice) and "json" in option.type.choices:
                assert option.name == "output_format", name


@pytest.mark.parametrize("name", [name for name, found in COMMANDS.items() if isinstance(found, click.Group)])
def test_every_group_names_the_command_that_may_be_meant(name: str, run: Runner) -> None:
    group = COMMANDS[name]
    assert isinstance(group, click.Group)
    known = group.list_commands(click.Context(group))[0]
    found = run(*name.split()[1:], f"{known}x")
    assert (found.code, found.out) == (2, "")
    assert f"error: no command '{known}x'; did you mean '{known}'?" in found.err
    found = run(*name.split()[1:], known, "--helpp")
    assert (found.code, found.out) == (2, "")
    assert "did you mean '--help'?" in found.err


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("submit", "train", "--model", "sngann", "--dataset", "digits"), "sngan"),
        (("submit", "generate", "--model", "digits-vaee", "-n", "10"), "digits-vae"),
        (("model", "show", "digits-vae@champoin"), "champion"),
        (("queue", "pause", "bulc"), "bulk"),
        (("worker", "drain", "cpuu", "--reason", "x"), "cpu"),
        (("device", "resume", "cpuu"), "cpu"),
        (("schema", "queue_lst"), "queue_list"),
        (("output", "query", "2", "--columns", "shaa256"), "sha256"),
    ],
)
def test_names_that_do_not_exist_name_the_nearest_and_leave_no_traceback(
    words: tuple[str, ...], near: str, run: Runner, world: World
) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    if words[0] == "output":
        world.generated(worker)
    assert run("model", "promote", "digits-vae@1", "--reason", "x").code == 0
    world.train(queue="bulk")
    found = run(*words)
    assert found.code in (2, 3), found.err
    assert found.out == ""
    assert "did you mean" in found.err
    assert near in found.err.partition("did you mean")[2]
    first, *_others = found.err.splitlines()
    assert first.startswith("error: ")
    assert "Traceback" not in found.err
