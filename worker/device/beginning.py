"""A training run that begins with the weights of a version, and what the new version keeps of that."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from safetensors.torch import load

from imagemodels.errors import CorruptCheckpoint
from imagemodels.export import checked_weights
from imagemodels.training.config import TrainConfig
from imagemodels.training.descent import Descent
from imagemodels.training.run import Run
from pixmill.errors import CorruptFile, UserError
from pixmill.lineage import IMAGES_BEFORE, PARENT, PARENT_DIGEST
from storage.checkpoints import open_verified
from worker.assignment import StartInput
from worker.device.desk import Desk

log = logging.getLogger("job")

REMEDY = "begin with another version, or train from scratch: --from none"


def require_fit(start: StartInput | None, config: TrainConfig, classes: Sequence[str]) -> None:
    """Raise UserError when training on data like these cannot begin with the version: only the data could tell."""
    if start is None:
        return
    shapes = (start.image_size, start.channels), (config.image_size, config.channels)
    known, found = (f"images of {side}×{side}×{channels}" for side, channels in shapes)
    if known == found:
        known, found = (f"classes {_told(names)}" for names in (start.classes, classes))
    if known != found or tuple(classes) != start.classes:
        raise UserError(
            f"training cannot begin with {start.reference}: it knows {known}, and the data have {found}; {REMEDY}"
        )


def begin(desk: Desk, config: TrainConfig, run: Run) -> None:
    """Give a run at its start the weights of the version that the assignment names, if it names one.

    Raises CorruptFile when its files are not those that were published, or of other networks.
    """
    start = desk.assignment.start
    if start is None:
        return
    layout = desk.layout
    try:
        weights = checked_weights(layout.resolve(start.folder), start.digest)
        with open_verified(layout.resolve(start.state.path), start.state.sha256) as file:
            run.begin(file)
        _require_published(run, weights)
    except (CorruptFile, CorruptCheckpoint) as error:
        raise CorruptFile(f"training cannot begin with {start.reference}: {error}; {REMEDY}") from error
    desk.journal.add("begun", model=start.reference, digest=start.digest, path=start.state.path)
    log.info("beginning with %s, which has learnt from %d images", start.reference, config.images_before)


def _told(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "") if names else "none"


def _require_published(run: Run, content: bytes) -> None:
    """Raise CorruptCheckpoint unless the averages are the very weights that were published.

    Buffers are left out: a codec counts its codes once more when it is published.
    """
    assert isinstance(run, Descent)
    published = load(content)
    for name, mean in run.averaged.network.named_parameters():
        if name not in published or not torch.equal(published[name], mean.cpu()):
            raise CorruptCheckpoint("the state of its training is not the one that was published")


def parent_lineage(desk: Desk) -> dict[str, Any]:
    """What the lineage of a version says of the one that training began with."""
    start: StartInput | None = desk.assignment.start
    if start is None:
        return {}
    return {PARENT: start.reference, PARENT_DIGEST: start.digest, IMAGES_BEFORE: start.images}
