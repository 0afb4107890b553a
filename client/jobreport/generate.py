"""From the shards of a job that makes images to the section of its report that shows them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from client.jobreport.restoration import lines_of
from client.jobreport.source import JobSource
from db.tables.published import Shard
from db.views import job_shards
from pixmill.errors import PixmillError
from pixmill.specs import AnimateSpec, EditSpec, GenerateSpec, RestoreSpec, Spec
from reports.data import CaptionedImage, FidelityTable, GenerateSection
from storage.animations import animation_stem
from storage.shards import ShardRow, read_rows

MANIFEST_ROWS = 8
SHOWN_ANIMATIONS = 8
WIDEST_SHEET = 50  # frames: the contact sheet of longer animations begins new rows where it has to
COLUMNS = ("index", "key", "seed", "label", "width", "height", "size")


def generate_section(source: JobSource) -> GenerateSection:
    """Shards, classes and the first rows of the table."""
    shards = job_shards(source.session, source.job.id)
    assembled = source.result("assemble")
    images = sum(shard.image_count for shard in shards)
    planned = assembled.get("images") or source.job.progress_total or images
    rows, warnings = _manifest_rows(source, shards)
    return GenerateSection(
        images=images,
        images_planned=planned,
        shards=len(shards),
        shards_planned=-(-planned // _shard_size(source.spec)),
        size_bytes=sum(shard.size_bytes for shard in shards),
        images_per_second=source.line.rate,  # as `ps` has it
        contact_sheet=source.existing(assembled.get("contact_sheet")),
        sheet_caption=_sheet_caption(source.spec),
        animations=_animations(source, assembled),
        animations_made=assembled.get("animations"),
        edit={name.replace("_", " "): value for name, value in (assembled.get("edit") or {}).items()},
        counts=assembled.get("class_counts") or {},
        choice={name.replace("_", " "): value for name, value in (assembled.get("choice") or {}).items()},
        choices=assembled.get("choices") or {},
        manifest_rows=rows,
        model=source.facts_of_used_model(),
        output=source.output_of(assembled) if assembled else "",
        verify_hint=f"pixmill output verify {source.job.id}" if assembled else "",
        warnings=[*warnings, *(assembled.get("warnings") or [])],
        restoration=_measured(assembled, images),
        restores=source.job.kind == "restore",
    )


def _animations(source: JobSource, assembled: dict[str, Any]) -> list[CaptionedImage]:
    """The first of them, where they are on this host."""
    folder = source.layout.output_folder(source.job.id)
    count = min(assembled.get("animations") or 0, SHOWN_ANIMATIONS)
    paths = {number: folder / f"{animation_stem(number)}.webp" for number in range(count)}
    is_walk = source.job.spec.get("given") is None
    classes = (source.job.spec.get("classes") or list(assembled.get("class_counts") or {})) if is_walk else ()
    return [
        CaptionedImage(caption=_animation_caption(number, classes), image=path)
        for number, path in paths.items()
        if path.is_file()
    ]


def _animation_caption(number: int, classes: Sequence[str]) -> str:
    """Walks keep to a class, in turn."""
    return f"Animation {number}" + (f", class {classes[number % len(classes)]}" if classes else "")


def _manifest_rows(source: JobSource, shards: Sequence[Shard]) -> tuple[list[dict[str, object]], list[str]]:
    """The first rows of the first table, and what hinders reading them."""
    if not shards:
        return [], []
    try:
        with source.place_of(shards[0]) as place:
            rows = read_rows(place, shards[0].number)[:MANIFEST_ROWS]
    except PixmillError as error:
        return [], [f"the first table cannot be read: {error.message}"]
    return [_shown_row(row) for row in rows], []


def _shown_row(row: ShardRow) -> dict[str, object]:
    extra = row.edit or row.choice
    done = asdict(extra) if extra is not None else {}
    return {**{name: getattr(row, name) for name in COLUMNS}, **done, "sha256": row.sha256.hex()[:16] + "…"}


def _measured(assembled: dict[str, Any], images: int) -> FidelityTable | None:
    """How near the images of a restore job came to the true ones, if those are known."""
    found = assembled.get("fidelity")
    return FidelityTable(lines=lines_of(found), note=f"Means over {images:,} images.") if found else None


def _shard_size(spec: Spec) -> int:
    assert isinstance(spec, GenerateSpec | AnimateSpec | EditSpec | RestoreSpec)
    return spec.shard_size


def _sheet_caption(spec: Spec) -> str:
    """What a row of the contact sheet shows, where it is not just as many images as fit."""
    if isinstance(spec, AnimateSpec):
        given = f", the first {spec.given} of them given" if spec.given else ""
        return f"Frame by frame: a row is an animation{given}." if spec.frames_each <= WIDEST_SHEET else ""
    if not isinstance(spec, EditSpec):
        return ""
    made = {
        "attribute": f"moved towards {spec.attribute} by {_listed(spec.strengths)}",
        "interpolate": "the way from the first image to the last",
        "class": f"decoded as {_listed(spec.classes)}",
        "optimise": "the image whose style it takes, and what it becomes",
    }
    return f"Before and after: a row is an image, and {made[spec.way]}."


def _listed(values: Sequence[object] | None) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values or ())
