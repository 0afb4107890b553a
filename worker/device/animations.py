"""The files to look at of an animate job, made of the frames in its shards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixmill.specs import AnimateSpec
from storage.animations import write_animation, write_animation_index
from storage.places import Place
from storage.shards import ShardRecord, read_images
from worker.device.desk import Desk


def write_animations(
    desk: Desk, output: Path, place: Place, records: Sequence[ShardRecord], spec: AnimateSpec
) -> dict[str, Any]:
    """Write all animations of the shards in `place`, and their index, into `output`; gives what dataset.json says."""
    each, written = spec.frames_each, []
    for record in records:
        for start in range(0, record.count, each):
            desk.measuring("animating", (record.first_index + start) / spec.images)
            frames, _labels = read_images(place, record.number, start=start, count=each)
            first = record.first_index + start
            written.append(write_animation(output, first // each, first, frames, spec.frame_milliseconds))
    animation: dict[str, int | None] = {"frames_each": each, "frame_milliseconds": spec.frame_milliseconds}
    animation |= {"stops": spec.stops} if spec.stops else {"given": spec.given}
    return {"animation": animation, "animations": write_animation_index(output, written)}
