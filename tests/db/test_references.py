from sqlalchemy import select, update

from db.control import retry_job
from db.engine import Database
from db.leases import finish, give_back, publish_checkpoint, publish_shard
from db.references import (
    AttemptFacts,
    JobReferences,
    checkpoints_after,
    foreign_paths,
    job_references,
    outputs_after,
    record_collection,
    resume_states,
    shards_after,
    still_there,
    versions_after,
)
from db.registry import add_version, ensure_dataset
from db.tables.jobs import Attempt, Event, Outcome, Task
from db.tables.published import Checkpoint, CheckpointKind
from pixmill.states import FailureReason
from tests import rows
from tests.rows import act


def references(database: Database, *job_ids: int) -> dict[int, JobReferences]:
    return dict(act(database, job_references, job_ids))


def test_a_job_without_a_row_is_missing_from_the_answer(database: Database) -> None:
    job_id = rows.add(database)
    found = references(database, job_id, 4711)
    assert set(found) == {job_id}
    assert found[job_id].attempts == {}
    assert len(found[job_id].task_ids) == 1


def test_a_claimed_attempt_is_live_and_the_one_before_is_not(database: Database) -> None:
    lease = rows.running(database)
    live = AttemptFacts(task_id=lease.task_id, is_live=True, is_latest=True, has_ended=False)
    assert references(database, lease.job_id)[lease.job_id].attempts == {lease.folder: live}

    act(database, give_back, lease)
    found = references(database, lease.job_id)[lease.job_id].attempts[lease.folder]
    assert (found.is_live, found.is_latest, found.has_ended) == (False, True, False)

    rows.queue(database)
    second = rows.claimed(database, rows.add_worker(database))
    attempts = references(database, lease.job_id)[lease.job_id].attempts
    assert {folder: (facts.is_live, facts.is_latest) for folder, facts in attempts.items()} == {
        lease.folder: (False, False),
        second.folder: (True, True),
    }


def test_a_task_that_is_retried_has_not_ended(database: Database) -> None:
    lease = rows.running(database)
    act(database, finish, lease, Outcome.FAILED, reason=FailureReason.USER_ERROR, message="no")
    assert references(database, lease.job_id)[lease.job_id].attempts[lease.folder].has_ended
    act(database, retry_job, lease.job_id, actor="ann")
    assert not references(database, lease.job_id)[lease.job_id].attempts[lease.folder].has_ended


def test_checkpoints_shards_models_and_results_need_their_files(database: Database) -> None:
    lease = rows.running(database)
    act(database, publish_checkpoint, lease, rows.checkpoint(lease, 10))
    act(database, publish_checkpoint, lease, rows.checkpoint(lease, 20, kind=CheckpointKind.BEST))
    act(database, publish_shard, lease, rows.shard(lease, 3))
    result = {
        "report": f"{lease.folder}/evaluation.json",
        "deep": [{"x": f"{lease.folder}/y.png"}],
        "output": "outputs/1",
    }
    act(database, finish, lease, Outcome.SUCCEEDED, publish=lambda _session: result)
    with database.write() as session:
        dataset = ensure_dataset(session, "digits", "f" * 64, {})
        add_version(session, "line", rows.version(lease.job_id, dataset, folder=f"{lease.folder}/model"))

    found = references(database, lease.job_id)[lease.job_id]
    names = ("state-000000010.pt", "state-000000020.pt", "model", "evaluation.json", "y.png")
    assert found.paths == {f"{lease.folder}/{name}" for name in names}
    assert found.shards == {lease.folder: {3}}
    assert act(database, foreign_paths) == set()


def test_rows_that_refer_into_another_jobs_folder_are_foreign(database: Database) -> None:
    lease = rows.running(database)
    act(database, publish_checkpoint, lease, rows.checkpoint(lease, 10, path="runs/99/1/1/state-000000010.pt"))
    act(database, publish_shard, lease, rows.shard(lease, 0))
    assert act(database, foreign_paths) == {"runs/99/1/1/state-000000010.pt"}
    with database.write() as session:
        session.execute(update(Attempt).values(folder=f"runs/{lease.job_id}0/1/1"))
    assert act(database, foreign_paths) == {"runs/99/1/1/state-000000010.pt", f"runs/{lease.job_id}0/1/1"}


def test_resume_states_are_counted_once_their_job_has_succeeded(database: Database) -> None:
    lease = rows.running(database)
    act(database, publish_checkpoint, lease, rows.checkpoint(lease, 10))
    act(database, publish_checkpoint, lease, rows.checkpoint(lease, 20))
    act(database, publish_checkpoint, lease, rows.checkpoint(lease, 20, kind=CheckpointKind.BEST))
    assert act(database, resume_states) == (0, 0)
    act(database, finish, lease, Outcome.SUCCEEDED, publish=rows.nothing)
    assert act(database, resume_states) == (2, 20)


def test_all_rows_with_files_are_paged_by_id(database: Database) -> None:
    lease = rows.running(database, kind="generate")
    for number in range(3):
        act(database, publish_shard, lease, rows.shard(lease, number))
        act(database, publish_checkpoint, lease, rows.checkpoint(lease, number, kind=CheckpointKind.BEST))
    assert act(database, outputs_after, 0, 10) == []
    act(database, finish, lease, Outcome.SUCCEEDED, publish=rows.nothing)

    first = act(database, shards_after, 0, 2)
    rest = act(database, shards_after, first[-1].id, 2)
    assert [row.number for row in (*first, *rest)] == [0, 1, 2]
    (checkpoint,) = act(database, checkpoints_after, 0, 10)  # of the best there is one
    assert act(database, still_there, Checkpoint, [checkpoint.id, 4711]) == {checkpoint.id}
    assert act(database, outputs_after, 0, 10) == [lease.job_id]
    assert act(database, versions_after, 0, 10) == []


def test_a_collection_leaves_an_event_of_no_job(database: Database) -> None:
    act(database, record_collection, actor="ann", detail="removed 3 files, 30 B")
    with database.read() as session:
        (event,) = session.scalars(select(Event)).all()
    assert (event.job_id, event.actor, event.action) == (None, "ann", "collect_garbage")
    assert event.detail == "removed 3 files, 30 B"


def test_many_jobs_are_answered_in_one_go(database: Database) -> None:
    ids = [rows.add(database) for _ in range(3)]
    found = references(database, *ids)
    assert set(found) == set(ids)
    with database.read() as session:
        tasks = {row.job_id: row.id for row in session.execute(select(Task.job_id, Task.id))}
    assert {job_id: facts.task_ids for job_id, facts in found.items()} == {job_id: {tasks[job_id]} for job_id in ids}
