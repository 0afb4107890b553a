import threading

from db.dispatch import Sighting, expire_lease
from db.engine import Database
from db.leases import give_back, publish_checkpoint, publish_shard
from db.tables.published import CheckpointKind
from db.views import job_shards, task_checkpoints
from tests import rows
from tests.rows import act


def test_only_the_newest_checkpoints_are_kept(database: Database) -> None:
    lease = rows.running(database)
    dropped = [act(database, publish_checkpoint, lease, rows.checkpoint(lease, images)) for images in (10, 20, 30, 40)]
    path = f"{lease.folder}/state-{{:09}}.pt".format
    assert dropped == [[], [], [path(10)], [path(20)]]
    with database.read() as session:
        kept = task_checkpoints(session, lease.task_id, CheckpointKind.LAST)
    assert [row.images_seen for row in kept] == [40, 30]


def test_of_the_best_checkpoints_one_is_kept_beside_the_last_ones(database: Database) -> None:
    lease = rows.running(database)
    for images in (10, 20, 30):
        for kind in (CheckpointKind.LAST, CheckpointKind.BEST):
            row = rows.checkpoint(lease, images, kind=kind, path=f"{kind}-{images}")
            act(database, publish_checkpoint, lease, row)
    with database.read() as session:
        best = task_checkpoints(session, lease.task_id, CheckpointKind.BEST)
        last = task_checkpoints(session, lease.task_id, CheckpointKind.LAST)
    assert ([row.images_seen for row in best], [row.images_seen for row in last]) == ([30], [30, 20])


def test_a_file_that_is_both_best_and_last_is_dropped_only_when_it_is_neither(database: Database) -> None:
    lease = rows.running(database)

    def publish(images: int, kind: CheckpointKind) -> list[str]:
        row = rows.checkpoint(lease, images, kind=kind, path=f"state-{images}")
        return act(database, publish_checkpoint, lease, row)

    assert publish(10, CheckpointKind.LAST) == publish(10, CheckpointKind.BEST) == []
    assert publish(20, CheckpointKind.LAST) == []
    assert publish(30, CheckpointKind.LAST) == []  # 10 is still the best
    assert publish(30, CheckpointKind.BEST) == ["state-10"]


def test_a_checkpoint_published_twice_is_there_once(database: Database) -> None:
    lease = rows.running(database)
    for _ in range(2):
        act(database, publish_checkpoint, lease, rows.checkpoint(lease, 10))
    with database.read() as session:
        assert len(task_checkpoints(session, lease.task_id, CheckpointKind.LAST)) == 1


def test_a_successor_finds_the_checkpoints_of_the_one_before(database: Database) -> None:
    lease = rows.running(database)
    act(database, publish_checkpoint, lease, rows.checkpoint(lease, 10))
    act(database, give_back, lease)
    rows.queue(database)
    successor = rows.claimed(database, rows.add_worker(database, host="other"))
    assert successor.folder != lease.folder
    with database.read() as session:
        (found,) = task_checkpoints(session, successor.task_id, CheckpointKind.LAST)
    assert (found.path, found.lease_epoch) == (f"{lease.folder}/state-000000010.pt", 1)


def test_a_shard_published_twice_is_there_once(database: Database) -> None:
    lease = rows.running(database, kind="generate")
    for number in (1, 0, 1):
        act(database, publish_shard, lease, rows.shard(lease, number))
    with database.read() as session:
        assert [row.number for row in job_shards(session, lease.job_id)] == [0, 1]


def test_publishing_and_expiring_at_the_same_moment_do_not_lock_each_other_out(database: Database) -> None:
    lease = rows.running(database)
    stop = threading.Event()

    def publish() -> int:
        count = 0
        while not stop.is_set():
            act(database, publish_shard, lease, rows.shard(lease, count))
            count += 1
        return count

    def look() -> None:
        try:
            for _ in range(20):  # what a scheduler saw a moment ago never fits any more, so it takes nothing
                act(database, expire_lease, lease.task_id, Sighting(1, -1), max_lost_leases=9)
        finally:
            stop.set()

    published, looked = rows.run_all(publish, look)
    assert looked is None
    with database.read() as session:
        assert len(job_shards(session, lease.job_id)) == published > 0
