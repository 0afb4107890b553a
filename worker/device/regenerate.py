"""Images of a finished data set, made once more: the same numbers, by the same model, encoded in the same way."""

import base64
import hashlib
from typing import Any

import numpy as np

from pixmill.errors import StorageError
from storage.encoders import PIXELS, find_encoder, recorded_encoder
from storage.filesets import pixels_digest
from storage.png import Encoder, Images
from worker.device.desk import Desk
from worker.device.generate import image_maker
from worker.device.warm import WarmModels


def run_regenerate(desk: Desk, warm: WarmModels) -> dict[str, Any]:
    """Make the images that the parameters number; gives the hashes of each, and the file of a single one."""
    wanted = desk.assignment.params["images"]
    indices = np.asarray([image["index"] for image in wanted], np.int64)
    pixels, _labels = image_maker(desk, warm).make(indices)
    hashes = []
    for image, made in zip(wanted, pixels, strict=True):
        (file,) = _encoder(image["encoder"]).encode(made[np.newaxis])
        sha256 = hashlib.sha256(file).hexdigest()
        hashes.append({"index": image["index"], "sha256": sha256, "pixels_sha256": pixels_digest(made)})
    shown = _file(pixels, wanted[0]["encoder"]) if len(wanted) == 1 else None
    return {"images": hashes, "file": shown}


def _encoder(name: str) -> Encoder:
    encoder = recorded_encoder(name)
    if encoder is None:
        raise StorageError(f"this pixmill has no encoder {name!r}", hint="use the version that made the images")
    return encoder


def _file(pixels: Images, name: str) -> str:
    """The image as a file, also where none was stored."""
    encoder = find_encoder(None) if name == PIXELS else _encoder(name)
    return base64.b64encode(encoder.encode(pixels)[0]).decode()
