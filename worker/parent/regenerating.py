"""Has images of a finished job made once more, in a device process of its own; publishes nothing."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from db.tables.jobs import Job, Role
from db.views import job_tasks
from pixmill.errors import PixmillError, Unavailable, UserError
from pixmill.settings import Settings
from worker.assignment import Assignment
from worker.device.slots import slot_name
from worker.parent.device_process import DeviceProcess
from worker.parent.devices import threads_of
from worker.parent.inputs import making_inputs

ROLE = "regenerate"
SILENT_SECONDS = 600.0  # one that says nothing for so long hangs


def regeneration(session: Session, job: Job, settings: Settings, images: Sequence[Mapping[str, Any]]) -> Assignment:
    """What a device process needs to make `images`, numbers and encoders, of a job.  Raises NotFound or Conflict."""
    task = next(task for task in job_tasks(session, job.id) if task.role is Role.GENERATE)
    return Assignment(
        job_id=job.id,
        task_id=task.id,
        epoch=0,
        role=ROLE,
        job_name=job.name,
        spec=job.spec,
        params={**task.params, "images": [dict(image) for image in images]},
        folder=f"logs/regenerated-{job.id}",  # for warnings
        storage_root=str(settings.storage_root),
        threads=threads_of(settings),
        checkpoint_seconds=settings.worker.checkpoint_seconds,
        **making_inputs(session, job.spec),
    )


def run_regeneration(assignment: Assignment, device: str) -> dict[str, Any]:
    """The result of `worker.device.regenerate`.

    Raises UserError when it cannot be done, or for a device that is none, and Unavailable when the process dies.
    """
    with tempfile.TemporaryDirectory() as folder:  # a worker may hold the device: this one takes no turn from it
        process = DeviceProcess(slot_name(device), assignment.threads, Path(folder) / "lock")
        try:
            process.wait_ready()
            process.run(assignment)
            return _answer(process)
        finally:
            process.close()


def _answer(process: DeviceProcess) -> dict[str, Any]:
    while True:
        message = process.receive(SILENT_SECONDS)
        if message is None:
            raise Unavailable(f"device {process.device} gave no answer: {process.ended_with or 'too slow'}")
        if message["say"] == "succeeded":
            result: dict[str, Any] = message["result"]
            return result
        if message["say"] == "failed":
            raise _failure(message)


def _failure(message: Mapping[str, Any]) -> PixmillError:
    return UserError(f"the images cannot be made again: {message['message']}", hint=message.get("hint"))
