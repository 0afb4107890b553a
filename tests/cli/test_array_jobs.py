"""Jobs of arrays on the command line: lists, reasons, acts and waits."""

from typing import Any

from db.dispatch import queue_ready_tasks
from db.lanes import Slot
from db.tables.fleet import DeviceKind
from tests.cli.running import Runner
from tests.cli.world import World

TRAIN = ("submit", "train", "--model", "vae", "--dataset", "digits")


def items(run: Runner, *flags: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("ps", "--all", *flags, "-o", "json").json["items"]
    return found


def test_ps_shows_what_waits_of_an_array_in_one_line(run: Runner, world: World) -> None:
    run(*TRAIN, "--array", "0-5%2", "--name", "digits")
    run("submit", "ping", "--hold", "--array", "7,9", "--name", "later")
    world.claim(world.worker())
    run("cancel", "1_3")
    lines = [line.split()[:5] for line in run("ps").lines[1:]]
    assert lines == [
        ["1", "digits[0]", "train", "vae", "running"],
        ["1[1-2,4-5]", "digits", "train", "vae", "pending"],
        ["4", "digits[3]", "train", "vae", "cancelled"],
        ["7[7,9]", "later", "ping", "–", "held"],
    ]
    assert run("ps").lines[-1].endswith("Held: pixmill job release --array 7")
    assert run("ps", "--expand").lines[-1].endswith("Held: pixmill job release 8")
    assert len(run("ps", "--expand").lines) == 9
    assert run("ps", "--columns", "id,array.index").lines[1].split() == ["1", "0"]
    assert [line.split(",")[0] for line in run("ps", "-o", "csv", "--columns", "array.id").lines[1:]].count("1") == 6
    assert len(run("ps", "-o", "ids").lines) == len(items(run)) == 8
    assert [line.split()[0] for line in run("ps", "--array", 7, "-o", "wide").lines] == ["ID", "7[7,9]"]
    assert len(items(run, "--array", 1)) == 6


def test_a_line_for_many_stands_on_one_page_for_all_of_them(run: Runner, world: World) -> None:
    run("submit", "ping", "--array", "0-9")
    worker = world.worker()
    for number in range(5):
        run("job", "top", 2 * number + 2)
        world.claim(worker)
        worker = world.worker(f"cpu:{number}")
    pages = [run("ps", "--limit", 3).lines[1:], run("ps", "--limit", 3, "--before", 6).lines[1:]]
    assert [[line.split()[0] for line in page] for page in pages] == [["6", "8", "10"], ["1[0,2,…,8]", "2", "4"]]


def test_one_line_stands_for_ten_thousand_jobs(run: Runner) -> None:
    run("submit", "ping", "--array", "0-9999", "-q")
    assert [line.split()[0] for line in run("ps").lines] == ["ID", "1[0-9999]"]


def test_why_says_how_many_of_an_array_run(run: Runner, world: World) -> None:
    run(*TRAIN, "--array", "0-5%2")
    first, second = world.worker("cpu:0"), world.worker("cpu:1")
    world.scheduler()
    world.worker("cpu:2")
    world.claim(first)
    assert items(run)[4]["reason"] != "ArrayLimit"
    world.claim(second)
    assert items(run)[4]["reason"] == "ArrayLimit"
    assert "ArrayLimit: 2 of 2 of array 1 run" in run("ps").lines[-1]
    (why,) = [
        one for one in run("job", "why", 5, "-o", "json").json["item"]["reasons"] if one["reason"] == "ArrayLimit"
    ]
    assert why["facts"] == {"array": 1, "running": 2, "limit": 2, "jobs": 6}
    assert why["remedy"] == "pixmill job set --array 1 --array-limit 3"
    assert "element 4 of array 1, which has 6 jobs, 2 of at most 2 at once run" in run("job", "show", 5).out
    alone = world.train()
    assert "Priority" not in run("job", "why", alone).out, "what an array holds back is not ahead of it"


def test_the_limit_of_an_array_is_changed(run: Runner, world: World) -> None:
    run(*TRAIN, "--array", "0-5%1")
    run("submit", "ping")
    slot = Slot(DeviceKind.CPU)
    assert len(world.database.transact(lambda session: queue_ready_tasks(session, slot, 100))) == 2
    found = run("job", "set", "--array-limit", 3, "1_4", "--reason", "night")
    assert (found.code, "array 1: of its 6 jobs at most 3 run at once" in found.err) == (0, True)
    assert len(world.database.transact(lambda session: queue_ready_tasks(session, slot, 100))) == 2
    rehearsed = run("job", "set", "--array", 1, "--array-limit", "none", "--dry-run")
    assert "nothing was changed" in rehearsed.err
    assert items(run)[0]["array"]["max_running"] == 3
    assert run("job", "set", "--array", 1, "--array-limit", "none").code == 0
    assert items(run)[0]["array"]["max_running"] is None
    assert run("job", "set", 7, "--array-limit", 3).code == 3
    assert run("job", "set", "--array", 2, "--array-limit", 3).code == 3
    assert run("job", "set", "--user", "ann", "--array-limit", 3).code == 2
    assert run("job", "set", 1, "--array-limit", 3, "--priority", 3).code == 2
    assert run("job", "set", "--array-limit", 3).code == 2
    assert run("job", "set", 1, "--array-limit", 0).code == 0
    assert items(run)[5]["message"] == "0 of 0 of array 1 run", "those that were called wait again"


def test_acts_and_waits_choose_by_array(run: Runner, world: World) -> None:
    run("submit", "ping", "--array", "0-2")
    run("submit", "ping")
    assert run("job", "hold", "--array", 1, "-y").code == 0
    assert [item["state"] for item in items(run)] == ["held"] * 3 + ["pending"]
    assert run("job", "release", "--array", 1, "-y").code == 0
    assert "nobody can be asked" in run("cancel", "--array", 1).err
    assert run("wait", "--array", 1, "--timeout", "0s").code == 101
    worker = world.worker()
    for _ in range(3):
        world.succeed(world.claim(worker))
    assert run("wait", "--array", 1).code == 0
    assert run("wait", "--array", 2).code == 3
    assert run("wait").code == 2
    assert run("wait", "1[2]").code == 0
    assert run("job", "show", "1_7").code == 3
    assert "it has 0-2" in run("job", "show", "1_7").err
    for text in ("1-7", "1_x", "1_" + "1" * 5000):
        assert run("job", "show", text).code == 2


def test_of_many_jobs_a_wait_names_some(run: Runner, world: World) -> None:
    run("submit", "ping", "--array", "0-29")
    run("cancel", "--array", 1, "-y")
    found = run("wait", "--array", 1)
    assert found.code == 103
    assert "30 of 30 jobs cancelled: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, …" in found.err


def test_an_array_is_put_ahead_in_the_order_of_its_jobs(run: Runner, world: World) -> None:
    run("submit", "ping")
    run("submit", "ping", "--array", "0-2")
    assert run("job", "top", "--array", 2, "-y").code == 0
    worker = world.worker()
    assert [world.claim(worker).job_id for _ in range(4)] == [2, 3, 4, 1]


def test_of_many_jobs_those_for_which_it_is_impossible_take_nothing_back_from_the_others(
    run: Runner, world: World
) -> None:
    run("submit", "ping", "--array", "0-250", "-l", "exp=7")
    worker = world.worker()
    world.succeed(world.claim(worker))
    run("cancel", 102)
    found = run("cancel", "-l", "exp=7", "--state", "pending", "--state", "cancelled", "-y")
    assert found.code == 1
    assert "error: job 102 has already been cancelled" in found.err
    assert "249 of 250 jobs done, 1 not" in found.err
    assert {item["state"] for item in items(run)[1:]} == {"cancelled"}


def test_a_job_waits_for_all_of_an_array(run: Runner, world: World) -> None:
    run("submit", "ping", "--array", "0-19", "-q")
    assert run("submit", "ping", "--after", "array:1", "-q").out == "21\n"
    item = items(run)[20]
    assert (item["waits_for"], item["reason"]) == (list(range(1, 21)), "Dependency(1,2,3,4,5,6,7,8,9,10,11,12,…)")
    assert item["options"]["after"] == ["array:1"]
    worker = world.worker()
    for _ in range(20):
        world.succeed(world.claim(worker))
    assert world.claim(worker).job_id == 21
    assert run("submit", "ping", "--after", "array:2").code == 3
    assert run("submit", "ping", "--after", "array:x").code == 2
