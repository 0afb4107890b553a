"""Images of a data set made once more, by a process of their own, and compared with what was stored."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from client.images import has_image
from pixmill.errors import NotFound

if TYPE_CHECKING:
    from PIL.Image import Image

    from client.outputs import Output
    from storage.manifest import ShardRow
    from storage.markers import ShardMarker
    from storage.places import Place


@dataclass(frozen=True, kw_only=True)
class Regenerated:
    """One image that was made again."""

    index: int
    is_same: bool  # the bytes; where another version of an encoder without loss wrote the file, the pixels
    sha256: str  # of its file now
    recorded_sha256: str
    pixels_sha256: str
    encoder: str
    version: str | None  # of the encoder here
    recorded_version: str
    file: bytes | None = field(repr=False)  # of a single image: the file as it was stored, of format raw a PNG file

    @property
    def image(self) -> "Image":
        """The picture, of a single image."""
        from PIL import Image

        assert self.file is not None, "only one image that is made alone is brought along"
        return Image.open(io.BytesIO(self.file))


@dataclass(frozen=True)
class Stored:
    """One image as it lies there."""

    row: "ShardRow"
    marker: "ShardMarker"  # of its shard


def made_again(output: "Output", indices: Sequence[int], device: str) -> list[Regenerated]:
    """Make these images in a process on a device of this host, `cpu` or `cuda:0`, and compare them; holds all of them.

    Raises NotFound for a number that no image has, UserError when it cannot be done, Unavailable if the process dies.
    """
    with output.require_dataset().opened() as place:
        stored = _stored(output, place, indices)
        result = _run(output, stored, device)
        file = base64.b64decode(result["file"]) if result["file"] is not None else None
        both = zip(result["images"], stored, strict=True)
        return [_compared(made, one, place, file) for made, one in both]


def _stored(output: "Output", place: "Place", indices: Sequence[int]) -> list[Stored]:
    from storage.shards import read_marker, read_rows

    found: dict[int, Stored] = {}
    for record in output.shards:
        here = [index for index in indices if has_image(record, index)]
        if here:
            marker = read_marker(place, record.number)
            rows = read_rows(place, record.number)
            found |= {index: Stored(rows[index - record.first_index], marker) for index in here}
    unknown = next((index for index in indices if index not in found), None)
    if unknown is not None:
        total = sum(record.count for record in output.shards)
        raise NotFound(f"output {output.job_id} has no image {unknown}", hint=f"its images are 0 to {total - 1:,}")
    return [found[index] for index in indices]


def _run(output: "Output", stored: Sequence[Stored], device: str) -> dict[str, Any]:
    from db.finding import get_job
    from worker.parent.regenerating import regeneration, run_regeneration

    images = [{"index": one.row.index, "encoder": one.marker.encoder} for one in stored]
    workspace = output.workspace
    with workspace.database.read() as session:
        assignment = regeneration(session, get_job(session, output.job_id), workspace.settings, images)
    return run_regeneration(assignment, device)


def _compared(made: dict[str, Any], stored: Stored, place: "Place", file: bytes | None) -> Regenerated:
    marker = stored.marker
    return Regenerated(
        index=made["index"],
        is_same=made["sha256"] == stored.row.sha256.hex()
        or (_is_recoded(stored) and _pixels_sha256(stored, place) == made["pixels_sha256"]),
        sha256=made["sha256"],
        recorded_sha256=stored.row.sha256.hex(),
        pixels_sha256=made["pixels_sha256"],
        encoder=marker.encoder,
        version=_version_here(marker.encoder),
        recorded_version=marker.encoder_version,
        file=file,
    )


def _is_recoded(stored: Stored) -> bool:
    """Whether other bytes may be the same image: another version of the encoder wrote the file."""
    from storage.encoders import LOSSY_ENDINGS

    marker = stored.marker
    return marker.record.ending not in LOSSY_ENDINGS and marker.encoder_version != _version_here(marker.encoder)


def _version_here(encoder: str) -> str | None:
    from storage.encoders import recorded_encoder

    found = recorded_encoder(encoder)
    return found.version if found else None


def _pixels_sha256(stored: Stored, place: "Place") -> str:
    from storage.filesets import pixels_digest
    from storage.shards import read_images

    record = stored.marker.record
    images, _labels = read_images(place, record.number, start=stored.row.index - record.first_index, count=1)
    return pixels_digest(images[0])
