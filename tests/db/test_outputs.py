import pytest

from db.aliases import Deed
from db.control import retry_job
from db.engine import Database
from db.leases import finish, publish_shard
from db.outputs import forget_output, output_users, removal_of, restore_shards
from db.references import outputs_after
from db.tables.jobs import Outcome
from db.tables.models import RegisteredDataset
from db.versions import forget_version
from db.views import job_shards, list_outputs
from pixmill.errors import Conflict, InvalidMove
from pixmill.states import FailureReason
from tests import rows
from tests.db.test_registry import trained
from tests.rows import act

FOLDER = "/srv/pixmill/outputs/1"


def numbers(database: Database, job_id: int) -> list[int]:
    return [row.number for row in act(database, job_shards, job_id)]


def test_rows_come_back_once_and_never_while_the_job_runs(database: Database) -> None:
    lease = rows.running(database)
    act(database, publish_shard, lease, rows.shard(lease, 1))
    with pytest.raises(Conflict, match="is running"):
        act(database, restore_shards, lease.job_id, [rows.shard(lease, 0)], actor="ann")
    act(database, finish, lease, Outcome.SUCCEEDED)
    both = [rows.shard(lease, 0), rows.shard(lease, 1)]
    assert act(database, restore_shards, lease.job_id, both, actor="ann") == [0]
    assert act(database, restore_shards, lease.job_id, [rows.shard(lease, 0)], actor="ann") == []
    assert numbers(database, lease.job_id) == [0, 1]


def test_a_removed_output_is_gone_from_the_lists_and_its_job_is_not_tried_again(database: Database) -> None:
    lease = rows.running(database)
    act(database, publish_shard, lease, rows.shard(lease, 0))
    with pytest.raises(Conflict, match="cannot be removed"):
        act(database, forget_output, lease.job_id, FOLDER, actor="ann", why=None)
    act(database, finish, lease, Outcome.FAILED, reason=FailureReason.USER_ERROR, message="no")
    assert act(database, removal_of, lease.job_id) is None
    act(database, forget_output, lease.job_id, FOLDER, actor="ann", why="too dark")
    removal = act(database, removal_of, lease.job_id)
    assert removal is not None
    assert (removal.actor, removal.detail) == ("ann", "too dark")
    assert (numbers(database, lease.job_id), act(database, list_outputs)) == ([], [])
    with pytest.raises(InvalidMove, match="had published was removed"):
        act(database, retry_job, lease.job_id, actor="ann")
    act(database, restore_shards, lease.job_id, [rows.shard(lease, 0)], actor="ann")
    assert act(database, removal_of, lease.job_id) is None


def test_an_output_that_was_brought_back_is_looked_at_again_and_needs_its_model(database: Database) -> None:
    trained(database)
    lease = rows.running(database, kind="generate", spec={"kind": "generate", "model": "digits@1"}, priority=1000)
    act(database, finish, lease, Outcome.SUCCEEDED, publish=rows.nothing)
    act(database, forget_output, lease.job_id, FOLDER, actor="ann", why=None)
    assert act(database, outputs_after, 0, 10) == []
    act(database, restore_shards, lease.job_id, [rows.shard(lease, 0)], actor="ann")
    assert act(database, outputs_after, 0, 10) == [lease.job_id]
    with pytest.raises(Conflict, match=f"output {lease.job_id} was made with it"):
        act(database, forget_version, "digits@1", Deed(actor="ann"))
    act(database, forget_output, lease.job_id, FOLDER, actor="ann", why=None)
    assert act(database, outputs_after, 0, 10) == []
    act(database, forget_version, "digits@1", Deed(actor="ann"))


def test_those_who_need_an_output_are_named(database: Database) -> None:
    lease = rows.running(database)
    act(database, finish, lease, Outcome.SUCCEEDED)
    child = rows.add(database, parents={lease.job_id: False})
    judge = rows.add(database, kind="evaluate", spec={"output": lease.job_id})
    reader = rows.add(database, spec={"dataset": f"tar:{FOLDER}"})
    rows.add(database, spec={"dataset": f"tar:{FOLDER}2", "output": lease.job_id})
    names = {"name": "made", "source": f"folder:{FOLDER}/files", "fingerprint": "f", "content_fingerprint": "c"}
    facts = {"image_size": 8, "channels": 1, "on_bad_image": "fail", "image_count": 4, "user_name": "ann"}
    database.transact(lambda session: session.add(RegisteredDataset(**names, **facts, description={})))
    users = act(database, lambda session: list(output_users(session, lease.job_id, FOLDER)))
    assert users == [
        f"train job {child} is pending",
        f"evaluate job {judge} is pending",
        f"train job {reader} is pending",
        "data set made is registered from it",
    ]
