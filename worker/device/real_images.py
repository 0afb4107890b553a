"""The real images of a job: read by their name, and compared with what was registered when the job was submitted."""

import logging
from typing import Literal

import numpy as np
import numpy.typing as npt

from imagemodels.data import ImageDataset, PackedStore, SequenceDataset, load_dataset, load_sequences
from imagemodels.errors import DataError
from pixmill.datasets import DATASET_KEY, PinnedDataset
from pixmill.errors import DatasetChanged, UserError
from pixmill.kinds import OnBadImage
from pixmill.specs import CompressSpec, EvaluateSpec, GateSpec
from storage.faults import named_faults
from worker.assignment import ModelInput
from worker.device.desk import Desk

log = logging.getLogger("job")


def read_real_images(
    desk: Desk,
    name: str,
    *,
    image_size: int | None,
    channels: int | None,
    on_bad_image: OnBadImage,
    role: str = DATASET_KEY,
) -> ImageDataset:
    """Read a data set by its name, or the registered one that the job was given for the role when it was submitted.

    Raises what load_dataset does, DatasetChanged when it is no longer what was registered, or DiskFull.
    """
    pinned = PinnedDataset.of_task(desk.assignment.params, role)
    layout = desk.layout
    with named_faults(layout.packed):
        data = load_dataset(
            name if pinned is None else pinned.source,
            image_size=image_size or (pinned.image_size if pinned else None),
            channels=channels or (pinned.channels if pinned else None),
            root=layout.datasets,
            on_bad_image=on_bad_image if pinned is None else pinned.on_bad_image,
            progress=desk.measuring,
            packed=PackedStore(layout.packed),
        )
    if pinned is not None:
        _require_same(pinned, data)
    return data


def read_images_for(desk: Desk, spec: EvaluateSpec | GateSpec | CompressSpec, model: ModelInput) -> ImageDataset:
    """The images that a model is measured by: those that the spec names, or else those that it was trained on.

    Of the latter, what cannot be read is left out, as in training, or the fingerprint tells. Raises as
    read_real_images.
    """
    data = read_real_images(
        desk,
        spec.dataset or model.dataset,
        image_size=model.image_size,
        channels=model.channels,
        on_bad_image="skip" if spec.dataset is None else spec.on_bad_image,
    )
    for path, reason in data.bad_images:
        log.warning("left out %s: %s", path, reason)
    return data


def read_trained_on(desk: Desk, model: ModelInput) -> ImageDataset:
    """The images that the model was trained on.  Raises DataError when they are not the same any more."""
    data = read_real_images(
        desk, model.dataset, image_size=model.image_size, channels=model.channels, on_bad_image="skip"
    )
    if data.fingerprint != model.dataset_fingerprint:
        found = f"its fingerprint is {data.fingerprint}, and was {model.dataset_fingerprint}"
        raise DataError(f"data set {model.dataset} has changed since model {model.reference} was trained: {found}")
    return data


def read_sequences(
    desk: Desk, name: str, *, image_size: int | None, channels: int | None, on_bad_image: OnBadImage
) -> SequenceDataset:
    """Read a data set of sequences by its name.  Raises what load_sequences does, or DiskFull."""
    layout = desk.layout
    with named_faults(layout.packed):
        return load_sequences(
            name,
            image_size=image_size,
            channels=channels,
            root=layout.datasets,
            on_bad_image=on_bad_image,
            progress=desk.measuring,
            packed=PackedStore(layout.packed),
        )


def chosen_part(data: ImageDataset, part: Literal["held-out", "all"]) -> npt.NDArray[np.int64]:
    """The numbers of the images of a part.  Raises UserError when there are none."""
    chosen = data.test_indices if part == "held-out" else np.arange(len(data), dtype=np.int64)
    if len(chosen) == 0:
        raise UserError(f"data set {data.name} holds out none of its {len(data)} images", hint="--part all")
    return chosen


def _require_same(pinned: PinnedDataset, data: ImageDataset) -> None:
    if data.content_fingerprint == pinned.content_fingerprint:
        log.info("data set %s is as it was registered", pinned.name)
        return
    raise DatasetChanged(
        f"data set {pinned.name} ({pinned.source}) has changed since it was registered: fingerprint "
        f"{data.content_fingerprint[:12]} instead of {pinned.content_fingerprint[:12]}, "
        f"{len(data):,} images instead of {pinned.images:,}",
        hint=f"pixmill dataset verify {pinned.name}; put the images back, or pixmill dataset add {pinned.name} "
        f"{pinned.source} --replace and submit again",
    )
