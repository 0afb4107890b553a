"""Trained versions to begin with, and to compare data with, as an assignment has them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.worker.desks import Listener, stored_file
from worker.assignment import DataInput, StartInput, StoredFile


@dataclass(frozen=True)
class Home:
    """A storage root with one trained version."""

    root: Path
    result: dict[str, Any]
    checkpoints: list[dict[str, Any]]  # messages, the oldest first

    @property
    def start(self) -> StartInput:
        """The version to begin with."""
        best = [message for message in self.checkpoints if message["kind"] == "best"][-1]
        assert best["images_seen"] == self.result["best_images_seen"]
        return StartInput(
            reference="digits@1",
            folder=self.result["folder"],
            digest=self.result["digest"],
            image_size=self.result["image_size"],
            channels=self.result["channels"],
            classes=tuple(self.result["classes"]),
            images=best["images_seen"],
            state=stored_file(best),
        )

    @property
    def data(self) -> DataInput:
        """Its data to compare with."""
        kept, dataset = self.result["lineage"]["data"], self.result["dataset"]
        return DataInput(
            reference="digits@1",
            name=dataset["name"],
            fingerprint=dataset["description"]["fingerprint"],
            description=dataset["description"],
            summary=kept["summary"],
            traces=StoredFile(**kept["traces"]),
        )


def trained(root: Path, epoch: int, **fields: Any) -> tuple[dict[str, Any], Listener]:
    """The result of a train attempt, and its desk."""
    listener = Listener(root, epoch=epoch, **fields)
    try:
        answer = listener.run().answer
    finally:
        listener.close()
    assert answer["say"] == "succeeded", answer
    return answer["result"], listener


def trained_home(root: Path, spec: dict[str, Any]) -> Home:
    """A version of this spec, trained now."""
    result, listener = trained(root, 1, spec=spec)
    return Home(root, result, listener.said("checkpoint"))
