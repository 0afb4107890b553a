"""Animations beside the frames that they are made of: files to look at, and an index that proves them.

    animation-000007.webp      lossless: its frames are the images of the data set
    animation-000007.gif       the same for programs that know no WebP; colours out of a palette of 256
    animations.json            what each consists of, and the hashes; dataset.json holds its own

Equal frames give equal bytes, with equal versions of Pillow and its libraries.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from pixmill.errors import CorruptFile, StorageError
from storage.atomic import write_atomic
from storage.faults import named_faults
from storage.index import read_dataset_index
from storage.places import INDEX_FILE
from storage.png import Images, check_images

ANIMATIONS_FILE = "animations.json"
FORMAT = "pixmill-animations"
VERSION = 1
ENDLESS = 0  # GIF and WebP: how often to repeat


@dataclass(frozen=True, kw_only=True)
class AnimationRecord:
    """One animation: the images of the data set that are its frames, and its two files."""

    number: int
    first_index: int
    frames: int
    webp_sha256: str
    gif_sha256: str

    @property
    def files(self) -> dict[str, str]:
        """File names and their hashes."""
        stem = animation_stem(self.number)
        return {f"{stem}.webp": self.webp_sha256, f"{stem}.gif": self.gif_sha256}


def animation_stem(number: int) -> str:
    """File name of an animation without its ending."""
    return f"animation-{number:06d}"


def write_animation(folder: Path, number: int, first_index: int, frames: Images, milliseconds: int) -> AnimationRecord:
    """Write both files of an animation of uint8 frames (T, H, W, C), each shown so long; gives its record.

    Raises StorageError for another type or shape, and DiskFull.
    """
    contents = {"webp": webp_bytes(frames, milliseconds), "gif": gif_bytes(frames, milliseconds)}
    for ending, content in contents.items():
        write_atomic(folder / f"{animation_stem(number)}.{ending}", content)
    hashes = {f"{ending}_sha256": hashlib.sha256(content).hexdigest() for ending, content in contents.items()}
    return AnimationRecord(number=number, first_index=first_index, frames=len(frames), **hashes)


def webp_bytes(frames: Images, milliseconds: int) -> bytes:
    """An animated WebP file without loss; equal neighbours may be one frame that is shown for longer."""
    images = [image.convert("RGB") for image in _pictures(frames)]
    return _saved(images, format="WEBP", duration=milliseconds, lossless=True, exact=True, quality=80, method=4)


def gif_bytes(frames: Images, milliseconds: int) -> bytes:
    """An animated GIF file: gray without loss, colours out of the 256 that suit each frame best."""
    images = _pictures(frames)
    if frames.shape[3] == 3:
        images = [image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE) for image in images]
    return _saved(images, format="GIF", duration=milliseconds, optimize=False)


def _pictures(frames: Images) -> list[Image.Image]:
    check_images(frames)
    if not len(frames):
        raise StorageError("an animation without frames cannot be drawn", hint="give at least one frame")
    return [Image.fromarray(frame[:, :, 0] if frame.shape[2] == 1 else frame) for frame in frames]


def _saved(images: Sequence[Image.Image], **options: Any) -> bytes:
    file = io.BytesIO()
    images[0].save(file, save_all=True, append_images=list(images[1:]), loop=ENDLESS, **options)
    return file.getvalue()


def write_animation_index(folder: Path, records: Sequence[AnimationRecord]) -> dict[str, object]:
    """Write animations.json; gives what dataset.json has to hold of it."""
    document = {"format": FORMAT, "version": VERSION, "animations": [asdict(record) for record in records]}
    content = json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"
    write_atomic(folder / ANIMATIONS_FILE, content)
    return {"file": ANIMATIONS_FILE, "sha256": hashlib.sha256(content).hexdigest(), "count": len(records)}


def read_animation_index(folder: Path) -> list[AnimationRecord]:
    """The records of a folder's animations; raises CorruptFile when their index is missing or damaged."""
    path = folder / ANIMATIONS_FILE
    try:
        with named_faults(path, "read"):
            values = json.loads(path.read_bytes()) if path.exists() else None
        if values is None:
            raise CorruptFile(f"{path} is missing")
        if (values["format"], values["version"]) != (FORMAT, VERSION):
            raise CorruptFile(f"{path} is no {FORMAT} index of version {VERSION}")
        return [AnimationRecord(**entry) for entry in values["animations"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptFile(f"{path} is damaged: {error!r}") from error


def animation_problems(output_folder: Path) -> Iterator[str]:
    """One line for each animation of a finished data set that is missing or is not the one that was recorded."""
    if not (output_folder / INDEX_FILE).exists():
        return  # the data set is still being made
    try:
        recorded = read_dataset_index(output_folder).details.get("animations")
    except StorageError:
        return  # whoever verifies the data set says so
    if not isinstance(recorded, Mapping):
        return
    yield from _file_problem(output_folder / ANIMATIONS_FILE, str(recorded.get("sha256")))
    try:
        records = read_animation_index(output_folder)
    except StorageError as error:
        yield error.message
        return
    for record in records:
        for name, sha256 in record.files.items():
            yield from _file_problem(output_folder / name, sha256)


def _file_problem(path: Path, sha256: str) -> Iterator[str]:
    if not path.is_file():
        yield f"{path.name} is missing"
        return
    with named_faults(path, "read"):
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        yield f"{path.name} has changed: its SHA-256 is not the one recorded"
