"""The class and the part that an image file's folders give it."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from imagemodels.data.decoding import SUFFIXES
from imagemodels.data.errors import DatasetMissing
from imagemodels.data.picture_files import PictureFiles
from imagemodels.errors import DataError

TRAIN_NAMES = frozenset({"train", "training"})
TEST_NAMES = frozenset({"test", "testing", "val", "valid", "validation"})
SHOWN_NAMES = 5


@dataclass(frozen=True)
class FoundImage:
    """One image file: its relative path, its class, and the part that the layout puts it in."""

    relative_path: str
    class_name: str | None
    held_out: bool | None


@dataclass(frozen=True)
class Layout:
    """All image files of a place, sorted by relative path."""

    files: PictureFiles
    images: tuple[FoundImage, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, sorted; empty when all files lie in one folder."""
        return tuple(sorted({image.class_name for image in self.images if image.class_name is not None}))

    @property
    def has_parts(self) -> bool:
        """Whether the place itself says what is held out, by a train and a test folder."""
        return self.images[0].held_out is not None


def layout_of(files: PictureFiles) -> Layout:
    """Give each image its place.

    Folders are classes, however deep the files lie below them; files in no folder have no classes. When the topmost
    folders are a training and a test folder, they part the images, and the classes are sought below them.

    Raises DatasetMissing when there is no image, DataError when images lie beside class folders.
    """
    if not files.paths and not files.refused:
        raise DatasetMissing(
            f"data set {files.place}: no image in it or below it ({files.others} other files); "
            f"looked for names that end in {' '.join(sorted(SUFFIXES))}"
        )
    parts_given = _part_folders(files.paths)
    images = tuple(_place(path, parts_given) for path in files.paths)
    _refuse_mixture(files.place, images)
    return Layout(files, images)


def _part_folders(paths: tuple[str, ...]) -> bool:
    tops = {PurePosixPath(path).parts[0].lower() if "/" in path else "" for path in paths}
    return len(tops) > 1 and tops <= (TRAIN_NAMES | TEST_NAMES) and not tops.isdisjoint(TRAIN_NAMES)


def _place(path: str, parts_given: bool) -> FoundImage:
    folders = PurePosixPath(path).parts[:-1]
    held_out = None
    if parts_given:
        held_out = folders[0].lower() in TEST_NAMES
        folders = folders[1:]
    return FoundImage(path, folders[0] if folders else None, held_out)


def _refuse_mixture(place: str, images: tuple[FoundImage, ...]) -> None:
    loose = [image.relative_path for image in images if image.class_name is None]
    if loose and len(loose) != len(images):
        raise DataError(
            f"data set {place}: {len(loose)} images lie beside class folders ({', '.join(loose[:SHOWN_NAMES])}); "
            "put every image into a class folder, or none"
        )
