"""A job that cannot succeed says why in one line, and its worker goes on."""

import shutil
from pathlib import Path

from sqlalchemy import text

from db.control import release_job
from pixmill.specs import PingSpec
from pixmill.states import FailureReason, State
from tests.worker.conftest import SMALL_CLASSIFIER, long_train, small_generate, small_train
from tests.worker.line import Line


def test_a_folder_that_went_away_is_a_missing_data_set(line: Line, pictures: Path) -> None:
    job = line.submit(small_train(dataset=f"folder:{pictures}"), hold=True)
    shutil.rmtree(pictures)
    line.database.transact(lambda session: release_job(session, job, actor="tester"))
    expect_failure(line, job, FailureReason.DATASET_MISSING, str(pictures))


def test_one_class_is_not_enough_for_a_conditional_model(sqlite_line: Line, pictures: Path) -> None:
    shutil.rmtree(pictures / "odd")
    job = sqlite_line.submit(small_train(dataset=f"folder:{pictures}"))
    expect_failure(sqlite_line, job, FailureReason.USER_ERROR, "class")


def test_a_corrupt_image_is_named(sqlite_line: Line, pictures: Path) -> None:
    broken = pictures / "even" / "4.png"
    broken.write_bytes(broken.read_bytes()[:60])
    job = sqlite_line.submit(small_train(dataset=f"folder:{pictures}"))
    expect_failure(sqlite_line, job, FailureReason.USER_ERROR, "even/4.png")


def test_a_corrupt_image_can_be_left_out(sqlite_line: Line, pictures: Path) -> None:
    broken = pictures / "even" / "4.png"
    broken.write_bytes(broken.read_bytes()[:60])
    job = sqlite_line.run(small_train(dataset=f"folder:{pictures}", images=64, on_bad_image="skip"))
    assert "left out even/4.png" in sqlite_line.job_log(job)


def test_a_run_that_diverges_twice_fails(sqlite_line: Line) -> None:
    options = SMALL_CLASSIFIER | {"learning_rate": 1.0, "beta2": 0.0}
    job = sqlite_line.submit(long_train(images=1_000_000, options=options))
    expect_failure(sqlite_line, job, FailureReason.NON_FINITE_LOSS, "lower the learning rate")
    assert sqlite_line.job_log(job).count("with half the learning rate") == 1


def test_a_class_that_the_model_does_not_know_is_named(sqlite_line: Line) -> None:
    train = sqlite_line.submit(small_train(images=64))
    job = sqlite_line.submit(small_generate(f"job:{train}", classes=["zebra"]))
    expect_failure(sqlite_line, job, FailureReason.USER_ERROR, "has no class 'zebra'")


def test_a_model_whose_weights_were_altered_is_refused(sqlite_line: Line) -> None:
    train = sqlite_line.run(small_train(images=64, seed=99), name="altered")
    weights = sqlite_line.path(sqlite_line.attempts(train)[-1].folder) / "model" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    job = sqlite_line.submit(small_generate(f"job:{train}"))
    expect_failure(sqlite_line, job, FailureReason.CORRUPT_FILE, "was altered")


def test_a_spec_that_nobody_can_read_fails_its_job_and_no_worker(sqlite_line: Line) -> None:
    """Of another form, where a worker needs what is missing; and no JSON at all."""
    before = {name: len(sqlite_line.log(name)) for name in ("worker", "scheduler")}
    odd, broken = (sqlite_line.submit(PingSpec(), hold=True) for _ in range(2))
    with sqlite_line.database.write() as session:
        session.execute(text(f"UPDATE jobs SET spec = '{{\"x\": 1}}' WHERE id = {odd}"))
        session.execute(text(f"UPDATE tasks SET role = 'gate' WHERE job_id = {odd}"))
        session.execute(text(f"UPDATE tasks SET params = '{{' WHERE job_id = {broken}"))
    for job in (odd, broken):
        sqlite_line.database.transact(lambda session, job=job: release_job(session, job, actor="tester"))  # type: ignore[misc]
    worker = sqlite_line.worker
    for job, words in ((odd, "a spec that this pixmill cannot read"), (broken, "where an object of JSON belongs")):
        assert sqlite_line.wait(job) is State.FAILED, sqlite_line.story(job)
        found = sqlite_line.job(job)
        assert found.reason == FailureReason.CORRUPT_ROW
        assert found.message is not None
        assert words in found.message
    with sqlite_line.database.write() as session:  # other tests look at these rows, too
        session.execute(text(f'UPDATE jobs SET spec = \'{{"kind": "ping"}}\' WHERE id = {odd}'))
        session.execute(text(f"UPDATE tasks SET role = 'ping', params = '{{}}' WHERE job_id IN ({odd}, {broken})"))
    sqlite_line.run(PingSpec())
    assert sqlite_line.worker is worker
    for name, length in before.items():
        assert "Traceback" not in sqlite_line.log(name)[length:]


def expect_failure(line: Line, job_id: int, reason: FailureReason, words: str) -> None:
    """The job fails once, says why in a line that holds `words`, in its log too, and the worker takes the next job."""
    worker = line.worker
    assert line.wait(job_id) is State.FAILED, line.story(job_id)
    job, task = line.job(job_id), line.task(job_id)
    assert (job.reason, task.failures, task.lost_leases) == (reason.value, 1, 0), line.story(job_id)
    assert job.message is not None
    assert words in job.message
    assert "\n" not in job.message
    log = line.job_log(job_id)
    assert job.message in log
    assert "Traceback" not in log
    assert worker is not None
    assert worker.poll() is None
