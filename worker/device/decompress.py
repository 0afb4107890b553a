"""A decompress task: compressed images become PNG files again, and are compared with what was recorded of them."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from imagemodels.codec import CODEC_BATCH, Codec
from imagemodels.coding.files import SUFFIX
from imagemodels.errors import DamagedFile
from pixmill.errors import CorruptFile, UserError
from pixmill.specs import DecompressSpec
from storage.faults import named_faults
from storage.filesets import (
    MANIFEST_FILE,
    FileSet,
    StoredImage,
    is_entry_name,
    pixels_digest,
    read_image_file,
    read_manifest,
    seal,
    write_image_file,
)
from storage.pictures import contact_sheet, save_png
from storage.png import ENCODER
from worker.device.compress import computed_on, file_set, load_codec
from worker.device.desk import Desk
from worker.device.warm import WarmModels

log = logging.getLogger("job")

SHOWN = 100  # images of the contact sheet
LARGEST_FILE_BYTES = 2**20  # of 256 × 256 places with 16 channels of 16 levels


@dataclass(frozen=True)
class _Source:
    """Files to decode, by name; with a manifest also what it says of each."""

    folder: Path
    names: tuple[str, ...]
    manifest: FileSet | None

    def read(self) -> Iterator[tuple[str, bytes, str | None]]:
        """Name, content and recorded hash of the pixels of each file.  Raises CorruptFile."""
        if self.manifest is None:
            yield from ((name, _content(self.folder / name), None) for name in self.names)
            return
        for image in self.manifest.images:
            yield image.name, read_image_file(self.folder, image), image.pixels_sha256


def run_decompress(desk: Desk, warm: WarmModels) -> dict[str, Any]:
    """Decode all files into PNG images; pixels that differ from those computed in the same way are an error."""
    spec = DecompressSpec.model_validate(desk.assignment.spec)
    model = desk.assignment.model
    assert model is not None
    codec = load_codec(desk, warm, model)
    source = _source(desk, spec)
    stored, differing, computed = _decoded(desk, codec, source)
    files = file_set(model, codec, computed, stored)
    verified = len(stored) - differing if source.manifest is not None else 0
    log.info("%d images, %d of them as they were recorded", len(stored), verified)
    if differing:
        log.warning("%d images differ from those that were recorded, which were computed in another way", differing)
    return {
        "manifest": desk.layout.relative(seal(desk.folder, files)),
        "contact_sheet": desk.layout.relative(desk.folder / "contact-sheet.png"),
        "images": len(stored),
        "verified": verified,
        "differing": differing,
        "bytes": files.size_bytes,
        "files_sha256": files.digest,
    }


def _source(desk: Desk, spec: DecompressSpec) -> _Source:
    if spec.files is None:
        path = desk.layout.resolve(desk.assignment.params["manifest"])
        return _recorded(path)
    folder = Path(spec.files)
    if (folder / MANIFEST_FILE).is_file():
        return _recorded(folder / MANIFEST_FILE)
    return _Source(folder, _names_in(folder), None)


def _names_in(folder: Path) -> tuple[str, ...]:
    """The compressed images in a folder, without hidden files.  Raises UserError for a name that no manifest takes."""
    found = sorted(path.name for path in folder.glob(f"*{SUFFIX}") if path.is_file())
    names = tuple(name for name in found if not name.startswith("."))
    if not names:
        raise UserError(
            f"{folder} holds neither {MANIFEST_FILE} nor files *{SUFFIX}", hint="name a folder of compressed images"
        )
    refused = [name for name in names if not is_entry_name(name)]
    if refused:
        more = f", nor {len(refused) - 1} more" if refused[1:] else ""
        raise UserError(
            f"{folder} holds {refused[0]!a}, which cannot be a name in {MANIFEST_FILE}{more}",
            hint="rename: letters a to z, digits, dots, dashes and underscores, 128 at most, a letter or digit first",
        )
    return names


def _recorded(path: Path) -> _Source:
    manifest = read_manifest(path)
    if not manifest.images or not all(image.name.endswith(SUFFIX) for image in manifest.images):
        raise UserError(f"{path} lists no compressed images", hint="decompress what a compress job made")
    return _Source(path.parent, tuple(image.name for image in manifest.images), manifest)


def _is_exact(manifest: FileSet | None, codec: Codec) -> bool:
    """Whether each pixel that was decoded last must be as it was recorded."""
    return manifest is not None and manifest.computed_on == computed_on(codec) and manifest.model_digest == codec.digest


def _decoded(desk: Desk, codec: Codec, source: _Source) -> tuple[list[StoredImage], int, list[str]]:
    """Write a PNG file for each; gives them, how many differ from what was recorded, and how each batch was computed.

    Raises CorruptFile for a file that is damaged, or is decoded to other pixels than it was in the same way.
    """
    stored: list[StoredImage] = []
    computed: list[str] = []
    shown: list[np.ndarray[Any, np.dtype[np.uint8]]] = []
    differing = 0
    files = source.read()
    while batch := list(islice(files, CODEC_BATCH)):
        desk.check_stop()
        codes = np.stack([_codes(codec, name, content) for name, content, _recorded_digest in batch])
        images = codec.pixels(codes)
        computed.append(computed_on(codec))  # only now: the memory may have run out
        must_agree = _is_exact(source.manifest, codec)
        pngs = ENCODER.encode(images)
        for (name, _compressed, recorded), pixels, png in zip(batch, images, pngs, strict=True):
            digest = pixels_digest(pixels)
            if recorded is not None and digest != recorded:
                if must_agree:
                    raise CorruptFile(f"{name}: its pixels are not those recorded, computed in the same way")
                differing += 1
            stored.append(write_image_file(desk.folder, f"{name.removesuffix(SUFFIX)}.png", png, digest))
        shown.extend(images[: SHOWN - len(shown)])
        desk.progress("decompressing", len(stored) - 1, len(source.names))
    save_png(desk.folder / "contact-sheet.png", contact_sheet(np.stack(shown)))
    desk.progress("decompressed", len(stored), len(stored))
    return stored, differing, computed


def _codes(codec: Codec, name: str, content: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    try:
        return codec.read(content)
    except DamagedFile as damage:
        raise CorruptFile(f"{name}: {damage}") from damage


def _content(path: Path) -> bytes:
    with named_faults(path, "read"), path.open("rb") as file:
        return file.read(LARGEST_FILE_BYTES)
