"""One image file or array to square uint8 pixels: the only place where data is decoded and resized."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from imagemodels.data.errors import BadImage
from imagemodels.errors import DataError

MIN_IMAGE_SIZE = 8  # pixels
MAX_IMAGE_SIZE = 256  # pixels
MAX_PIXELS = 64_000_000  # width × height; a larger header is refused before a byte of it is decoded
MAX_FILE_BYTES = 512_000_000
LONGEST_REASON = 200  # characters of what a decoder says
MAX_DATASET_BYTES = 4_000_000_000  # decoded pixels of a whole data set, which is kept in memory
# The formats are named so that a file cannot choose a decoder that runs an outside program (EPS and its kin).
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"}
)
# Changes whenever the same file would give other pixels: it is part of every fingerprint.
DECODE_RULE = "centre crop, lanczos down, bicubic up, alpha on white, exif upright, 1"
PixelArray = npt.NDArray[np.uint8]


def check_image_size(image_size: int) -> int:
    """Return the size when images can be had at it; otherwise raise DataError."""
    if not MIN_IMAGE_SIZE <= image_size <= MAX_IMAGE_SIZE:
        raise DataError(
            f"image size {image_size} is outside {MIN_IMAGE_SIZE} to {MAX_IMAGE_SIZE} pixels; "
            "give an image size in that range"
        )
    return image_size


def check_channels(channels: int) -> int:
    """Return the number of channels when it is 1 or 3; otherwise raise DataError."""
    if channels not in (1, 3):
        raise DataError(f"{channels} channels were asked for; give 1 (gray) or 3 (RGB)")
    return channels


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes; raise BadImage when it cannot be read, is empty, or is larger than MAX_FILE_BYTES."""
    try:
        status = path.stat()
        size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            raise BadImage("not a regular file")  # a pipe would keep its reader waiting for ever
        if size == 0:
            raise BadImage("the file is empty")
        if size > MAX_FILE_BYTES:
            raise BadImage(f"too large: {size:,} bytes is more than {MAX_FILE_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise BadImage(f"cannot be read: {error.strerror or error}") from error


def check_memory(count: int, image_size: int, channels: int) -> None:
    """Raise DataError when so many images do not fit the memory that a data set may take."""
    needed = count * image_size * image_size * channels
    if needed > MAX_DATASET_BYTES:
        raise DataError(
            f"{count:,} images of {image_size} × {image_size} × {channels} take {needed / 1e9:.1f} GB in memory; "
            f"the limit is {MAX_DATASET_BYTES / 1e9:.0f} GB: give a smaller image size, fewer images, or (of a folder, "
            "a zip or a tar) a PackedStore to keep them in a file"
        )


def open_image(file: IO[bytes]) -> Image.Image:
    """Open a file lazily and check its header; no pixel is decoded yet.

    Raises BadImage with a reason when it is of no known format, or larger than MAX_PIXELS.
    """
    with _refused("unreadable header"):
        try:
            image = Image.open(file, formats=FORMATS)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
            raise BadImage(f"too large: more than {MAX_PIXELS:,} pixels") from bomb
        except UnidentifiedImageError as unknown:
            raise BadImage(f"not an image of a known format ({', '.join(FORMATS)})") from unknown
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadImage(f"too large: {width} × {height} is more than {MAX_PIXELS:,} pixels")
    return image


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """Whatever a decoder of Pillow raises over a file is a reason to refuse it; which errors those are it never says.

    Memory that is short says nothing of the file.
    """
    try:
        yield
    except (BadImage, MemoryError):
        raise
    except Exception as broken:
        told = " ".join(str(broken).split())[:LONGEST_REASON]
        raise BadImage(f"{what}: {told or type(broken).__name__}") from broken


def is_gray(image: Image.Image) -> bool:
    """Say whether an opened image holds no colour, as far as its header tells."""
    return image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")


def decode_bytes(content: bytes, image_size: int, channels: int) -> PixelArray:
    """Decode one file's bytes to uint8 (image_size, image_size, channels).

    EXIF orientation is applied, transparency is laid on white, CMYK and palettes become RGB, 16-bit gray is scaled
    to 8 bits, and the first frame of an animation is taken. Raises BadImage with a reason.
    """
    with _refused("damaged or truncated"), open_image(BytesIO(content)) as image:
        upright = ImageOps.exif_transpose(image)
        return square_pixels(_to_mode(upright, channels), image_size)


def decode_whole(content: bytes, channels: int) -> PixelArray:
    """Decode one file's bytes to uint8 (H, W, channels) as `decode_bytes` does, at its own size.  Raises BadImage."""
    with _refused("damaged or truncated"), open_image(BytesIO(content)) as image:
        upright = ImageOps.exif_transpose(image)
        return np.asarray(_to_mode(upright, channels)).reshape(upright.height, upright.width, channels)


def _to_mode(image: Image.Image, channels: int) -> Image.Image:
    wanted = "L" if channels == 1 else "RGB"
    if image.mode.startswith("I"):
        image = _from_16_bit(image)
    if image.mode == "F":
        raise BadImage("floating-point pixels have no known range; save as 8 or 16 bits")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")
    return image if image.mode == wanted else image.convert(wanted)


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale 0–65535 to 0–255; Pillow's own conversion clips at 255, which turns such an image white."""
    wide = np.asarray(image).astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise BadImage(f"integer pixels from {wide.min()} to {wide.max()} have no known range; save as 8 or 16 bits")
    return Image.fromarray(np.round(wide / 257).astype(np.uint8))


def square_pixels(image: Image.Image, image_size: int) -> PixelArray:
    """Crop the largest centred square and resize it, antialiased: Lanczos to shrink, bicubic to enlarge.

    Returns uint8 (image_size, image_size, C). An image already square and of that size is left untouched.
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    if side == image_size:
        pixels = np.asarray(image.crop(box))
    else:
        filter_ = Image.Resampling.LANCZOS if side > image_size else Image.Resampling.BICUBIC
        pixels = np.asarray(image.resize((image_size, image_size), filter_, box=box, reducing_gap=3.0))
    return pixels.reshape(image_size, image_size, -1)


def resize_array(images: PixelArray, image_size: int, channels: int) -> PixelArray:
    """Bring decoded uint8 (N, H, W, C) to (N, image_size, image_size, channels) by the same rules as files."""
    mode = "L" if channels == 1 else "RGB"
    result = np.empty((len(images), image_size, image_size, channels), dtype=np.uint8)
    for index, pixels in enumerate(images):
        image = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
        result[index] = square_pixels(image if image.mode == mode else image.convert(mode), image_size)
    return result
