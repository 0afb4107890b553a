"""Find the images of a folder, and the class and part that their sub-folders give them."""

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imagemodels.data.decoding import SUFFIXES
from imagemodels.data.errors import DatasetMissing
from imagemodels.errors import DataError

TRAIN_NAMES = frozenset({"train", "training"})
TEST_NAMES = frozenset({"test", "testing", "val", "valid", "validation"})
OUTSIDE_LINK = "a link that leads out of the folder; copy the image into it"
SHOWN_NAMES = 5


@dataclass(frozen=True)
class FoundImage:
    """One image file: its path relative to the folder, its class, and the part that the layout puts it in."""

    relative_path: str
    class_name: str | None
    held_out: bool | None


@dataclass(frozen=True)
class FolderListing:
    """All image files below a folder, sorted by relative path, and the links that were not followed."""

    root: Path
    images: tuple[FoundImage, ...]
    outside_links: tuple[str, ...]

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, sorted; empty when the folder is flat."""
        return tuple(sorted({image.class_name for image in self.images if image.class_name is not None}))

    @property
    def has_parts(self) -> bool:
        """Whether the folder itself says what is held out, by a train and a test sub-folder."""
        return self.images[0].held_out is not None


def list_folder(root: Path) -> FolderListing:
    """List a folder's images.

    Sub-folders are classes, however deep the files lie below them; a flat folder has no classes. When the sub-folders
    are a training and a test folder, they part the images, and the classes are sought below them. Hidden files are
    passed over, and so are files that do not end like an image. Links out of the folder are listed, not followed.

    Raises DatasetMissing when there is no image, DataError when images lie beside class folders.
    """
    root = root.resolve()
    if not root.is_dir():
        raise DatasetMissing(f"data set folder:{root}: there is no such folder")
    paths, outside_links, others = _walk(root)
    if not paths and not outside_links:
        raise DatasetMissing(
            f"data set folder:{root}: no image in it or below it ({others} other files); "
            f"looked for names that end in {' '.join(sorted(SUFFIXES))}"
        )
    parts_given = _part_folders(paths)
    images = tuple(_place(path, parts_given) for path in sorted(paths))
    _refuse_mixture(root, images)
    return FolderListing(root, images, tuple(sorted(outside_links)))


def _walk(root: Path) -> tuple[list[str], list[str], int]:
    paths: list[str] = []
    outside_links: list[str] = []
    others = 0
    for folder, folder_names, file_names in os.walk(root):
        visible = sorted(name for name in folder_names if not name.startswith((".", "__MACOSX")))
        folder_names[:] = visible  # os.walk descends only into what is left here
        outside_links += [_relative(root, folder, name) for name in visible if Path(folder, name).is_symlink()]
        for name in file_names:
            if name.startswith(".") or Path(name).suffix.lower() not in SUFFIXES:
                others += 1
            elif Path(folder, name).resolve().is_relative_to(root):
                paths.append(_relative(root, folder, name))
            else:
                outside_links.append(_relative(root, folder, name))
    return paths, outside_links, others


def _relative(root: Path, folder: str, name: str) -> str:
    return Path(folder, name).relative_to(root).as_posix()


def _part_folders(paths: list[str]) -> bool:
    tops = {PurePosixPath(path).parts[0].lower() if "/" in path else "" for path in paths}
    return len(tops) > 1 and tops <= (TRAIN_NAMES | TEST_NAMES) and not tops.isdisjoint(TRAIN_NAMES)


def _place(path: str, parts_given: bool) -> FoundImage:
    folders = PurePosixPath(path).parts[:-1]
    held_out = None
    if parts_given:
        held_out = folders[0].lower() in TEST_NAMES
        folders = folders[1:]
    return FoundImage(path, folders[0] if folders else None, held_out)


def _refuse_mixture(root: Path, images: tuple[FoundImage, ...]) -> None:
    loose = [image.relative_path for image in images if image.class_name is None]
    if loose and len(loose) != len(images):
        raise DataError(
            f"data set folder:{root}: {len(loose)} images lie beside class folders ({', '.join(loose[:SHOWN_NAMES])}); "
            "put every image into a class folder, or none"
        )
