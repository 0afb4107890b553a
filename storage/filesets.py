"""Image files of any format in a folder, beside a manifest with their hashes.

images/000017.pmc, …    one file an image
manifest.json           what they are, and the SHA-256 of each file and of the pixels in it
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pixmill.errors import CorruptFile, PixmillError
from storage.atomic import sync_file, sync_folder, write_json
from storage.faults import named_faults
from storage.png import decode_png
from storage.verify import VerifyReport

VERSION = 1
MANIFEST_FILE = "manifest.json"
IMAGES_FOLDER = "images"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_entry_name(name: str) -> bool:
    """Whether a file of that name can be of a set: 1 to 128 letters, digits, `.`, `_` and `-`, no sign at the start."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True)
class StoredImage:
    """One file: its name, its bytes, and the pixels that it was decoded to when it was written."""

    name: str
    size_bytes: int
    sha256: str
    pixels_sha256: str

    def __post_init__(self) -> None:
        digests = (self.sha256, self.pixels_sha256)
        if not is_entry_name(self.name) or not all(_SHA256.fullmatch(digest) for digest in digests):
            raise ValueError(f"{self.name!r} with hashes {digests} is no entry of a manifest")


@dataclass(frozen=True, kw_only=True)
class FileSet:
    """What a manifest says."""

    model: str
    model_digest: str
    computed_on: str  # what else may move a pixel by a level: device, threads, size of batches, build of torch
    image_size: int
    channels: int
    images: tuple[StoredImage, ...]
    version: int = VERSION

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(image.size_bytes for image in self.images)

    @property
    def digest(self) -> str:
        """SHA-256 over names and hashes of the files: equal sets, equal digest."""
        lines = "".join(f"{image.sha256}  {image.name}\n" for image in self.images)
        return hashlib.sha256(lines.encode()).hexdigest()

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The set of a manifest's values.  Raises ValueError, TypeError or KeyError for others."""
        if values["version"] != VERSION:
            raise ValueError(f"version {values['version']!r}; this pixmill reads {VERSION}")
        return cls(**{**values, "images": tuple(StoredImage(**image) for image in values["images"])})


def pixels_digest(image: npt.NDArray[np.uint8]) -> str:
    """SHA-256 of the pixels of one image (H, W, C), row by row."""
    return hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()


def write_image_file(folder: Path, name: str, content: bytes, pixels_sha256: str) -> StoredImage:
    """Write one file of a set that is not sealed yet.  Raises DiskFull, PermissionDenied or StorageError."""
    path = folder / IMAGES_FOLDER / name
    with named_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return StoredImage(name, len(content), hashlib.sha256(content).hexdigest(), pixels_sha256)


def seal(folder: Path, files: FileSet) -> Path:
    """Wait until the disk holds all files, then write the manifest; gives its path."""
    images = folder / IMAGES_FOLDER
    with named_faults(images):
        for image in files.images:
            sync_file(images / image.name)
        sync_folder(images)
    write_json(folder / MANIFEST_FILE, asdict(files))
    return folder / MANIFEST_FILE


def read_manifest(path: Path) -> FileSet:
    """What `seal` wrote.  Raises CorruptFile, or StorageError if it cannot be read."""
    with named_faults(path, "read"):
        content = path.read_bytes()
    try:
        return FileSet.from_json(json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptFile(f"{path} is no manifest of image files: {error}") from error


def read_image_file(folder: Path, image: StoredImage) -> bytes:
    """The bytes of one file.  Raises CorruptFile if it is missing or not the one that was written."""
    path = folder / IMAGES_FOLDER / image.name
    if not path.is_file():
        raise CorruptFile(f"{path} is missing")
    with named_faults(path, "read"):
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != image.sha256:
        raise CorruptFile(f"{path} has changed: its SHA-256 is not the one recorded")
    return content


def export(manifest: Path, target: Path, progress: Callable[[int, int], None] | None = None) -> FileSet:
    """Copy a set into `target`, each file checked on the way; the manifest comes last.

    A set that was there before is written over, file by file.  Raises as the readers and writers do.
    """
    files = read_manifest(manifest)
    for number, image in enumerate(files.images, start=1):
        content = read_image_file(manifest.parent, image)
        write_image_file(target, image.name, content, image.pixels_sha256)
        if progress:
            progress(number, len(files.images))
    seal(target, files)
    return files


def verify_files(manifest: Path, sha256: str, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
    """Compare a set with its manifest, that with the recorded digest of the set, and PNG files with their pixels.

    Never stops at a problem and raises none.
    """
    try:
        files = read_manifest(manifest)
    except PixmillError as error:
        return VerifyReport(0, 0, (error.message,))
    problems = list(_set_problems(manifest.parent / IMAGES_FOLDER, files, sha256))
    for number, image in enumerate(files.images, start=1):
        problems.extend(_image_problems(manifest.parent, image))
        if progress:
            progress(number, len(files.images))
    return VerifyReport(len(files.images), 0, tuple(problems))


def _set_problems(folder: Path, files: FileSet, sha256: str) -> Iterator[str]:
    if files.digest != sha256:
        yield f"{MANIFEST_FILE} lists other files than those recorded"
    known = {image.name for image in files.images}
    for path in sorted(folder.glob("*")):
        if path.name not in known:
            yield f"{path.name} is in no manifest"


def _image_problems(folder: Path, image: StoredImage) -> Iterator[str]:
    try:
        content = read_image_file(folder, image)
        if image.name.endswith(".png") and pixels_digest(decode_png(content)) != image.pixels_sha256:
            yield f"{image.name} shows other pixels than those recorded"
    except PixmillError as error:
        yield error.message
