"""Registered data sets and generated ones, through a whole line of processes."""

import getpass
from pathlib import Path
from typing import Any

from db.control import release_job
from db.datasets import NewDataset, register_dataset
from db.registry import version_of_job
from imagemodels.data import load_dataset
from pixmill.specs import CompressSpec, EvaluateSpec
from pixmill.states import FailureReason
from tests.imagemodels.data.pictures import write_picture
from tests.worker.conftest import digits_model, small_generate, small_train
from tests.worker.line import Line
from tests.worker.test_failing_jobs import expect_failure
from tests.worker.test_kinds_compress import codec_model


def register(line: Line, name: str, source: str, **options: Any) -> dict[str, Any]:
    """Register a data set as the command line does; gives its description."""
    description = load_dataset(source, **options).describe()
    new = NewDataset(
        name=name, source=source, on_bad_image="fail", description=description, user_name=getpass.getuser()
    )
    line.database.transact(lambda session: register_dataset(session, new, replace=True))
    return description


def test_what_was_generated_is_trained_on_by_its_registered_name(line: Line) -> None:
    output = line.run(small_generate(digits_model(line), n=60, shard_size=25))
    described = register(line, "made", f"tar:{line.settings.storage_root}/outputs/{output}")
    assert described["histogram"] == dict.fromkeys("0123456789", 6)
    job = line.run(small_train(dataset="made", image_size=None, images=64))
    with line.database.read() as session:
        version = version_of_job(session, job)
    assert version is not None
    assert (version.image_size, version.channels, version.classes) == (16, 1, list("0123456789"))
    assert version.dataset.fingerprint == described["fingerprint"]
    assert "data set made is as it was registered" in line.job_log(job)


def test_data_that_changed_after_the_submit_fail_the_job_in_one_line(sqlite_line: Line, pictures: Path) -> None:
    register(sqlite_line, "pictures", f"folder:{pictures}")
    job = sqlite_line.submit(small_train(dataset="pictures", images=64), hold=True)
    write_picture(pictures / "odd" / "one-more.png", 1, (16, 16), "L")
    sqlite_line.database.transact(lambda session: release_job(session, job, actor="tester"))
    expect_failure(sqlite_line, job, FailureReason.DATASET_CHANGED, "21 images instead of 20")
    assert "Traceback" not in sqlite_line.job_log(job)


def test_another_size_is_the_same_data(sqlite_line: Line, pictures: Path) -> None:
    register(sqlite_line, "sized", f"folder:{pictures}", image_size=16)
    job = sqlite_line.run(small_train(dataset="sized", image_size=12, images=64))
    output = sqlite_line.run(small_generate(f"job:{job}", n=20))
    judged = sqlite_line.submit(EvaluateSpec(output=output, dataset="sized", n=20, usefulness=False))
    expect_failure(sqlite_line, judged, FailureReason.USER_ERROR, "at least 10 held-out images; found 4")
    assert "data set sized is as it was registered" in sqlite_line.job_log(judged)


def test_a_registered_data_set_is_compressed_as_it_was_registered(sqlite_line: Line, pictures: Path) -> None:
    described = register(sqlite_line, "scans", f"folder:{pictures}")
    codec = codec_model(sqlite_line)
    spec = CompressSpec(model=codec, dataset="scans", part="all", n=12)
    job = sqlite_line.run(spec, key="scans")
    assert sqlite_line.submit(spec, key="scans") == job
    pin = f"scans@{described['content_fingerprint'][:12]}"
    assert (sqlite_line.job(job).spec["dataset"], sqlite_line.job(job).spec["part"]) == (pin, "all")
    result = sqlite_line.task(job).result
    assert result is not None
    assert (result["images"], result["dataset"]) == (12, f"folder:{pictures}")
    assert "data set scans is as it was registered" in sqlite_line.job_log(job)
    assert "trained on other data" in result["warnings"][0]
    held_out = sqlite_line.task(sqlite_line.run(CompressSpec(model=codec, dataset=pin))).result
    assert held_out is not None
    assert (
        held_out["images"] == described["test_images"] == 4
    )  # of a name it is the held-out part unless all is asked for
    changed = sqlite_line.submit(spec, hold=True)
    write_picture(pictures / "odd" / "one-more.png", 1, (16, 16), "L")
    sqlite_line.database.transact(lambda session: release_job(session, changed, actor="tester"))
    expect_failure(sqlite_line, changed, FailureReason.DATASET_CHANGED, "21 images instead of 20")
