"""Sequences made on the fly of still images: objects that drift over a black canvas and bounce off its borders.

The protocol of Moving MNIST (Srivastava et al., arXiv 1502.04681, section 4.1), for the images of any data set. The
paper leaves the range of speeds open; Shi et al. (arXiv 1506.04214, section 4.1) give three to five pixels a frame.
A sequence is a function of seed, split and number: none is ever stored.

Shapes: N sequences, T frames, S side of the canvas, D side of an object, C channels.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imagemodels.data.dataset import ImageDataset
from imagemodels.data.decoding import MIN_IMAGE_SIZE, check_image_size, resize_array
from imagemodels.data.fingerprint import settings_digest
from imagemodels.data.loading import load_dataset
from imagemodels.data.packed import PackedStore
from imagemodels.data.picture_files import Progress
from imagemodels.data.picture_reading import OnBadImage
from imagemodels.data.source import SEQUENCE_KIND, check_dataset_name, names_sequences
from imagemodels.errors import DataError
from imagemodels.random import uniform_rows

Frames = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CANVAS = 64  # pixels a side, to which the sizes below belong
OBJECT_SIDE = 28
SLOWEST, FASTEST = 3.0, 5.0  # pixels a frame
OBJECTS = 2
DRAWS = 5  # of each object: which one, its place, direction and speed
# Changes whenever the same numbers would give other frames: it is part of every fingerprint.
MOTION_RULE = "two objects, elastic borders, lighter pixel wins, 1"


@dataclass(frozen=True, eq=False)
class SequenceDataset:
    """Numbered sequences, without end, of the images of a data set; those held out show held-out images alone.

    objects      the images, at whatever size
    image_size   side of the square frames in pixels
    seed         of the held-out sequences, and of the training sequences unless another is given
    fingerprint  sha256: equal fingerprints mean equal frames under equal numbers
    """

    objects: ImageDataset
    image_size: int
    seed: int
    fingerprint: str

    @property
    def name(self) -> str:
        """The name by which it was loaded."""
        return f"{SEQUENCE_KIND}:{self.objects.name}"

    @property
    def channels(self) -> int:
        """1 for gray, 3 for RGB."""
        return self.objects.channels

    @property
    def bad_images(self) -> tuple[tuple[str, str], ...]:
        """(relative path, reason) of each file that was skipped at the user's wish."""
        return self.objects.bad_images

    def sequences(self, indices: Indices, frames: int, *, held_out: bool, seed: int | None = None) -> Frames:
        """Return the sequences ``indices`` (N,), uint8 (N, T, S, S, C) with T = ``frames``.

        A shorter sequence is the beginning of a longer one. Raises ValueError when an index is negative.
        """
        images, chosen_NK, places_NTK2 = self._moves(indices, frames, held_out, self.seed if seed is None else seed)
        canvas = np.zeros((len(chosen_NK), frames, self.image_size, self.image_size, self.channels), dtype=np.uint8)
        side = images.shape[1]
        for number, chosen_K in enumerate(chosen_NK):
            shown_K = images[chosen_K]
            for frame in range(frames):
                for image, (top, left) in zip(shown_K, places_NTK2[number, frame].tolist(), strict=True):
                    part = canvas[number, frame, top : top + side, left : left + side]
                    np.maximum(part, image, out=part)
        return canvas

    def _moves(self, indices: Indices, frames: int, held_out: bool, seed: int) -> tuple[Frames, Indices, Indices]:
        """Images (M, D, D, C) of the split, which of them (N, 2) each sequence shows, and where (N, T, 2, 2)."""
        members = self.objects.test_indices if held_out else self.objects.train_indices
        indices = np.asarray(indices, dtype=np.int64)
        if indices.size and int(indices.min()) < 0:
            raise ValueError(f"sequence numbers start at 0, got {int(indices.min())}")
        purpose = "held-out sequences" if held_out else "training sequences"
        draws_NKD = uniform_rows(seed, indices, purpose, OBJECTS * DRAWS).reshape(-1, OBJECTS, DRAWS)
        chosen_NK = members[(draws_NKD[:, :, 0] * len(members)).astype(np.int64)]
        return self.objects.images, chosen_NK, places(draws_NKD[:, :, 1:], frames, self.image_size, self._room)

    @property
    def _room(self) -> int:
        return self.image_size - self.objects.image_size

    def describe(self) -> dict[str, Any]:
        """Return what a person or a record needs to know of the data, ready for JSON."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "image_size": self.image_size,
            "channels": self.channels,
            "classes": [],
            "motion": MOTION_RULE,
            "seed": self.seed,
            "objects": self.objects.describe(),
        }


def places(draws_NK4: Floats, frames: int, image_size: int, room: int) -> Indices:
    """Return the upper left corners (N, T, K, 2) of objects that move within ``room`` pixels.

    ``draws`` are uniform numbers for place (two of them), direction and speed. Off the borders an object bounces as
    light does off a mirror: its path is that through the mirrored canvas, folded back.
    """
    start_NK2 = draws_NK4[:, :, :2] * room
    angle_NK = 2.0 * np.pi * draws_NK4[:, :, 2]
    speed_NK = (SLOWEST + (FASTEST - SLOWEST) * draws_NK4[:, :, 3]) * image_size / CANVAS
    velocity_NK2 = np.stack((np.sin(angle_NK), np.cos(angle_NK)), axis=2) * speed_NK[:, :, None]
    times_T = np.arange(frames, dtype=np.float64)
    unfolded_NTK2 = start_NK2[:, None] + times_T[None, :, None, None] * velocity_NK2[:, None]
    folded_NTK2: Floats = room - np.abs(np.mod(unfolded_NTK2, 2 * room) - room)
    return np.rint(folded_NTK2).astype(np.int64)


def object_side(image_size: int) -> int:
    """Return the side of the objects on a canvas of ``image_size`` pixels: as on the paper's, 28 of 64."""
    return max(2, round(image_size * OBJECT_SIDE / CANVAS))


def load_sequences(
    name: str,
    *,
    image_size: int | None = None,
    channels: int | None = None,
    root: Path | None = None,
    on_bad_image: OnBadImage = "fail",
    seed: int = 0,
    progress: Progress | None = None,
    packed: PackedStore | None = None,
) -> SequenceDataset:
    """Return the sequences ``moving:NAME`` of the images that ``load_dataset`` reads under NAME.

    ``image_size`` is the side of the canvas, 64 by default. Raises DataError for a name that stands for images, and
    otherwise as ``load_dataset``.
    """
    if not names_sequences(name):
        raise DataError(f"data set {name!r} is of images, and sequences are needed: write {SEQUENCE_KIND}:{name}")
    side = check_image_size(image_size or CANVAS)
    objects = load_dataset(
        check_dataset_name(name).partition(":")[2],
        image_size=max(MIN_IMAGE_SIZE, object_side(side)),
        channels=channels,
        root=root,
        on_bad_image=on_bad_image,
        seed=seed,
        progress=progress,
        packed=packed,
    )
    return moving_dataset(objects, side, seed)


def moving_dataset(objects: ImageDataset, image_size: int, seed: int = 0) -> SequenceDataset:
    """Return sequences of the images of a data set, which are brought to the size of objects on such a canvas.

    Raises DataError when no image is held out: every sequence would show what was trained on.
    """
    if not len(objects.test_indices):
        raise DataError(f"data set {objects.name} holds no image out; sequences need some to be judged by")
    settings = {"objects": objects.fingerprint, "image_size": image_size, "seed": seed, "rule": MOTION_RULE}
    side = object_side(image_size)
    if objects.image_size != side:
        images = resize_array(objects.images, side, objects.channels)
        objects = replace(objects, images=images, is_packed=False)
    return SequenceDataset(objects, image_size, seed, settings_digest(settings))
