"""Each promise is broken for real, in the database or on the disk, and the checker must say which one."""

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.engine import Database, open_database
from db.schema import upgrade_schema
from pixmill.settings import load_settings
from storage.records import ShardRecord
from tests.faults.bytes import check_bytes, fingerprints
from tests.faults.checker import Known, check_everything, check_history
from tests.faults.history import read_history
from tests.faults.processes import left_behind
from tests.faults.rescue import check_rescues
from tests.faults.story import KEYS, tell
from tests.faults.violation import Invariant, Violation
from tests.waiting import wait_until

ALL_KNOWN = Known(submitted=KEYS, may_fail=(), may_be_cancelled=())
Damage = Callable[["House"], None]


class House:
    """A database and the files below it."""

    def __init__(self, database: Database, root: Path) -> None:
        self.database = database
        self.root = root

    def execute(self, *statements: str, **values: Any) -> None:
        """Change rows behind the product's back."""
        with self.database.write() as session:
            for statement in statements:
                session.execute(text(statement), values)

    def path(self, pattern: str) -> Path:
        """The one file that the pattern finds."""
        (found,) = self.root.glob(pattern)
        return found

    def check(self, known: Known = ALL_KNOWN) -> list[Violation]:
        """All that is broken."""
        return check_everything(self.database, self.root, known)


@pytest.fixture(scope="module")
def template(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a house in which all is well."""
    root = tmp_path_factory.mktemp("story") / "home"
    root.mkdir()
    shutil.copyfile(sqlite_template, root / "pixmill.db")
    database = open_database(load_settings(flags={"home": root}))
    tell(database, root)
    database.dispose()
    return root


@pytest.fixture
def house(template: Path, tmp_path: Path) -> Iterator[House]:
    """A house of this test's own."""
    root = tmp_path / "home"
    shutil.copytree(template, root)
    database = open_database(load_settings(flags={"home": root}))
    yield House(database, root)
    database.dispose()


def broken(house: House, known: Known = ALL_KNOWN) -> set[Invariant]:
    """The invariants that do not hold."""
    return {violation.invariant for violation in house.check(known)}


@pytest.fixture
def any_house(empty_database: Database, tmp_path: Path) -> House:
    """A house on each kind of database, which nobody else uses: the witness stays in it."""
    upgrade_schema(empty_database)
    tell(empty_database, tmp_path / "home")
    return House(empty_database, tmp_path / "home")


def test_nothing_is_broken_in_a_sound_history(any_house: House) -> None:
    assert any_house.check() == []


def test_a_witness_sees_an_epoch_that_comes_back(any_house: House) -> None:
    any_house.execute("UPDATE tasks SET lease_epoch = 1 WHERE id = 1", "UPDATE tasks SET lease_epoch = 2 WHERE id = 1")
    found = any_house.check()
    assert {violation.invariant for violation in found} == {Invariant.FENCE}
    assert "epoch 2 → 1" in found[0].text


ENDS: dict[str, str] = {
    "a job whose tasks say something else": "UPDATE jobs SET state = 'running' WHERE id = 1",
    "a job that never ended": "UPDATE jobs SET finished_at = NULL WHERE id = 1",
    "a job that was acknowledged and is gone": "DELETE FROM jobs WHERE id = 2",
    "a job that nobody knows failed": "UPDATE jobs SET state = 'failed' WHERE id = 1",
    "a key that was given to another job": "UPDATE jobs SET key = 'other' WHERE id = 1",
    "a model that is gone": "DELETE FROM model_versions",
}


@pytest.mark.parametrize("statement", ENDS.values(), ids=ENDS)
def test_a_lost_job_is_found(house: House, statement: str) -> None:
    house.execute(statement)
    assert Invariant.ENDS in broken(house)


def test_a_job_that_still_waits_is_broken_only_at_rest(house: House) -> None:
    house.execute(
        "UPDATE tasks SET state = 'pending', result = NULL WHERE id = 3",
        "UPDATE jobs SET state = 'running', finished_at = NULL WHERE id = 2",
    )
    history = read_history(house.database)
    assert not any("still" in violation.text for violation in check_history(history))
    assert any("still" in violation.text for violation in check_history(history, at_rest=True))


def test_a_job_that_was_submitted_twice_is_found(house: House) -> None:
    assert Invariant.ONCE in broken(house, Known(submitted={"first": 1}))


def test_a_failure_that_was_expected_is_none(house: House) -> None:
    house.execute("UPDATE jobs SET state = 'failed' WHERE id = 1", "UPDATE tasks SET state = 'failed' WHERE job_id = 1")
    assert any("nobody asked for" in violation.text for violation in house.check())
    assert not any("nobody asked for" in violation.text for violation in house.check(Known(may_fail={1})))


ONCE: dict[str, tuple[str, ...]] = {
    "two attempts that succeeded": ("UPDATE attempts SET outcome = 'succeeded' WHERE task_id = 1",),
    "a second model of one job": (
        "CREATE TABLE copied AS SELECT * FROM model_versions",
        "DROP TABLE model_versions",
        "CREATE TABLE model_versions AS SELECT * FROM copied UNION ALL SELECT 2, * FROM (SELECT {rest} FROM copied)",
    ),
    "a model of a job that was cancelled": (
        "UPDATE jobs SET state = 'cancelled' WHERE id = 1",
        "UPDATE tasks SET state = 'cancelled' WHERE job_id = 1",
    ),
    "a shard that was published twice": (
        "CREATE TABLE copied AS SELECT * FROM shards",
        "DROP TABLE shards",
        "CREATE TABLE shards AS SELECT * FROM copied UNION ALL SELECT 99, * FROM (SELECT {rest} FROM copied LIMIT 1)",
    ),
    "a data set of a job that did not end": ("UPDATE tasks SET state = 'running' WHERE id = 3",),
    "a task that succeeded twice": (
        "CREATE TABLE copied AS SELECT * FROM events WHERE to_state = 'succeeded' AND task_id = 1",
        "INSERT INTO events ({rest}) SELECT {rest} FROM copied",
    ),
}


@pytest.mark.parametrize("statements", ONCE.values(), ids=ONCE)
def test_a_doubled_result_is_found(house: House, statements: tuple[str, ...]) -> None:
    for statement in statements:
        table = "model_versions" if "2, *" in statement else "shards"
        house.execute(statement.replace("{rest}", columns_but_id(house, table)) if "{rest}" in statement else statement)
    assert Invariant.ONCE in {v.invariant for v in check_history(read_history(house.database))}


def columns_but_id(house: House, table: str) -> str:
    with house.database.read() as session:
        names = [row[1] for row in session.execute(text("PRAGMA table_info(copied)"))]
    assert names[0] == "id", table
    return ", ".join(names[1:])


def torn(pattern: str) -> Damage:
    def act(house: House) -> None:
        path = house.path(pattern)
        content = path.read_bytes()
        path.unlink()  # both names of a linked file must not be torn at once
        path.write_bytes(content[: len(content) // 2])

    return act


def removed(pattern: str) -> Damage:
    return lambda house: house.path(pattern).unlink()


def flipped(pattern: str) -> Damage:
    def act(house: House) -> None:
        content = bytearray(house.path(pattern).read_bytes())
        content[len(content) // 2] ^= 1
        house.path(pattern).write_bytes(content)

    return act


def stray(name: str) -> Damage:
    def act(house: House) -> None:
        path = house.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"something")

    return act


def altered(statement: str) -> Damage:
    return lambda house: house.execute(statement)


FILES: dict[str, Damage] = {
    "a torn checkpoint": torn("runs/1/1/2/state-000000200.pt"),
    "a checkpoint with a wrong bit": flipped("runs/1/1/1/state-000000100.pt"),
    "a checkpoint that is gone": removed("runs/1/1/2/state-000000200.pt"),
    "a torn archive": torn("runs/2/2/1/shard-000000.tar"),
    "a torn table": torn("runs/2/2/2/shard-000001.parquet"),
    "a marker that is gone": removed("runs/2/2/2/shard-000002.json"),
    "weights with a wrong bit": flipped("runs/1/1/2/model/weights.safetensors"),
    "a model without its card": removed("runs/1/1/2/model/model.json"),
    "a digest that is not the model's": altered("UPDATE model_versions SET digest = 'd'"),
    "an archive that is missing in the data set": removed("outputs/2/shard-000001.tar"),
    "a torn archive in the data set": torn("outputs/2/shard-000001.tar"),
    "a data set without its index": removed("outputs/2/dataset.json"),
    "a torn index": torn("outputs/2/dataset.json"),
    "a data set without its contact sheet": removed("outputs/2/contact-sheet.png"),
    "a shard that no row knows": stray("outputs/2/shard-000007.tar"),
    "a data set of no job": stray("outputs/9/shard-000000.tar"),
    "a row that is gone": altered("DELETE FROM shards WHERE number = 1"),
    "a hash that is not the shard's": altered(
        "UPDATE shards SET record = replace(record, '\"count\": 10', '\"count\": 9')"
    ),
    "a result that promises more": altered("UPDATE tasks SET result = replace(result, '30', '31') WHERE id = 3"),
    "a shard that its attempt never made": removed("runs/2/2/2/journal.jsonl"),
}


@pytest.mark.parametrize("damage", FILES.values(), ids=FILES)
def test_a_torn_or_missing_file_is_found(house: House, damage: Damage) -> None:
    damage(house)
    assert broken(house) == {Invariant.FILES}


def test_a_checkpoint_that_was_spoilt_on_purpose_is_none(house: House) -> None:
    torn("runs/1/1/2/state-000000200.pt")(house)
    assert broken(house, Known(damaged={"runs/1/1/2/state-000000200.pt"})) == set()


FENCE: dict[str, str] = {
    "a checkpoint of an epoch that is over": "UPDATE witness_saves SET epoch = 1 WHERE images_seen = 200",
    "a shard of an epoch that is over": "UPDATE shards SET lease_epoch = 1 WHERE number = 2",
    "a shard of an epoch to come": "UPDATE shards SET lease_epoch = 3 WHERE number = 2",
    "a claim before the last one ended": "UPDATE attempts SET finished_at = '2999-01-01' WHERE id = 1",
    "a model of an attempt that was lost": "UPDATE model_versions SET folder = replace(folder, '1/1/2', '1/1/1')",
    "an end by somebody else": "UPDATE events SET actor = 'zombie' WHERE to_state = 'succeeded' AND task_id = 1",
    "a move from where the task was not": "UPDATE events SET from_state = 'held' WHERE to_state = 'queued'",
    "a move that no event tells": "UPDATE tasks SET state = 'failed' WHERE id = 1",
    "an attempt that ended otherwise": "UPDATE attempts SET outcome = 'cancelled' WHERE id = 1",
}


@pytest.mark.parametrize("statement", FENCE.values(), ids=FENCE)
def test_a_write_under_an_old_lease_is_found(house: House, statement: str) -> None:
    house.execute(statement)
    assert Invariant.FENCE in broken(house)


COUNTERS: dict[str, str] = {
    "failures": "UPDATE tasks SET failures = 1 WHERE id = 1",
    "lost leases": "UPDATE tasks SET lost_leases = 0 WHERE id = 1",
    "preemptions": "UPDATE tasks SET preemptions = 1 WHERE id = 2",
    "dispatches": "UPDATE tasks SET dispatch_seq = 9 WHERE id = 1",
    "an open attempt": "UPDATE attempts SET outcome = NULL WHERE id = 1",
    "a change that no event tells": "UPDATE witness_moves SET old_state = new_state WHERE id = 1",
}


@pytest.mark.parametrize("statement", COUNTERS.values(), ids=COUNTERS)
def test_a_counter_that_lies_is_found(house: House, statement: str) -> None:
    house.execute(statement)
    assert Invariant.COUNTERS in broken(house)


def edited(pattern: str, old: str, new: str) -> Damage:
    def act(house: House) -> None:
        path = house.path(pattern)
        before = path.read_text(encoding="utf-8")
        assert old in before
        path.write_text(before.replace(old, new), encoding="utf-8")

    return act


RESUME: dict[str, tuple[Damage, Invariant]] = {
    "training that went on from too early": (
        edited("runs/1/1/2/journal.jsonl", '"images_seen": 100', '"images_seen": 50'),
        Invariant.RESUME,
    ),
    "a shard that was made twice": (
        edited("runs/2/2/2/journal.jsonl", '"number": 1', '"number": 0'),
        Invariant.RESUME,
    ),
    "a refusal without a cause": (
        edited("runs/1/1/2/journal.jsonl", '"what": "resumed"', '"what": "refused", "why": "torn"'),
        Invariant.FILES,
    ),
    "two attempts in one folder": (
        edited("runs/1/1/2/journal.jsonl", '"what": "end"', '"what": "begin"'),
        Invariant.ONCE,
    ),
}


@pytest.mark.parametrize(("damage", "invariant"), RESUME.values(), ids=RESUME)
def test_work_that_was_done_again_is_found(house: House, damage: Damage, invariant: Invariant) -> None:
    damage(house)
    assert invariant in broken(house)


def test_training_may_begin_earlier_where_the_checkpoint_was_spoilt(house: House) -> None:
    edited("runs/1/1/2/journal.jsonl", '"images_seen": 100', '"images_seen": 0')(house)
    assert Invariant.RESUME in broken(house)
    assert broken(house, Known(damaged={"runs/1/1/1/state-000000100.pt"})) == set()


def test_a_process_that_is_left_is_found(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert left_behind(tmp_path) == []
    with subprocess.Popen([sys.executable, "-c", "input()", str(tmp_path)], stdin=subprocess.PIPE) as process:
        found = wait_until(lambda: left_behind(tmp_path))
        process.communicate(b"\n")
    assert [violation.invariant for violation in found] == [Invariant.PROCESSES]


def test_a_lock_that_somebody_holds_is_found(tmp_path: Path) -> None:
    path = tmp_path / "run" / "device-cpu.lock"
    path.parent.mkdir()
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert [violation.invariant for violation in left_behind(tmp_path)] == [Invariant.PROCESSES]
    assert left_behind(tmp_path) == []


def test_a_lease_that_was_taken_from_a_worker_left_alone_is_found(house: House) -> None:
    history = read_history(house.database)
    assert list(check_rescues(history, hurt=())) == []  # it was its worker that gave up the lease
    house.execute("UPDATE events SET actor = 'scheduler', action = 'expire' WHERE action = 'lost'")
    history = read_history(house.database)
    assert {violation.invariant for violation in check_rescues(history, hurt=())} == {Invariant.RESCUE}
    pids = {worker.pid for worker in history.workers}
    assert list(check_rescues(history, hurt=pids)) == []


def test_other_bytes_are_found(house: House) -> None:
    house.execute("UPDATE jobs SET spec_digest = 'two' WHERE id = 2")
    history = read_history(house.database)
    known = fingerprints(history)
    assert len(known) == 2
    assert list(check_bytes(history, known)) == []
    shard = next(iter(history.shards))
    record = ShardRecord.from_json(shard.record).to_json() | {"tar_sha256": "a" * 64}
    shard.record = record
    assert {violation.invariant for violation in check_bytes(history, known)} == {Invariant.BYTES}
