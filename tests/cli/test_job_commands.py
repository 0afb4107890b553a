import threading
from pathlib import Path

import pytest

from db.views import job_events
from pixmill.states import FailureReason
from tests.cli.running import Runner, Terminal, at_once, without_escapes
from tests.cli.world import World


def test_show_tells_everything_about_a_job(run: Runner, world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    job_id = world.generated(worker)

    found = run("job", "show", job_id)

    assert found.code == 0
    for words in ("job 2  digits-vae-images", "state      succeeded", "outputs/2", "40 images", "assemble", "claim"):
        assert words in found.out
    item = run("job", "show", job_id, "-o", "json").json["item"]
    assert [task["role"] for task in item["tasks"]] == ["generate", "assemble"]
    assert [attempt["outcome"] for attempt in item["attempts"]] == ["succeeded", "succeeded"]
    assert item["events"][0]["action"] == "submit"
    assert item["tasks"][1]["result"]["class_counts"] == {"zero": 20, "one": 20}


def test_show_of_an_evaluation_lists_its_metrics_with_their_controls(run: Runner, world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    controls = [{"name": "held_out_real", "value": 0.25, "n": 9}, {"name": "noise", "value": 20.0, "n": 9}]
    metric = {"name": "fd@cnn", "value": 1.5, "n": 40, "reference_n": 9, "better": "lower", "meaning": "distance"}
    metric |= {"controls": controls, "standard_error": None, "expected_bias": None}
    job_id = world.judged(worker, world.generated(worker), [metric])

    (line,) = [line for line in run("job", "show", job_id).lines if line.startswith("fd@cnn")]
    assert line.split() == ["fd@cnn", "1.5", "40", "lower", "0.25", "–", "20"]
    assert run("job", "show", job_id, "-o", "json").json["item"]["metrics"] == [metric]


def test_show_folds_a_long_table_and_json_has_it_whole(run: Runner, world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    job_id = world.generate("digits-vae", 400_000)
    assert "… 34 more …" in run("job", "show", job_id).out
    assert len(run("job", "show", job_id, "-o", "json").json["item"]["tasks"]) == 46


@pytest.mark.parametrize(
    "command",
    ["show", "why", "logs", "wait", "cancel", "hold", "release", "requeue", "retry", "top", "report"],
)
def test_a_job_that_does_not_exist_is_not_found(command: str, run: Runner) -> None:
    found = run("job", command, 99)
    assert (found.code, found.out) == (3, "")
    assert "error: there is no job 99" in found.err
    assert "hint:  pixmill ps --all" in found.err


@pytest.mark.parametrize("command", ["show", "logs", "wait", "cancel"])
def test_an_id_that_is_no_number_is_a_usage_error(command: str, run: Runner) -> None:
    assert run("job", command, "x").code == 2


def test_wait_tells_how_each_job_ended_by_its_exit_code(run: Runner, world: World) -> None:
    worker = world.worker()
    good, bad, gone, waiting = (world.train(name=name) for name in ("good", "bad", "gone", "waiting"))
    world.succeed(world.claim(worker))
    world.fail(world.claim(worker), FailureReason.NON_FINITE_LOSS, "loss is NaN")
    run("cancel", gone)

    assert run("wait", good).code == 0
    assert run("wait", gone).code == 103
    found = run("wait", waiting, "--timeout", "0")
    assert found.code == 101
    assert f"hint:  pixmill wait {waiting}" in found.err
    found = run("wait", good, bad, gone)
    assert found.code == 100
    assert "job 2 (bad) failed after 0s: NaNLoss: loss is NaN" in at_once(found.err)
    assert "error: 1 of 3 jobs failed: 2" in found.err
    assert found.out == ""


def test_wait_returns_when_the_job_ends(run: Runner, world: World) -> None:
    job_id = world.train()
    lease = world.claim(world.worker())
    ending = threading.Timer(0.1, world.succeed, (lease,))
    ending.start()
    found = run("wait", job_id, "--timeout", "30")
    ending.join()
    assert found.code == 0
    assert f"job {job_id} (vae-digits) succeeded" in found.err


def test_ctrl_c_in_wait_detaches_and_says_how_to_come_back(world: World) -> None:
    job_id = world.train()
    terminal = Terminal("wait", job_id)
    terminal.read_until("NoWorker")
    terminal.process.send_signal(2)
    found = terminal.finish()
    assert found.code == 130
    assert f"detached; job {job_id} continues: pixmill wait {job_id}" in found.out
    with world.database.read() as session:
        assert [event.action for event in job_events(session, job_id)] == ["submit"]


def test_wait_on_a_terminal_shows_a_bar_with_progress_and_losses(world: World) -> None:
    job_id = world.train(name="mine")
    lease = world.claim(world.worker())
    world.progress(lease, 4300, losses={"kl": 3.21})
    terminal = Terminal("wait", job_id, columns=100)
    terminal.read_until("kl 3.21")
    world.succeed(lease)
    found = terminal.finish()
    assert found.code == 0
    shown = without_escapes(found.out)
    assert "43%" in shown
    assert "812 img/s" in shown
    assert "job 1 (mine) succeeded" in shown


def test_logs_go_to_stdout_and_titles_to_stderr(run: Runner, world: World) -> None:
    worker = world.worker()
    world.trained(worker, name="digits-vae")
    job_id = world.generate("digits-vae")
    first = world.claim(worker)
    world.log(first, "one", "two", "three")
    world.succeed(first)
    second = world.claim(worker)
    world.log(second, "four\x1b[31m")

    found = run("logs", job_id)
    assert found.code == 0
    assert found.lines == ["one", "two", "three", "four�[31m"]
    assert "==> attempt 1: task 0 (generate) on" in found.err
    assert "==> attempt 2: task 1 (assemble) on" in found.err
    assert run("logs", job_id, "--attempt", 1).lines == ["one", "two", "three"]
    assert run("logs", job_id, "--tail", 1).lines == ["three", "four�[31m"]
    missing = run("logs", job_id, "--attempt", 3)
    assert missing.code == 3
    assert "it has 2" in missing.err


def test_logs_of_a_job_that_has_not_begun_say_so(run: Runner, world: World) -> None:
    found = run("logs", world.train())
    assert (found.code, found.out) == (0, "")
    assert "has not begun" in found.err


def test_logs_that_lie_elsewhere_say_so(run: Runner, world: World) -> None:
    job_id = world.train()
    world.claim(world.worker())
    assert "is it on another host?" in run("logs", job_id).err


def test_following_ends_with_the_job_and_with_its_exit_code(run: Runner, world: World) -> None:
    job_id = world.train()
    lease = world.claim(world.worker())
    world.log(lease, "first")
    path = world.root / lease.folder / "log.txt"

    def end() -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write("seco")
            file.flush()
            file.write("nd\nlast without an end")
        world.fail(lease, FailureReason.NON_FINITE_LOSS, "loss is NaN")

    ending = threading.Timer(0.2, end)
    ending.start()
    found = run("logs", "-f", job_id)
    ending.join()
    assert found.lines == ["first", "second", "last without an end"]
    assert found.code == 100
    assert "NaNLoss: loss is NaN" in found.err


def test_following_says_why_a_job_waits_and_picks_it_up_when_it_starts(run: Runner, world: World) -> None:
    job_id = world.train()
    worker = world.worker()

    def live() -> None:
        lease = world.claim(worker)
        world.log(lease, "hello")
        world.succeed(lease)

    ending = threading.Timer(0.2, live)
    ending.start()
    found = run("logs", "-f", job_id)
    ending.join()
    assert found.lines == ["hello"]
    assert "job 1 is pending: NoScheduler" in found.err
    assert found.code == 0


def test_following_with_a_tail_shows_the_end_first(run: Runner, world: World) -> None:
    job_id = world.train()
    lease = world.claim(world.worker())
    world.log(lease, *map(str, range(10)))
    world.succeed(lease)
    assert run("logs", "-f", job_id, "--tail", 2).lines == ["8", "9"]


def test_cancel_stops_a_waiting_job_and_keeps_the_reason(run: Runner, world: World) -> None:
    job_id = world.train()
    found = run("cancel", job_id, "--reason", "wrong data")
    assert (found.code, found.out) == (0, "")
    assert "job 1 is cancelled" in found.err
    events = run("job", "show", job_id, "-o", "json").json["item"]["events"]
    assert "wrong data" in {event["detail"] for event in events}


def test_cancel_of_an_ended_job_is_a_conflict_that_says_how_it_ended(run: Runner, world: World) -> None:
    job_id = world.train()
    world.succeed(world.claim(world.worker()))
    found = run("cancel", job_id)
    assert found.code == 4
    assert "job 1 has already succeeded" in found.err


def test_cancelling_several_jobs_needs_a_yes(run: Runner, world: World) -> None:
    running, waiting = world.train(), world.train()
    world.claim(world.worker())

    found = run("cancel", running, waiting)
    assert found.code == 2
    assert "cancel 2 jobs (1 pending, 1 running): nobody can be asked" in found.err
    assert "hint:  add -y" in found.err
    assert run("ps", "--state", "cancelled", "-o", "ids").out == ""

    found = run("cancel", running, waiting, "-y")
    assert found.code == 0
    assert "job 1 is being cancelled; pixmill wait 1" in found.err
    assert run("ps", "--state", "cancelled", "-o", "ids").out == "2\n"


def test_the_question_before_cancelling_defaults_to_no(world: World) -> None:
    running, waiting = world.train(), world.train()
    world.claim(world.worker())
    terminal = Terminal("cancel", running, waiting)
    terminal.read_until("[y/N]")
    terminal.type("\n")
    found = terminal.finish()
    assert found.code == 1
    assert "cancel 2 jobs (1 pending, 1 running)?" in found.out
    assert "nothing was changed" in found.out


def test_cancelling_goes_on_after_a_job_that_cannot_be_cancelled(run: Runner, world: World) -> None:
    job_id = world.train()
    found = run("cancel", 99, job_id, "-y")
    assert found.code == 1
    assert "there is no job 99" in found.err
    assert "job 1 is cancelled" in found.err
    assert "1 of 2 jobs done, 1 not" in found.err


def test_report_writes_a_page_and_prints_its_path(run: Runner, world: World, tmp_path: Path) -> None:
    job_id = world.train(name="mine")
    assert run("job", "report", job_id).out == "pixmill-job-1.html\n"
    assert "mine" in (tmp_path / "pixmill-job-1.html").read_text(encoding="utf-8")
    found = run("job", "report", job_id, "--out", tmp_path / "no" / "such" / "place.html")
    assert found.code == 1
    assert "cannot be written" in found.err
