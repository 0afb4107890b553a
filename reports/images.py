"""Pictures inside the page: lossless WebP as data URIs, within a budget, never made smaller by losing detail."""

import base64
import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from reports.data import ImageSource
from reports.errors import ReportError
from reports.numbers import size_text

MAX_PIXELS = 64_000_000  # more is refused by the header, before a byte is decoded
MAX_SIDE = 16_383  # pixels, the limit of the WebP format
_PLAIN_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA"})  # eight bits a channel or fewer: WebP keeps them all
_PREFIX = "data:image/webp;base64,"

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture as the page embeds it."""

    uri: str
    width: int  # pixels
    height: int  # pixels

    def shown_width(self, target: int) -> int:
        """Give the width in CSS pixels: the greatest whole multiple of the true one within `target`, else `target`."""
        return self.width * (target // self.width) if self.width <= target else target

    def is_enlarged(self, target: int) -> bool:
        """Tell whether pixels are shown at least in full size, so that hard edges are right."""
        return self.width <= target


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A picture that is not in the page, with the reason that stands in its place."""

    why: str


Embedded: TypeAlias = Picture | LeftOut


@dataclass(kw_only=True)
class PictureBudget:
    """Embeds pictures as long as their bytes fit; a source is encoded once however often it is asked for."""

    remaining_bytes: int
    encoded: dict[int, Embedded] = field(default_factory=dict)

    def embed(self, source: ImageSource) -> Embedded:
        """Embed the picture, or say why not: the file cannot be read, or the budget is spent.

        An array that is not a uint8 picture raises ReportError.
        """
        picture = self._encode(source)
        if isinstance(picture, LeftOut):
            return picture
        if len(picture.uri) > self.remaining_bytes:
            return LeftOut(why=f"left out to keep the report small: it takes {size_text(len(picture.uri))}")
        self.remaining_bytes -= len(picture.uri)
        return picture

    def spread(
        self, items: Sequence[Item], source_of: Callable[[Item], ImageSource], *, at_most: int
    ) -> list[tuple[Item, Embedded]]:
        """Embed up to `at_most` items, fewer if they do not fit; evenly spread, the first and the last kept longest."""
        candidates = evenly_spread(items, at_most)
        for count in range(len(candidates), 0, -1):
            chosen = evenly_spread(candidates, count)
            if sum(self._encoded_bytes(source_of(item)) for item in chosen) <= self.remaining_bytes:
                return [(item, self.embed(source_of(item))) for item in chosen]
        return []

    def _encoded_bytes(self, source: ImageSource) -> int:
        picture = self._encode(source)
        return len(picture.uri) if isinstance(picture, Picture) else 0

    def _encode(self, source: ImageSource) -> Embedded:
        if id(source) not in self.encoded:
            self.encoded[id(source)] = encode(source)
        return self.encoded[id(source)]


def evenly_spread(items: Sequence[Item], count: int) -> list[Item]:
    """Choose `count` items evenly, the first and the last among them; a single one is the last."""
    if count >= len(items):
        return list(items)
    if count == 1:
        return [items[-1]]
    return [items[round(place)] for place in np.linspace(0, len(items) - 1, count)]


def encode(source: ImageSource) -> Embedded:
    """Encode a picture losslessly; an animated WebP file is embedded byte for byte.

    A file that is missing, broken, too large or neither PNG nor WebP gives the reason instead of a picture: the
    report of a failed job must not fail over the picture that the job could not finish.
    An array that is not uint8 of shape (H, W), (H, W, 1) or (H, W, 3) raises ReportError.
    """
    if isinstance(source, Path):
        return _encode_file(source)
    return _encode_image(Image.fromarray(_checked_array(source)))


def _encode_file(path: Path) -> Embedded:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a half broken file is judged by what can be decoded
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "WEBP")) as image:
                return _unfit(image) or _encode_opened(image, path)
    except FileNotFoundError:
        return LeftOut(why=f"not found: {path.name}")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return LeftOut(why=f"refused, more than {MAX_PIXELS:,} pixels: {path.name}")
    except UnidentifiedImageError:
        return LeftOut(why=f"neither PNG nor WebP: {path.name}")
    except OSError as error:
        return LeftOut(why=f"cannot be read: {path.name} ({error.strerror or 'broken file'})")
    except (SyntaxError, ValueError):  # Pillow's words for a broken PNG chunk
        return LeftOut(why=f"cannot be read: {path.name} (broken file)")


def _unfit(image: Image.Image) -> LeftOut | None:
    """Judge a picture by its header, before any pixel is decoded."""
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        return LeftOut(why=f"refused, {width:,} × {height:,} pixels are more than a page can show")
    if image.mode not in _PLAIN_MODES:
        return LeftOut(why=f"refused, mode {image.mode} cannot be shown without loss")
    return None


def _encode_opened(image: Image.Image, path: Path) -> Embedded:
    if image.format == "WEBP" and getattr(image, "is_animated", False):
        return _picture(path.read_bytes(), image.size)
    return _encode_image(image)


def _encode_image(image: Image.Image) -> Embedded:
    if unfit := _unfit(image):
        return unfit
    buffer = io.BytesIO()
    _webp_mode(image).save(buffer, format="WEBP", lossless=True, exact=True, quality=80, method=4)
    return _picture(buffer.getvalue(), image.size)


def _webp_mode(image: Image.Image) -> Image.Image:
    """Convert without loss: WebP knows RGB and RGBA only."""
    has_alpha = image.mode in {"LA", "RGBA"} or "transparency" in image.info
    return image.convert("RGBA" if has_alpha else "RGB")


def _picture(data: bytes, size: tuple[int, int]) -> Picture:
    return Picture(uri=_PREFIX + base64.b64encode(data).decode("ascii"), width=size[0], height=size[1])


def _checked_array(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    is_gray = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 1)
    if pixels.dtype != np.uint8 or not (is_gray or (pixels.ndim == 3 and pixels.shape[2] == 3)) or 0 in pixels.shape:
        raise ReportError(
            f"a picture must be uint8 of shape (H, W) or (H, W, 3); found {pixels.dtype} of shape {pixels.shape}"
        )
    return pixels.reshape(pixels.shape[:2]) if is_gray else pixels
