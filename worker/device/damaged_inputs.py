"""What a restore job starts from: images of a folder or a data set, with their masks, or damaged by the job itself."""

import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from imagemodels.data.decoding import decode_whole, is_gray, open_image
from imagemodels.data.errors import BadImage
from imagemodels.data.picture_files import TELL_EVERY, FolderFiles
from imagemodels.degradations import enlarged
from imagemodels.evaluation.restorations import damaged_images
from imagemodels.networks.restoration_specs import DegradationSpec
from pixmill.errors import DatasetChanged, UserError
from pixmill.specs import RestoreSpec
from worker.assignment import ModelInput
from worker.device.desk import Desk
from worker.device.real_images import chosen_part, read_real_images

log = logging.getLogger("job")

Images = npt.NDArray[np.uint8]
Holes = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

WHITE = 128  # and above, of a mask: to be filled


@dataclass(frozen=True, eq=False)
class Given:
    """Damaged images (N, H, W, C), where they have holes (N, H, W), and the true ones where they are known."""

    images: Images
    holes: Holes | None
    truth: Images | None


class Source(ABC):
    """Numbered images, from 0 on."""

    warnings: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels of every image."""

    @abstractmethod
    def images(self, indices: Integers) -> Images:
        """Return images (N, H, W, C)."""

    def holes(self, indices: Integers) -> Holes | None:  # noqa: ARG002  masks lie beside files
        """Return where pixels are missing (N, H, W), if that is given."""
        return None

    @abstractmethod
    def origin(self, indices: Integers) -> dict[str, Any]:
        """Return what proves which images these are; `whole` is the same for all of them."""


class Inputs:
    """The images of a restore job as the model is to see them."""

    def __init__(self, source: Source, spec: RestoreSpec, damage: DegradationSpec) -> None:
        self.source, self._spec, self._damage = source, spec, damage

    def __len__(self) -> int:
        return len(self.source)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels of every restored image."""
        times = 1 if self._spec.degrade else self._damage.enlarges
        return self.source.shape[0] * times, self.source.shape[1] * times

    def given(self, indices: Integers) -> Given:
        """Return the images of these numbers (N,): damaged as in training, by seed and number, where that is asked."""
        images = self.source.images(indices)
        if not self._spec.degrade:
            return Given(enlarged(images, self._damage), self.source.holes(indices), None)
        pairs = damaged_images(images, self._damage, self._spec.seed, indices)
        return Given(pairs.images, pairs.holes, images)


def read_inputs(desk: Desk, spec: RestoreSpec, model: ModelInput, damage: DegradationSpec) -> Inputs:
    """The images that the spec names.  Raises UserError, DatasetChanged, or what the readers of data sets do."""
    source = _DataSet(desk, spec, model) if spec.folder is None else _Folder(desk, spec, model)
    return Inputs(source, spec, damage)


class _DataSet(Source):
    """Images of a data set, at the model's size."""

    def __init__(self, desk: Desk, spec: RestoreSpec, model: ModelInput) -> None:
        self._data = read_real_images(
            desk, spec.input, image_size=model.image_size, channels=model.channels, on_bad_image="fail"
        )
        assert spec.part is not None  # filled in at submit
        self._chosen = chosen_part(self._data, spec.part)[: spec.n]

    def __len__(self) -> int:
        return len(self._chosen)

    @property
    def shape(self) -> tuple[int, int]:
        """That of the model."""
        return self._data.image_size, self._data.image_size

    def images(self, indices: Integers) -> Images:
        """Return images (N, S, S, C)."""
        found: Images = self._data.images[self._chosen[indices]]
        return found

    def origin(self, indices: Integers) -> dict[str, Any]:
        """The data set, and the number of each image in it."""
        return {"whole": self._data.fingerprint, "numbers": self._chosen[indices].tolist()}


class _Folder(Source):
    """Image files of one size, and their masks, by the same names.

    Raises UserError, before anything is restored, where sizes differ, a mask is missing or a file cannot be opened.
    """

    def __init__(self, desk: Desk, spec: RestoreSpec, model: ModelInput) -> None:
        assert spec.folder is not None
        self._channels = model.channels
        self._files = FolderFiles(Path(spec.folder), desk.measuring)
        self.paths = tuple(self._files.paths[number] for number in range(len(self._files.paths)))[: spec.n]
        if not self.paths or self._files.refused:
            found = f"{self._files.refused[0][0]}: {self._files.refused[0][1]}" if self._files.refused else "no image"
            raise UserError(f"{spec.folder}: {found}", hint="name a folder of PNG, JPEG, WebP or TIFF files")
        self._shape = self._common_shape(desk)
        self._masks = None if spec.mask is None else _Masks(desk, Path(spec.mask), self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int]:
        """That of the files."""
        return self._shape

    def images(self, indices: Integers) -> Images:
        """Return images (N, H, W, C)."""
        return np.stack([self._decoded(int(number)) for number in indices])

    def holes(self, indices: Integers) -> Holes | None:
        """Return where the masks are white."""
        if self._masks is None:
            return None
        return np.stack([self._masks.holes(int(number), self.shape) for number in indices])

    def origin(self, indices: Integers) -> dict[str, Any]:
        """The name and the hash of each file and mask, and a hash over all names of the folder."""
        files = [[self.paths[number], self._hash(number)] for number in indices.tolist()]
        origin = {"whole": _digest(json.dumps(self.paths).encode()), "files": files}
        return origin if self._masks is None else origin | {"masks": self._masks.names_and_hashes(indices)}

    def _hash(self, number: int) -> str:
        return _digest(_content(self._files, number))

    def _decoded(self, number: int) -> Images:
        image = _decoded(self._files, number, self._channels)
        if image.shape[:2] != self.shape:
            raise DatasetChanged(f"{self.paths[number]} has changed: it is {_size(image.shape[:2])} pixels now")
        return image

    def _common_shape(self, desk: Desk) -> tuple[int, int]:
        sizes: dict[tuple[int, int], str] = {}
        colours = 0
        for number, path in enumerate(self.paths):
            if number % TELL_EVERY == 0:
                desk.measuring("reading headers", number / len(self.paths))
            shape, gray = _header(self._files, number)
            sizes.setdefault(shape, path)
            colours += not gray
        if len(sizes) > 1:
            (one, first), (other, second) = list(sizes.items())[:2]
            found = f"{first} is {_size(one)} pixels, {second} is {_size(other)}"
            hint = "a data set has one size: put images of each size into a folder of their own"
            raise UserError(f"the images have {len(sizes)} sizes: {found}", hint=hint)
        if colours and self._channels == 1:
            self.warnings = (f"{colours:,} of the images may have colours, which a model of gray images does not see",)
        return next(iter(sizes))


class _Masks:
    """The masks of some files.  Raises UserError when one is missing."""

    def __init__(self, desk: Desk, folder: Path, paths: Sequence[str]) -> None:
        self._files = FolderFiles(folder, desk.measuring)
        known = {_stem(self._files.paths[number]): number for number in range(len(self._files.paths))}
        missing = [path for path in paths if _stem(path) not in known]
        if missing:
            hint = "a mask has the name of its image, and any ending"
            found = f"{missing[0]} has no mask in {folder} ({len(missing):,} of {len(paths):,} images have none)"
            raise UserError(found, hint=hint)
        self._numbers = [known[_stem(path)] for path in paths]

    def holes(self, number: int, shape: tuple[int, int]) -> Holes:
        """Return (H, W), true where the mask is white.  Raises UserError when it is of another size."""
        mask = _decoded(self._files, self._numbers[number], 1)
        if mask.shape[:2] != shape:
            found = f"mask {self._files.paths[self._numbers[number]]} is {_size(mask.shape[:2])} pixels"
            raise UserError(f"{found}, and its image {_size(shape)}", hint="draw it at the size of the image")
        holes: Holes = mask[:, :, 0] >= WHITE
        return holes

    def names_and_hashes(self, indices: Integers) -> list[list[str]]:
        """The name and the hash of each mask."""
        numbers = [self._numbers[number] for number in indices.tolist()]
        return [[self._files.paths[number], _digest(_content(self._files, number))] for number in numbers]


def _header(files: FolderFiles, number: int) -> tuple[tuple[int, int], bool]:
    """Height and width as decoded, and whether it has no colours."""
    try:
        with files.open(number) as file, open_image(file) as image:
            turned = image.getexif().get(0x0112, 1) >= 5  # the sides change places when it is set upright
            width, height = image.size[::-1] if turned else image.size
            return (height, width), is_gray(image)
    except (BadImage, OSError) as reason:
        raise UserError(f"{files.paths[number]}: {reason}", hint="remove or repair it") from reason


def _decoded(files: FolderFiles, number: int, channels: int) -> Images:
    try:
        return decode_whole(files.read(number), channels)
    except BadImage as reason:
        raise UserError(f"{files.paths[number]}: {reason}", hint="remove or repair it") from reason


def _content(files: FolderFiles, number: int) -> bytes:
    try:
        return files.read(number)
    except BadImage as reason:
        raise UserError(f"{files.paths[number]}: {reason}", hint="remove or repair it") from reason


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} × {shape[0]}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
