"""Report tasks: at a desk in this process, behind the fence, and as the last step of a night by real processes."""

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from client.jobreport.building import write_run_report
from db.dispatch import expire_lease, sight_running
from db.engine import Database
from db.leases import Lease, finish
from db.pipelines import RunView, view_run
from db.tables.jobs import Outcome, Role
from db.workers import database_time
from pixmill.errors import LeaseLost
from pixmill.pipelines import parse_pipeline
from pixmill.states import PipelineState, State
from scheduler.broker import poke
from scheduler.pipelineacts import begin_run
from storage.paths import Layout
from tests import rows
from tests.pages.nights import promoted_night
from tests.reports.pages import Page
from tests.rows import act
from tests.scheduler.runs import Runs, pings
from tests.worker.conftest import digits_model, small_generate, small_train
from tests.worker.desks import Listener
from tests.worker.line import Line
from worker.parent.filing import filer

PLACE = "reports/pipelines/pings/run-1.html"


def test_a_desk_writes_the_page_of_the_facts_into_its_folder(tmp_path: Path) -> None:
    facts = promoted_night(tmp_path).model_dump(mode="json")
    with closing(Listener(tmp_path, role="report", spec={"kind": "report", "run": 3}, params={"facts": facts})) as desk:
        answer = desk.run().answer
    assert answer["say"] == "succeeded", answer
    path = tmp_path / answer["result"]["page"]
    assert path == tmp_path / "runs/1/2/3/page.html"
    assert path.stat().st_size == answer["result"]["bytes"]
    page = Page(path.read_text(encoding="utf-8"))
    assert "PROMOTED digits@7" in page.text
    assert len(page.attributes_of("img")) == 3
    assert list((tmp_path / "reports").rglob("*")) == []


def test_a_stopped_task_leaves_no_page_in_its_place(tmp_path: Path) -> None:
    facts = promoted_night(tmp_path).model_dump(mode="json")
    with closing(Listener(tmp_path, role="report", spec={"kind": "report", "run": 3}, params={"facts": facts})) as desk:
        desk.stop.set()
        assert desk.run().answer == {"say": "stopped"}


@pytest.fixture
def claimed(database: Database) -> Callable[[], Lease]:
    """Claims the report of a run whose one other step has succeeded, again and again."""
    runs = Runs(database)
    run_id = runs.begin(pings(one={}, page={"kind": "report"}))
    runs.look()
    runs.end(run_id, "one")
    runs.look()
    worker = rows.add_worker(database)

    def claim() -> Lease:
        rows.queue(database)
        return rows.claimed(database, worker)

    return claim


def succeed(database: Database, lease: Lease, root: Path, text: str, spoil: Callable[[], None] = lambda: None) -> None:
    """End a report task whose attempt has written `text`, as a worker does; `spoil` may keep it from its commit."""
    page = root / lease.folder / "page.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text)
    file = filer(Role.REPORT, Layout(root))
    assert file is not None

    def publish(session: Session) -> Mapping[str, Any]:
        left = file(session, lease, {"page": f"{lease.folder}/page.html", "bytes": len(text)})
        spoil()
        return left

    act(database, finish, lease, Outcome.SUCCEEDED, publish=publish)


def lost(database: Database, lease: Lease) -> None:
    with database.read() as session:
        seen = sight_running(session)[lease.task_id]
    assert act(database, expire_lease, lease.task_id, seen, max_lost_leases=99) is State.PENDING


def test_a_worker_that_was_taken_for_dead_replaces_no_page(
    database: Database, claimed: Callable[[], Lease], tmp_path: Path
) -> None:
    zombie = claimed()
    lost(database, zombie)
    heir = claimed()
    assert heir.epoch > zombie.epoch
    with pytest.raises(LeaseLost):
        succeed(database, zombie, tmp_path, "of a zombie")
    assert not (tmp_path / PLACE).exists()
    succeed(database, heir, tmp_path, "of the heir")
    with pytest.raises(LeaseLost):
        succeed(database, zombie, tmp_path, "of a zombie")
    assert (tmp_path / PLACE).read_text() == "of the heir"
    assert rows.task(database, heir.task_id).result == {"page": PLACE, "bytes": len("of the heir")}


def test_a_page_whose_worker_died_before_the_commit_is_replaced_by_the_next_attempt(
    database: Database, claimed: Callable[[], Lease], tmp_path: Path
) -> None:
    def die() -> None:
        raise RuntimeError("killed")

    first = claimed()
    with pytest.raises(RuntimeError, match="killed"):
        succeed(database, first, tmp_path, "nobody vouches for it", die)
    assert rows.task(database, first.task_id).state is State.RUNNING
    lost(database, first)
    succeed(database, claimed(), tmp_path, "the page")
    for name in ("run-1.html", "latest.html"):
        assert (tmp_path / PLACE).with_name(name).read_text() == "the page"
    assert {path.name for path in (tmp_path / PLACE).parent.iterdir()} == {"latest.html", "run-1.html"}


def begin(line: Line, **steps: Mapping[str, Any]) -> int:
    spec = parse_pipeline({"kind": "pipeline", "name": "night", "steps": steps})

    def add(session: Session) -> int:
        return begin_run(session, spec, {}, database_time(session), user="tester", outputs=None).id

    run_id = line.database.transact(add)
    poke(line.settings)
    return run_id


def view(line: Line, run_id: int) -> RunView:
    with line.database.read() as session:
        return view_run(session, run_id)


def test_a_night_by_real_processes_ends_with_its_page(sqlite_line: Line, tmp_path: Path) -> None:
    line = sqlite_line
    model = digits_model(line)
    train = small_train(images=640).model_dump(mode="json", exclude_none=True)
    made = small_generate(model, n=40, shard_size=20).model_dump(mode="json", exclude_none=True)
    limits = {"kid": {"worse_by": 9.0}, "near_copies": {"max": 1.0}}
    gate = {"kind": "gate", "model": "${train.model}", "against": model, "images": 60, "seeds": 2, "gates": limits}
    run_id = begin(
        line,
        train={**train, "name": "night"},
        gate=gate,
        promote={"kind": "promote", "model": "${train.model}", "gate": "gate", "auto": True},
        bulk={**made, "after": ["promote"]},
        broken={"kind": "evaluate", "output": "${gate.job}", "after": ["bulk"]},
        page={"kind": "report"},
    )
    line.wait_for(lambda: view(line, run_id).run.state is not PipelineState.RUNNING, 1)
    ended = view(line, run_id)
    assert ended.run.state is PipelineState.FAILED  # a gate job has no output to judge
    assert ended.run.message is not None
    assert ended.run.message.startswith("step broken")
    place = ended.named("page").step.values["page"]
    assert place == f"reports/pipelines/night/run-{run_id}.html"
    text = line.path(place).read_text(encoding="utf-8")
    assert line.path(place).with_name("latest.html").read_text(encoding="utf-8") == text
    page = Page(text)
    for words in ("It failed at step broken", "Verdict: ", f"Champion {model}", "A column for each class: 0, 1, 2"):
        assert words in page.text, words
    assert len(page.attributes_of("img")) == 3
    by_hand = write_run_report(line.database, line.settings, run_id, tmp_path / "page.html").read_text(encoding="utf-8")
    assert Page(by_hand).attributes_of("img") == page.attributes_of("img")
