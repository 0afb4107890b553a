"""One bucket of an S3 server: whole objects are put and fetched, listed and deleted.

An upload counts once its length was asked for and is right; every part carries its MD5, which the server compares.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from pixmill.errors import ConfigError, CorruptFile, PixmillError, StoreUnreachable
from storage.faults import named_faults
from storage.s3.faults import refusal, store_faults

SCHEME = "s3://"
PART_BYTES = 8 * 1024 * 1024  # a larger file is sent in parts of so much; S3 wants 5 MiB at least
ATTEMPTS = 4  # of each request, with 7 s between them at most in all
CONNECT_SECONDS = 5  # that each waits for a connection
SILENT_SECONDS = 15  # and then for an answer: a server that hangs is given up within 4 × 20 + 7 = 87 s
DELETED_AT_ONCE = 1000  # S3 takes no more


@dataclass(frozen=True)
class StoredObject:
    """One object."""

    key: str
    size_bytes: int
    changed_at: float  # seconds since 1970, by the server's clock


@dataclass(frozen=True)
class UnfinishedUpload:
    """Parts that were sent, and never made an object."""

    key: str
    upload_id: str
    began_at: float


def is_url(place: str) -> bool:
    """Whether a place is one in a bucket."""
    return place.startswith(SCHEME)


def located(place: str, root: Path) -> str:
    """Where something is to be found that a row says to be in a bucket, or below the storage root.

    >>> located("s3://pictures/made/13", Path("/srv/pixmill")), located("outputs/13", Path("/srv/pixmill"))
    ('s3://pictures/made/13', '/srv/pixmill/outputs/13')
    """
    return place if is_url(place) else str(root / place)


def split_url(url: str) -> tuple[str, str]:
    """Bucket and key.

    >>> split_url("s3://pictures/made/13")
    ('pictures', 'made/13')
    """
    bucket, _, key = url.removeprefix(SCHEME).partition("/")
    return bucket, key


class Bucket:
    """Every method raises ConfigError, NotFound, PermissionDenied or StoreUnreachable as `store_faults` does."""

    def __init__(self, name: str, endpoint: str | None) -> None:
        self.name = name
        self.endpoint = endpoint

    @classmethod
    def of(cls, url: str, endpoint: str | None) -> "tuple[Bucket, str]":
        """The bucket of a URL, and the key."""
        name, key = split_url(url)
        return cls(name, endpoint), key

    def url(self, key: str) -> str:
        """How an object is named in the database and to people."""
        return f"{SCHEME}{self.name}/{key}"

    def upload(self, source: Path, key: str, note: Callable[[int], None]) -> None:
        """Send a whole file; `note` is told the bytes of each part when it is there, and may raise to stop the rest.

        Of a file of several parts nothing is left then; one of a single part is there already.
        """
        with named_faults(source, "read"), source.open("rb") as file:
            size = source.stat().st_size
            if size <= PART_BYTES:
                content = file.read()
                self._call("put_object", key, Body=content, ContentMD5=_md5(content))
                note(size)
            else:
                self._upload_parts(file, key, note)
        arrived = self._call("head_object", key)["ContentLength"]
        if arrived != size:
            raise StoreUnreachable(f"{self.url(key)} has {arrived:,} bytes, sent were {size:,}")

    def _upload_parts(self, file: BinaryIO, key: str, note: Callable[[int], None]) -> None:
        upload = {"UploadId": self._call("create_multipart_upload", key)["UploadId"]}
        try:
            parts = []
            for number, content in enumerate(iter(lambda: file.read(PART_BYTES), b""), start=1):
                facts = {"PartNumber": number, "Body": content, "ContentMD5": _md5(content)}
                parts.append({"PartNumber": number, "ETag": self._call("upload_part", key, **upload, **facts)["ETag"]})
                note(len(content))
            self._call("complete_multipart_upload", key, **upload, MultipartUpload={"Parts": parts})
        except BaseException:
            with suppress(PixmillError):  # the error that led here is the one to report; else `gc` finds the parts
                self._call("abort_multipart_upload", key, **upload)
            raise

    def download(self, key: str, target: Path) -> None:
        """Fetch an object; nothing is left at `target` when that fails.  Raises CorruptFile when there is none."""
        with named_faults(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        fetch = self._files.get_file
        try:
            with store_faults("read", self.url(key), self.endpoint, target):
                fetch(f"{self.name}/{key}", str(target))
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose keys begin so, in order of their keys."""
        pages = self._pages("list_objects_v2", prefix, {"ContinuationToken": "NextContinuationToken"})
        for entry in (entry for page in pages for entry in page.get("Contents", ())):
            yield StoredObject(entry["Key"], entry["Size"], entry["LastModified"].timestamp())

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Uploads in parts to such keys that nobody has completed."""
        markers = {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"}
        pages = self._pages("list_multipart_uploads", prefix, markers)
        for entry in (entry for page in pages for entry in page.get("Uploads", ())):
            if entry["Key"].startswith(prefix):
                yield UnfinishedUpload(entry["Key"], entry["UploadId"], entry["Initiated"].timestamp())

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those that are gone already are no error."""
        left = iter(keys)
        while batch := [{"Key": key} for key in islice(left, DELETED_AT_ONCE)]:
            answer = self._call("delete_objects", batch[0]["Key"], Delete={"Objects": batch, "Quiet": True}, Key=None)
            if refused := answer.get("Errors"):
                raise refusal(refused[0], "delete", self.url(refused[0]["Key"]), self.endpoint)

    def abort(self, upload: UnfinishedUpload) -> None:
        """Delete the parts of an unfinished upload; one that is gone already is no error."""
        with suppress(CorruptFile):
            self._call("abort_multipart_upload", upload.key, UploadId=upload.upload_id)

    def clock(self) -> str | None:
        """The server's time, as its answers tell it."""
        answer = self._call("list_objects_v2", "", MaxKeys=1, Key=None)
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return None if date is None else str(date)

    def _pages(self, method: str, prefix: str, markers: dict[str, str]) -> Iterator[dict[str, Any]]:
        next_page: dict[str, Any] = {}
        while True:
            page = self._call(method, prefix, Prefix=prefix, Key=None, **next_page)
            yield page
            if not page.get("IsTruncated"):
                return
            next_page = {name: page[found] for name, found in markers.items() if page.get(found)}

    def _call(self, method: str, key: str, **arguments: Any) -> dict[str, Any]:
        """One request about an object, or about several with Key=None."""
        call = self._files.call_s3
        given = {"Bucket": self.name, "Key": key, **arguments}
        with store_faults(_WORDS.get(method, "write"), self.url(key), self.endpoint):
            answer: dict[str, Any] = call(method, **{name: value for name, value in given.items() if value is not None})
            return answer

    @cached_property
    def _files(self) -> Any:
        try:
            from s3fs import S3FileSystem
        except ImportError as error:
            raise ConfigError(
                f"{self.url('')} cannot be used: s3fs is not installed", hint="pip install 'pixmill[s3]'"
            ) from error
        config: dict[str, Any] = {
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": SILENT_SECONDS,
            # Other servers than Amazon's know no checksums at the end of a body; the MD5 of each part, all do.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        if self.endpoint is not None:
            config["s3"] = {"addressing_style": "path"}
        files = S3FileSystem(
            endpoint_url=self.endpoint, config_kwargs=config, use_listings_cache=False, skip_instance_cache=True
        )
        files.retries = 1  # its own would multiply those of the client below it
        return files


_WORDS = {
    "head_object": "read",
    "list_objects_v2": "list",
    "list_multipart_uploads": "list",
    "delete_objects": "delete",
}


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
