"""Pictures for people: contact sheets, PNG files and lossless WebP."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pixmill.errors import StorageError
from storage.atomic import FileDigest, write_atomic
from storage.png import MAX_PIXELS, Images, check_images

SHEET_LEVEL = 4  # of zlib; for enlarged noise level 9 takes thirty times as long, and saves a few percent
TILE_PIXELS = 84  # the side that small images are enlarged to, at least by half
CAPTION_PIXELS = 16  # height of a caption
FONT_PIXELS = 11

# Neutral grays: neither black digits nor white ones melt into them.
_LIGHT, _DARK = 232, 40
_INK_ON_LIGHT, _INK_ON_DARK = 48, 216


def contact_sheet(
    images_NHWC: Images,
    *,
    columns: int | None = None,
    scale: int | None = None,
    labels: Sequence[str] | None = None,
    gap: int = 2,
    dark: bool = False,
) -> Image.Image:
    """All images in a grid, row by row, enlarged by a whole factor so that every pixel stays a sharp square.

    images_NHWC: uint8, (N, H, W, C), C = 1 or 3. columns: default makes the sheet about square. scale: default brings
    small images near TILE_PIXELS. labels: captions, one an image, cut to the tile's width. gap: pixels between tiles.
    Returns an image of mode L or RGB. Raises StorageError for no images, a sheet larger than MAX_PIXELS, or labels
    that are not one an image.
    """
    check_images(images_NHWC)
    count, height, width, _ = images_NHWC.shape
    if not count or (labels is not None and len(labels) != count):
        raise StorageError(f"a contact sheet of {count} images with {len(labels or ())} captions cannot be drawn")
    factor = scale or max(1, round(TILE_PIXELS / max(height, width)))
    per_row = min(columns or math.ceil(math.sqrt(count)), count)
    caption = CAPTION_PIXELS if labels else 0
    sheet = Image.fromarray(_grid(images_NHWC, factor, per_row, gap, caption, _DARK if dark else _LIGHT))
    if labels:
        cell = (width * factor + gap, height * factor + caption + gap)
        _draw_captions(sheet, labels, per_row, gap, cell, _INK_ON_DARK if dark else _INK_ON_LIGHT)
    return sheet


def save_png(path: Path, image: Image.Image) -> FileDigest:
    """Write an image as a PNG file, atomically; raises DiskFull or StorageError."""

    def write(file: BinaryIO) -> None:
        image.save(file, format="PNG", compress_level=SHEET_LEVEL)

    return write_atomic(path, write)


def _grid(images_NHWC: Images, factor: int, per_row: int, gap: int, caption: int, background: int) -> Images:
    """Sheet of enlarged images: (H, W) for gray, (H, W, 3) for RGB."""
    count, channels = images_NHWC.shape[0], images_NHWC.shape[3]
    height, width = images_NHWC.shape[1] * factor, images_NHWC.shape[2] * factor
    rows = math.ceil(count / per_row)
    sheet_height = gap + rows * (height + caption + gap)
    sheet_width = gap + per_row * (width + gap)
    if sheet_height * sheet_width > MAX_PIXELS:
        raise StorageError(
            f"a contact sheet of {count} images would have {sheet_width} × {sheet_height} pixels",
            hint="show fewer images, or enlarge them less",
        )
    sheet = np.full((sheet_height, sheet_width, channels), background, np.uint8)
    for position, image in enumerate(images_NHWC):
        top = gap + position // per_row * (height + caption + gap)
        left = gap + position % per_row * (width + gap)
        sheet[top : top + height, left : left + width] = image.repeat(factor, axis=0).repeat(factor, axis=1)
    return sheet if channels == 3 else sheet[:, :, 0]


def _draw_captions(
    sheet: Image.Image, labels: Sequence[str], per_row: int, gap: int, cell: tuple[int, int], gray: int
) -> None:
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(FONT_PIXELS)
    ink = gray if sheet.mode == "L" else (gray, gray, gray)
    for position, label in enumerate(labels):
        column, row = position % per_row, position // per_row
        middle = gap + column * cell[0] + (cell[0] - gap) / 2
        bottom = gap + (row + 1) * cell[1] - gap
        draw.text((middle, bottom - CAPTION_PIXELS / 2), _cut(label, font, cell[0] - gap), ink, font, anchor="mm")


def _cut(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(label) <= width:
        return label
    cut = label
    while cut and font.getlength(cut + "…") > width:
        cut = cut[:-1]
    return cut + "…"
