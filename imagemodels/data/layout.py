"""The class and the part that an image file's folders give it."""

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from imagemodels.data.columns import TextColumn
from imagemodels.data.decoding import SUFFIXES
from imagemodels.data.errors import DatasetMissing
from imagemodels.data.picture_files import PictureFiles
from imagemodels.errors import DataError

TRAIN_NAMES = frozenset({"train", "training"})
TEST_NAMES = frozenset({"test", "testing", "val", "valid", "validation"})
SHOWN_NAMES = 5


@dataclass(frozen=True)
class Layout:
    """All image files of a place, in the order of their paths.

    class_names  empty when the files have no classes
    labels       int64 (N,), an index into class_names; None without classes
    held_out     bool (N,) where the place itself says what is held out, by a train and a test folder; else None
    """

    files: PictureFiles
    class_names: tuple[str, ...]
    labels: npt.NDArray[np.int64] | None
    held_out: npt.NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.files.paths)


def layout_of(files: PictureFiles) -> Layout:
    """Give each image its place.

    Folders are classes, however deep the files lie below them; files in no folder have no classes. When the topmost
    folders are a training and a test folder, they part the images, and the classes are sought below them. Where the
    files themselves come with classes, folders mean nothing.

    Raises DatasetMissing when there is no image, DataError when images lie beside class folders.
    """
    if not len(files.paths) and not files.refused:
        raise DatasetMissing(
            f"data set {files.place}: no image in it or below it ({files.others} other files); "
            f"looked for names that end in {' '.join(sorted(SUFFIXES))}"
        )
    if files.classes is not None:
        return Layout(files, files.classes.names, files.classes.numbers, None)
    parts_given = _part_folders(files.paths)
    names, labels = _classes(files, skipped_folders=1 if parts_given else 0)
    return Layout(files, names, labels, _held_out(files.paths) if parts_given else None)


def _part_folders(paths: TextColumn) -> bool:
    tops = {path.partition("/")[0].lower() if "/" in path else "" for path in paths}
    return len(tops) > 1 and tops <= (TRAIN_NAMES | TEST_NAMES) and not tops.isdisjoint(TRAIN_NAMES)


def _held_out(paths: TextColumn) -> npt.NDArray[np.bool_]:
    parts = (path.partition("/")[0].lower() in TEST_NAMES for path in paths)
    return np.fromiter(parts, dtype=np.bool_, count=len(paths))


def _classes(files: PictureFiles, skipped_folders: int) -> tuple[tuple[str, ...], npt.NDArray[np.int64] | None]:
    """The names of the classes, sorted, and the number of each file's."""
    met: dict[str | None, int] = {}
    found = (met.setdefault(_class_folder(path, skipped_folders), len(met)) for path in files.paths)
    numbers = np.fromiter(found, dtype=np.int64, count=len(files.paths))
    names = sorted(name for name in met if name is not None)
    if None in met and names:
        raise _mixture(files, numbers == met[None])
    if not names:
        return (), None
    places = np.empty(len(met), dtype=np.int64)
    for place, name in enumerate(names):
        places[met[name]] = place
    return tuple(names), places[numbers]


def _class_folder(path: str, skipped_folders: int) -> str | None:
    folders = PurePosixPath(path).parts[skipped_folders:-1]
    return folders[0] if folders else None


def _mixture(files: PictureFiles, loose: npt.NDArray[np.bool_]) -> DataError:
    shown = ", ".join(files.paths[int(number)] for number in np.flatnonzero(loose)[:SHOWN_NAMES])
    return DataError(
        f"data set {files.place}: {int(loose.sum())} images lie beside class folders ({shown}); "
        "put every image into a class folder, or none"
    )
