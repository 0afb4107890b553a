"""Ways to make a file of an image, by the names that people ask for, and back to pixels.

    png         our own writer: quick, lossless
    png-small   Pillow's, at its smallest: lossless
    webp        WebP without loss; gray images become RGB in it, with three equal channels
    jpeg        JPEG of quality 95 without subsampling of colours: pixels are lost
    pixels      no file at all: the pixels themselves, row by row, for blocks of numbers

Everything but `png` and `pixels` is Pillow's: equal bytes need equal versions of it and of its libraries.
"""

from collections.abc import Callable, Mapping
from io import BytesIO
from types import MappingProxyType
from typing import Any

import numpy as np

from pixmill.errors import CorruptFile
from storage.png import COLOR_TYPES, ENCODER, MAX_PIXELS, ZLIB_ENCODER, Encoder, Images, decode_png

JPEG_QUALITY = 95
PIXELS = "pixels"  # the ending of what is no file
LOSSY_ENDINGS = frozenset({"jpg"})

_PILLOW_FORMATS = {"webp": "WEBP", "jpg": "JPEG"}


def find_encoder(name: str | None) -> Encoder:
    """The encoder that a person asked for, or the default.  Raises KeyError for a name that is none."""
    return ENCODER if name is None else _MAKERS[name]()


def recorded_encoder(name: str) -> Encoder | None:
    """The encoder that calls itself so in markers and tables; None when this pixmill has none."""
    known = [ZLIB_ENCODER, *(make() for make in _MAKERS.values())]
    return next((encoder for encoder in known if encoder.name == name), None)


def decode(file: bytes, ending: str, height: int, width: int, channels: int | None = None) -> Images:
    """Pixels of one file: uint8, (H, W, C); without `channels`, as many as the file has.

    Raises CorruptFile if it cannot be decoded, or is of another size.
    """
    if ending == PIXELS:
        pixels = _reshaped(file, height, width)
    elif ending == "png":
        pixels = decode_png(file)
    else:
        pixels = _decode_with_pillow(file, _PILLOW_FORMATS[ending], channels)
    if pixels.shape[:2] != (height, width) or channels not in (None, pixels.shape[2]):
        is_of = " × ".join(str(side) for side in (pixels.shape[1], pixels.shape[0], *pixels.shape[2:]))
        expected = f"{width} × {height}" + (f" × {channels}" if channels else "")
        raise CorruptFile(f"the image is of {is_of}, recorded {expected}")
    return pixels


def _reshaped(pixels: bytes, height: int, width: int) -> Images:
    channels, rest = divmod(len(pixels), height * width)
    if rest or channels not in COLOR_TYPES:
        raise CorruptFile(f"{len(pixels):,} bytes are no {width} × {height} pixels")
    return np.frombuffer(pixels, np.uint8).reshape(height, width, channels)


def _decode_with_pillow(file: bytes, kind: str, channels: int | None) -> Images:
    from PIL import Image

    try:
        with Image.open(BytesIO(file), formats=[kind]) as image:
            if image.width * image.height > MAX_PIXELS:
                raise CorruptFile(f"the file claims {image.width} × {image.height} pixels, more than allowed")
            is_gray = image.mode == "L" if channels is None else channels == 1
            pixels = np.asarray(image.convert("L" if is_gray else "RGB"))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise CorruptFile(f"the {kind} file cannot be decoded: {error}") from error
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def _pillow(name: str, ending: str, kind: str, library: str, **options: Any) -> Encoder:
    import PIL
    from PIL import Image, features

    def encode(images_NHWC: Images) -> list[bytes]:
        files = []
        for image in images_NHWC:
            buffer = BytesIO()
            Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(buffer, kind, **options)
            files.append(buffer.getvalue())
        return files

    version = f"1+pillow-{PIL.__version__}+{library}-{features.version(library)}"
    return Encoder(name, version, encode, ending)


def _small_png() -> Encoder:
    return _pillow("png-small", "png", "PNG", "zlib", optimize=True)


def _webp() -> Encoder:
    return _pillow("webp-lossless", "webp", "WEBP", "webp", lossless=True, exact=True, quality=80, method=4)


def _jpeg() -> Encoder:
    name = f"jpeg-{JPEG_QUALITY}"
    return _pillow(name, "jpg", "JPEG", "jpg", quality=JPEG_QUALITY, subsampling="4:4:4", optimize=True)


def _pixels() -> Encoder:
    return Encoder(PIXELS, "1", lambda images_NHWC: [image.tobytes() for image in images_NHWC], PIXELS)


# Made when asked for: Pillow takes a while to import.
_MAKERS: Mapping[str, Callable[[], Encoder]] = MappingProxyType(
    {"png": lambda: ENCODER, "png-small": _small_png, "webp": _webp, "jpeg": _jpeg, PIXELS: _pixels}
)
ENCODER_NAMES = tuple(_MAKERS)
