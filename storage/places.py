"""Where the shards of a data set lie: in a folder, or in a bucket, from which each is brought when it is wanted.

In a bucket a data set is `<outputs>/<job>/`, with dataset.json and pictures on top, and each shard in the
`<task>/<epoch>/` of the attempt that made it: no two attempts ever write the same object of a shard.

What reads shards takes a `Place`, and asks `at_hand` for the folder to read in.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pixmill.errors import CorruptFile, StorageError
from storage.faults import named_faults
from storage.records import ShardRecord, shard_stem
from storage.s3.bucket import Bucket, is_url, split_url

Part = Literal["marker", "parquet", "tar"]  # of a shard: the attributes of its record that name the files
WHOLE: tuple[Part, ...] = ("tar", "parquet", "marker")  # the marker, which vouches for both, comes last
INDEX_FILE = "dataset.json"


def attempt_url(outputs: str, job_id: int, task_id: int, epoch: int) -> str:
    """Where the shards of one attempt lie in a bucket."""
    return f"{outputs}/{job_id}/{task_id}/{epoch}"


def outputs_url(shard_url: str) -> str:
    """Where the data sets of all jobs lie, by where a shard of one does.

    >>> outputs_url("s3://pictures/made/13/2/1")
    's3://pictures/made'
    """
    return shard_url.rsplit("/", 3)[0]


def dataset_url(shard_url: str) -> str:
    """Where the data set lies, by where one of its shards does.

    >>> dataset_url("s3://pictures/made/13/2/1")
    's3://pictures/made/13'
    """
    return shard_url.rsplit("/", 2)[0]


class BucketDataset:
    """The shards of one job in a bucket, and the files beside them; one shard at a time is held below `scratch`.

    `shards` are records, and the URLs where they lie. Methods raise as those of `Bucket` do.
    """

    def __init__(
        self, url: str, endpoint: str | None, shards: Iterable[tuple[str, ShardRecord]], scratch: Path
    ) -> None:
        self.url = url
        self._bucket, self._key = Bucket.of(url, endpoint)
        self._shards = {record.number: (folder, record) for folder, record in shards}
        self._scratch = scratch
        self._held: Path | None = None

    def __str__(self) -> str:
        return self.url

    def below(self, number: int) -> str:
        """Where a shard lies, seen from the files beside them all: `<task>/<epoch>`."""
        return self._shards[number][0].removeprefix(f"{self.url}/")

    def bring(self, number: int, *parts: Part) -> Path:
        """A folder with these files of a shard; it stays until another shard is brought.

        Raises CorruptFile for what is missing.
        """
        if number not in self._shards:
            raise CorruptFile(f"{self.url} has no shard {number}")
        url, record = self._shards[number]
        folder = self._scratch / shard_stem(number)
        if self._held not in (None, folder):
            _remove(self._held)
        self._held = folder
        for part in parts:
            name = getattr(record, part)
            self._fetch(f"{split_url(url)[1]}/{name}", folder / name)
        return folder

    def bring_beside(self) -> Path:
        """A folder with the files that lie beside the shards."""
        folder = self._scratch / "beside"
        with named_faults(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for found in self._bucket.objects(f"{self._key}/"):
            name = found.key.removeprefix(f"{self._key}/")
            if "/" not in name:
                self._fetch(found.key, folder / name)
        return folder

    def put_beside(self, folder: Path, note: Callable[[int], None]) -> None:
        """Send what is in a folder to where the files beside the shards lie; dataset.json, if it is there, last."""
        for path in sorted(folder.iterdir(), key=lambda path: (path.name == INDEX_FILE, path.name)):
            self._bucket.upload(path, f"{self._key}/{path.name}", note)

    def _fetch(self, key: str, target: Path) -> None:
        if not target.exists():
            self._bucket.download(key, target)

    def close(self) -> None:
        """Remove what was brought."""
        _remove(self._scratch)


@dataclass(frozen=True)
class CopiedDataset:
    """What was in a bucket, in a folder: each shard lies below it, where dataset.json says."""

    folder: Path
    below: Mapping[int, str]

    def bring(self, number: int, *_parts: Part) -> Path:
        """The folder of a shard."""
        return self.folder / self.below[number]

    def bring_beside(self) -> Path:
        """The folder itself."""
        return self.folder


Place = Path | BucketDataset | CopiedDataset


def at_hand(place: Place, number: int, *parts: Part) -> Path:
    """A folder with these files of a shard.  Raises as `BucketDataset.bring`."""
    return place if isinstance(place, Path) else place.bring(number, *parts)


def named(place: Place, number: int, file: str) -> str:
    """How people are told of a file of a shard: by where it really lies, not by where it was brought for a moment."""
    if isinstance(place, BucketDataset):
        return f"{place.url}/{place.below(number)}/{file}"
    return str(at_hand(place, number) / file)


def beside(place: Place) -> Path:
    """A folder with what lies beside the shards: dataset.json, animations.  Raises as `Bucket` does."""
    return place if isinstance(place, Path) else place.bring_beside()


def let_go(place: Place) -> None:
    """Remove what was brought from a bucket."""
    if isinstance(place, BucketDataset):
        place.close()


def in_bucket(shards: Iterable[tuple[str, ShardRecord]], endpoint: str | None, scratch: Path) -> BucketDataset | None:
    """The data set in a bucket that shards belong to, by where their rows say they lie; None: below the storage root.

    Raises StorageError when they lie in several places.
    """
    known = list(shards)
    places = {dataset_url(folder) if is_url(folder) else None for folder, _record in known}
    if len(places) > 1:
        named = ", ".join(sorted(place or "the storage root" for place in places))
        hint = "storage.outputs was changed while the job ran: submit it again"
        raise StorageError(f"the shards lie in several places: {named}", hint=hint)
    url = next(iter(places), None)
    return None if url is None else BucketDataset(url, endpoint, known, scratch)


def upload_shard(folder: Path, record: ShardRecord, url: str, bucket: Bucket, note: Callable[[int], None]) -> None:
    """Send a shard to a URL in a bucket, its marker last, then remove it from the folder.

    `note` is told the bytes of each part. Raises as `Bucket` does. A shard of a format that has a file for each image
    is none for a bucket: whoever plans to write such shards has to refuse that.
    """
    _, key = split_url(url)
    for part in WHOLE:
        name = getattr(record, part)
        bucket.upload(folder / name, f"{key}/{name}", note)
    for part in reversed(WHOLE):
        path = folder / getattr(record, part)
        with named_faults(path, "remove"):
            path.unlink()


def _remove(folder: Path) -> None:
    with named_faults(folder, "remove"):
        if folder.exists():
            shutil.rmtree(folder)
