"""The pictures of docs/reports.md, out of the reports of a home that tests.reports.evening has filled.

python -m tests.reports.pictures FOLDER
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tests.browsing import ROOT, find_chromium, node

IMAGES = ROOT / "docs" / "images"
LARGEST_BYTES = 250_000
COLOURS = 64  # of a palette, which keeps flat pages with some pictures small; also colours that are rare


@dataclass(frozen=True)
class Shot:
    """A picture of pages side by side: NAME-MODE of each."""

    name: str
    of: Sequence[str]
    height: int  # CSS pixels, from the top of a page


SHOTS = (
    Shot("report-train", ("train-light",), 1330),
    Shot("report-evaluate", ("evaluate-dark",), 1230),
    Shot("report-model", ("model-light",), 1290),
    Shot("report-night", ("night-dark",), 1180),
    Shot("report-phone", ("animate-phone", "restore-phone", "gate-phone", "failed-phone"), 1100),
)


def main() -> None:
    """Take them all."""
    pages = Path(sys.argv[1]).resolve() / "pages"
    for shot in SHOTS:
        with TemporaryDirectory(prefix="pixmill-") as folder:
            _take(shot, pages, Path(folder))
            picture = _side_by_side([Path(folder) / f"{name}.png" for name in shot.of])
        path = IMAGES / f"{shot.name}.png"
        picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
        size_bytes = path.stat().st_size
        sys.stdout.write(f"{path.relative_to(ROOT)}: {size_bytes:,} bytes\n")
        if size_bytes > LARGEST_BYTES:
            sys.exit(f"error: {path.name} is larger than {LARGEST_BYTES:,} bytes; show less of the page")


def _take(shot: Shot, pages: Path, folder: Path) -> None:
    for name in shot.of:
        page, _dash, mode = name.rpartition("-")
        line = (find_chromium(), str(folder), mode, "--", str(pages / f"{page}.html"))
        node(Path(__file__).with_name("shoot.mjs"), *line, variables={"HEIGHT": str(shot.height)})


def _side_by_side(paths: Sequence[Path]) -> Image.Image:
    pictures = [Image.open(path).convert("RGB") for path in paths]
    gap = 24 if len(pictures) > 1 else 0
    width = sum(picture.width for picture in pictures) + gap * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, max(picture.height for picture in pictures)), "#8a8a8a")
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + gap
    return sheet


if __name__ == "__main__":
    main()
