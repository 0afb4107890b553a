"""Restored images in the line of generated ones, and what is measured of them and shown when all are there."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imagemodels.card import read_card
from imagemodels.errors import ConfigError
from imagemodels.evaluation.restorations import fidelity
from imagemodels.model import Model
from imagemodels.networks.restoration_specs import DegradationSpec
from imagemodels.restoration import Restorer
from pixmill.errors import DatasetChanged
from pixmill.specs import RestoreSpec
from storage.first_images import read_first_images
from storage.markers import read_marker
from storage.pictures import contact_sheet, save_png
from storage.places import Place
from storage.shards import ShardRecord, read_images
from worker.assignment import ModelInput
from worker.device.damaged_inputs import Inputs, read_inputs
from worker.device.desk import Desk
from worker.device.makers import BATCH_IMAGES, ImageMaker

log = logging.getLogger("job")

Images = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

BATCH_PIXELS = 4_000_000  # restored at a time, about; one image at least
SHEET_SIDE = 2048  # pixels of the picture's width, about
SMALLEST_SIDE = 84  # pixels that an image takes in it
LARGEST_SIDE = 1024  # of a larger one the middle is shown
SHOWN = 24  # images, fewer where they are large


class Restorations(ImageMaker):
    """Each image restored."""

    def __init__(self, restorer: Restorer, inputs: Inputs) -> None:
        super().__init__(restorer, ())
        self._restorer, self._inputs = restorer, inputs
        self.batch_images = _batch_images(inputs)

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self._inputs)

    def origin(self, indices: Integers) -> Mapping[str, Any]:
        """What the images of these numbers are made of."""
        return self._inputs.source.origin(indices)

    def make(self, indices: Integers) -> tuple[Images, Integers | None]:
        """The images of these numbers, restored."""
        given = self._inputs.given(indices)
        return self._restorer.restore(given.images, given.holes), None


def _batch_images(inputs: Inputs) -> int:
    """How many images are taken at a time."""
    height, width = inputs.shape
    return max(1, min(BATCH_IMAGES, BATCH_PIXELS // (height * width)))


def restorations(desk: Desk, spec: RestoreSpec, described: ModelInput, model: Model) -> Restorations:
    """What restores the images that the spec names.  Raises ConfigError when the model is no restorer."""
    if not isinstance(model, Restorer):
        raise ConfigError(f"model {described.reference} is a {type(model).__name__.lower()}: it restores no images")
    return Restorations(model, read_inputs(desk, spec, described, model.damage))


def judge(desk: Desk, output: Place, records: Sequence[ShardRecord], spec: RestoreSpec) -> tuple[Path, dict[str, Any]]:
    """Compare the shards with what they were made of; gives a picture of some, and the figures and warnings.

    Raises DatasetChanged when the shards were made of different folders or data sets: it changed between two attempts.
    """
    described = desk.assignment.model
    assert described is not None
    card = read_card(desk.layout.resolve(described.folder))
    inputs = read_inputs(desk, spec, described, DegradationSpec(**card.spec["degradation"]))
    _require_one_origin(output, records, inputs, spec)
    for warning in inputs.source.warnings:
        log.warning(warning)
    return _picture(desk, output, records, inputs), {
        "fidelity": _fidelities(desk, output, records, inputs) if spec.degrade else None,
        "warnings": list(inputs.source.warnings),
    }


def _require_one_origin(output: Place, records: Sequence[ShardRecord], inputs: Inputs, spec: RestoreSpec) -> None:
    origins = {(read_marker(output, record.number).meta.origin or {}).get("whole") for record in records}
    origins.add(inputs.source.origin(np.arange(1))["whole"])
    if len(origins) > 1:
        hint = "submit it again, and leave the input as it is meanwhile"
        raise DatasetChanged(f"{spec.input} has changed while its images were restored", hint=hint)


def _fidelities(
    desk: Desk, output: Place, records: Sequence[ShardRecord], inputs: Inputs
) -> dict[str, dict[str, float]]:
    """Means over all images, of the damaged ones and of the restored ones."""
    sums = {"restored": np.zeros(2), "damaged": np.zeros(2)}
    for indices, restored in _batches(output, records, inputs):
        desk.measuring("measuring the restored images", indices[0] / len(inputs))
        given = inputs.given(indices)
        assert given.truth is not None
        for way, images in (("restored", restored), ("damaged", given.images)):
            found = fidelity(images, given.truth)
            sums[way] += len(indices) * np.array([found.psnr, found.ssim])
    means = {
        way: dict(zip(("psnr", "ssim"), (total / len(inputs)).tolist(), strict=True)) for way, total in sums.items()
    }
    for way, mean in means.items():
        log.info("%s: PSNR %.2f dB, SSIM %.4f (n=%d)", way, mean["psnr"], mean["ssim"], len(inputs))
    return means


def _batches(output: Place, records: Sequence[ShardRecord], inputs: Inputs) -> Iterator[tuple[Integers, Images]]:
    step = _batch_images(inputs)
    for record in records:
        for start in range(0, record.count, step):
            images, _labels = read_images(output, record.number, start=start, count=step)
            first = record.first_index + start
            yield np.arange(first, first + len(images), dtype=np.int64), images


def _picture(desk: Desk, output: Place, records: Sequence[ShardRecord], inputs: Inputs) -> Path:
    """In turn an image as it was given, restored, and as it should be where that is known."""
    height, width = (min(side, LARGEST_SIDE) for side in inputs.shape)
    top, left = (inputs.shape[0] - height) // 2, (inputs.shape[1] - width) // 2
    shown = max(1, min(SHOWN, len(inputs), SHEET_SIDE**2 // (height * width)))
    restored, _labels = read_first_images([(output, record.number) for record in records], shown)
    given = inputs.given(np.arange(shown))
    ways = [given.images, restored, *([given.truth] if given.truth is not None else [])]
    images = np.stack(ways, axis=1)[:, :, top : top + height, left : left + width]
    columns = len(ways) * max(1, SHEET_SIDE // (max(width, SMALLEST_SIDE) * len(ways)))
    path = desk.folder / "contact-sheet.png"
    save_png(path, contact_sheet(images.reshape(-1, *images.shape[2:]), columns=columns))
    return path
