"""Lossless PNG, fast: one filter for a whole batch, then deflate at its quickest useful level.

Pillow needs about 340 µs for a 64 × 64 RGB image, most of it choosing a filter for every row and searching matches
that generated images do not have. Here every row gets the UP filter (the difference to the row above, PNG
specification 9.2), computed with numpy for many images at once, and ISA-L deflates what can become smaller. Any PNG
reader decodes the files.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from pixmill.errors import CorruptFile, StorageError

Images = npt.NDArray[np.uint8]

MAX_PIXELS = 2**26  # a decoded image of 192 MiB; whatever claims to be larger is refused before it is unpacked
COLOR_TYPES = {1: 0, 3: 2}  # channels: PNG colour type (PNG specification 11.2.1)

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB`\x82"
_UP = 2  # the filter type that starts every row
_FILTER_BYTES = 256 * 1024  # filtered at a time: the rows are still in the cache when they are deflated

_VERSION = 2  # of what is below; 1 looked 512 bytes back, and deflated noise too

# Matches reach back 4 bytes at most: to the pixel on the left. After the UP filter a match is a run of equal pixels,
# or chance; to follow up chance takes a third of the time, and its matches are longer than the literals they replace.
HISTORY_BITS = 2
ISAL_LEVEL = 1
ISAL_MEMORY = 3  # MEM_LEVEL_MEDIUM: below it ISA-L is three times slower

_GRID = 16  # rows, and bytes of each, that are looked at
_NOISE_PAIRS = 120  # noise has at most one pair of equal values in so many
_ZLIB_HEADER = b"\x78\x01"  # of a stream with a window of 32 KiB, deflated quickly if at all
_STORED_BYTES = 2**16 - 1  # in a block

Deflate = Callable[[memoryview], bytes]
Checksum = Callable[..., int]


@dataclass(frozen=True)
class Encoder:
    """A way to make files of images; another name or version may give other bytes for the same image."""

    name: str
    version: str
    encode: Callable[[Images], list[bytes]]  # uint8 (N, H, W, C) to N files
    ending: str = "png"  # of the names of its files


def _zlib_encoder() -> Encoder:
    def deflate(data: memoryview) -> bytes:
        # Runs only: three quarters of the time of zlib's level 1, and no larger on filtered images.
        stream = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, 8, zlib.Z_RLE)
        return stream.compress(data) + stream.flush()

    def encode(images_NHWC: Images) -> list[bytes]:
        return _encode(images_NHWC, deflate, zlib.crc32, zlib.adler32)

    return Encoder("png-up-zlib", f"{_VERSION}+zlib-{zlib.ZLIB_RUNTIME_VERSION}", encode)


def _isal_encoder() -> Encoder:
    import isal
    from isal import igzip_lib, isal_zlib

    def deflate(data: memoryview) -> bytes:
        packed: bytes = igzip_lib.compress(data, ISAL_LEVEL, igzip_lib.COMP_ZLIB, ISAL_MEMORY, HISTORY_BITS)
        return packed

    def encode(images_NHWC: Images) -> list[bytes]:
        return _encode(images_NHWC, deflate, isal_zlib.crc32, isal_zlib.adler32)

    return Encoder("png-up-isal", f"{_VERSION}+isal-{isal.__version__}", encode)


def _fastest_encoder() -> Encoder:
    try:
        return _isal_encoder()
    except ImportError:  # no wheel for this machine; the encoder's name in every marker tells
        return ZLIB_ENCODER


ZLIB_ENCODER = _zlib_encoder()
ENCODER = _fastest_encoder()


def encode_batch(images_NHWC: Images, encoder: Encoder = ENCODER) -> list[bytes]:
    """Files of a batch of images, one each.

    images_NHWC: uint8, (N, H, W, C) with 1 (gray) or 3 (RGB) channels. The bytes of a file depend on its image and on
    the encoder alone, never on its neighbours. Raises StorageError for any other type or shape.
    """
    check_images(images_NHWC)
    return encoder.encode(images_NHWC)


def decode_png(data: bytes) -> Images:
    """Pixels of one PNG file: uint8, (H, W, C) with 1 or 3 channels.

    Raises CorruptFile if it is no whole PNG file, not 8-bit gray or RGB, or claims more than MAX_PIXELS pixels.
    """
    from PIL import Image

    _refuse_bomb(data)
    try:
        with Image.open(BytesIO(data), formats=["PNG"]) as image:
            if image.mode not in {"L", "RGB"}:
                raise CorruptFile(f"the PNG has mode {image.mode}, expected 8-bit gray or RGB")
            pixels = np.asarray(image)
    # All that Pillow's reader was seen to raise on damaged files.
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error) as error:
        raise CorruptFile(f"the PNG cannot be decoded: {error}") from error
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def check_images(images_NHWC: npt.NDArray[Any]) -> None:
    """Raise StorageError unless the array is uint8 (N, H, W, C) with at least one pixel and 1 or 3 channels."""
    shape = images_NHWC.shape
    if images_NHWC.dtype != np.uint8 or len(shape) != 4 or shape[3] not in COLOR_TYPES or 0 in shape[1:]:
        raise StorageError(
            f"cannot store images of type {images_NHWC.dtype} and shape {shape}",
            hint="give uint8 images of shape (N, H, W, C) with 1 (gray) or 3 (RGB) channels",
        )


def _encode(images_NHWC: Images, deflate: Deflate, crc32: Checksum, adler32: Checksum) -> list[bytes]:
    _, height, width, channels = images_NHWC.shape
    header = struct.pack(">IIBBBBB", width, height, 8, COLOR_TYPES[channels], 0, 0, 0)
    # Up to and with the type of the IDAT chunk, all but its length is the same in every file.
    head = _SIGNATURE + len(header).to_bytes(4) + b"IHDR" + header + crc32(b"IHDR" + header).to_bytes(4)
    seed = crc32(b"IDAT")
    files = []
    for rows_NHB in _filtered(images_NHWC):
        for image, is_noise in zip(rows_NHB.reshape(len(rows_NHB), -1), _are_noise(rows_NHB), strict=True):
            packed = _stored(image.data, adler32) if is_noise else deflate(image.data)
            crc = crc32(packed, seed)
            files.append(b"".join((head, len(packed).to_bytes(4), b"IDAT", packed, crc.to_bytes(4), _END)))
    return files


def _filtered(images_NHWC: Images) -> Iterator[Images]:
    """Rows of some images, (N, H, 1 + W·C), each led by the filter type; valid until the next ones are asked for."""
    count, height, width, channels = images_NHWC.shape
    rows = images_NHWC.reshape(count, height, width * channels)
    row_bytes = 1 + width * channels
    block = max(1, _FILTER_BYTES // (height * row_bytes))
    filtered = np.empty((min(block, count), height, row_bytes), np.uint8)
    filtered[:, :, 0] = _UP
    for start in range(0, count, block):
        part = rows[start : start + block]
        filtered[: len(part), 0, 1:] = part[:, 0]  # the row above the first is zero
        np.subtract(part[:, 1:], part[:, :-1], out=filtered[: len(part), 1:, 1:])  # wraps modulo 256, as PNG wants
        yield filtered[: len(part)]


def _are_noise(rows_NHB: Images) -> list[bool]:
    """Whether deflate would hardly save a tenth of each image, judged by the values on a grid of some 256 bytes.

    In noise two values are seldom equal: one pair in 120 are 6.9 bits a byte (Rényi's entropy of order 2, from which
    that of a Huffman code is at most a little higher). ISA-L needs longer for it than for all the rest of the path.
    """
    count, height, row_bytes = rows_NHB.shape
    grid = rows_NHB[:, :: -(-height // _GRID), 1 :: -(-row_bytes // _GRID)].reshape(count, -1)
    numbered = grid + np.arange(0, 256 * count, 256)[:, np.newaxis]  # each image has its 256 values
    found = np.bincount(numbered.ravel(), minlength=256 * count).reshape(count, 256)
    size = grid.shape[1]
    equal_pairs = np.einsum("nv,nv->n", found, found) - size
    noise: list[bool] = (equal_pairs * _NOISE_PAIRS < size * (size - 1)).tolist()
    return noise


def _stored(data: memoryview, adler32: Checksum) -> bytes:
    """A zlib stream of blocks that are not compressed (RFC 1950; RFC 1951, 3.2.4)."""
    parts: list[bytes | memoryview] = [_ZLIB_HEADER]
    for start in range(0, len(data), _STORED_BYTES):
        block = data[start : start + _STORED_BYTES]
        is_last = start + len(block) == len(data)
        parts += (struct.pack("<?HH", is_last, len(block), len(block) ^ 0xFFFF), block)
    return b"".join((*parts, adler32(data).to_bytes(4)))


def _refuse_bomb(data: bytes) -> None:
    if len(data) < 33 or not data.startswith(_SIGNATURE):
        raise CorruptFile(f"these {len(data)} bytes are no PNG file")
    width, height = struct.unpack(">II", data[16:24])
    if width * height > MAX_PIXELS:
        raise CorruptFile(f"the PNG claims {width} × {height} pixels, more than the {MAX_PIXELS:,} allowed")
