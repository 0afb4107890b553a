"""Night after night, through a whole line of processes."""

from db.aliases import Deed, promote
from db.registry import version_of_job
from db.tables.models import ModelVersion
from pixmill.lineage import PARENT
from pixmill.states import State
from tests.worker.conftest import long_train
from tests.worker.line import Line


def version_of(line: Line, job: int) -> ModelVersion:
    with line.database.read() as session:
        version = version_of_job(session, job)
    assert version is not None, line.story(job)
    return version


def test_a_version_comes_from_the_champion_whatever_happens_on_the_way_and_the_same_data_are_skipped(
    line: Line,
) -> None:
    first = line.run(long_train(images=3_200), name="nightly")
    line.database.transact(lambda session: promote(session, "nightly@1", "champion", Deed(actor="ann")))
    spec = long_train(images=12_800, start_from="nightly@champion")
    killed = line.submit(spec, name="nightly")
    line.wait_for_training(killed)
    line.device_process.kill()
    assert line.wait(killed) is State.SUCCEEDED, line.story(killed)
    assert line.task(killed).lost_leases == 1
    alone = line.run(spec, name="nightly")
    children = [version_of(line, job) for job in (killed, alone)]
    assert children[0].digest == children[1].digest != version_of(line, first).digest
    assert {child.lineage[PARENT] for child in children} == {"nightly@1"}
    result = line.task(alone).result
    assert result is not None
    assert (result["start_from"], result["drift"]["is_same"]) == ("nightly@1", True)
    assert line.path(result["data_traces"]).stat().st_size > 8 * result["drift"]["now"]

    skipped = line.run(spec.model_copy(update={"skip_unchanged": True}), name="nightly")
    job, task = line.job(skipped), line.task(skipped)
    assert task.result is not None
    assert task.result["skipped"]["reason"] == job.reason == "NoNewData"
    assert task.result["skipped"]["detail"] == job.message
    assert line.checkpoints(skipped) == []
