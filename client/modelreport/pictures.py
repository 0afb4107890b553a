"""Pictures of the versions of a model that compare: of the same noise, or of the same images."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.modelreport.line import ModelLine
from imagemodels.presets import PRESETS
from imagemodels.traits import Shown
from pages.trainhistory import last_grid
from reports.modelline import PictureRow, VersionPicture
from reports.numbers import count_text

if TYPE_CHECKING:
    from db.modellines import Verdict
    from db.tables.models import ModelVersion

_SIDES = {"model": "challenger_sheet", "against": "champion_sheet"}  # whose picture a gate job has left
_TOLD: Mapping[Shown, str] = {
    "generated": "each is drawn from the same noise",
    "decoded": "each is of the same images, in turn with what is left of them",
    "predicted": "each is of the same sequences, and below them what is predicted",
    "restored": "each is of the same damaged images, with what is made of them and the true ones",
}


def picture_rows(line: ModelLine) -> list[PictureRow]:
    """What gates have drawn, and how each training ended; neither where less than one picture is on this host."""
    return [row for row in (_gate_row(line), _training_row(line)) if row is not None]


def no_pictures(line: ModelLine) -> str:
    """The sentence that stands where there are none."""
    if line.versions and _shown(line.versions[0]) is None:
        return f"A {line.versions[0].preset} draws no pictures."
    return "No picture of a version is on this host."


def _gate_row(line: ModelLine) -> PictureRow | None:
    """The sheets of the newest gate, and of all that drew the same numbers of the same seed."""
    drawn = [(one, number, path) for one in line.verdicts for number, path in _sheets(line, one)]
    if not drawn:
        return None
    wanted = _noise(drawn[-1][0])
    found = {number: path for one, number, path in drawn if _noise(one) == wanted}
    others = sorted({number for _one, number, _path in drawn} - set(found))
    seed, columns = wanted[:2]
    classes = f" A column for each class: {', '.join(columns)}." if columns else ""
    return PictureRow(
        title="The versions at the gate",
        told=f"The first images of seed {seed}: what stands at one place is of one number, and compares.{classes}",
        pictures=[_picture(line, number, found[number]) for number in sorted(found)],
        left_out=_left_out(others, "were drawn with another seed, or other classes"),
    )


def _sheets(line: ModelLine, verdict: "Verdict") -> list[tuple[int, Path]]:
    """Version and picture of each side that is of this line."""
    result = verdict.result
    found = []
    for side, sheet in _SIDES.items():
        name, _at, number = str(result.get(side) or "").partition("@")
        path = line.files.find(result.get(sheet))
        if name == line.model.name and number and path is not None:
            found.append((int(number), path))
    return found


def _noise(verdict: "Verdict") -> tuple[int, tuple[str, ...]]:
    """What two sheets have in common that compare: the seed, and what the columns show."""
    return verdict.result["seeds"][0], tuple(verdict.result.get("sheet_columns") or ())


def _training_row(line: ModelLine) -> PictureRow | None:
    """The last grid of each training that began like that of the newest version which has one."""
    grids = [(version, grid) for version in line.versions if (grid := _last_grid(line, version)) is not None]
    if not grids:
        return None
    newest = grids[0][0]
    shown = _shown(newest)
    alike = [pair for pair in grids if _beginning(line, pair[0]) == _beginning(line, newest)]
    others = sorted({version.version for version, _ in grids} - {version.version for version, _ in alike})
    return PictureRow(
        title="How each training ended",
        told=f"The last picture that each training left: {_TOLD[shown or 'generated']}.",
        pictures=[_picture(line, version.version, grid) for version, grid in reversed(alike)],
        left_out=_left_out(others, "had another seed, other options or other data"),
    )


def _last_grid(line: ModelLine, version: "ModelVersion") -> Path | None:
    from db.views import job_attempts

    folders = [attempt.folder for attempt, _task, _worker in job_attempts(line.session, version.job_id)]
    return last_grid(line.files.folders(folders))


def _beginning(line: ModelLine, version: "ModelVersion") -> str:
    """What the noise of a training's pictures follows from; of models that are given images, the data, too."""
    from db.finding import get_job

    spec: Mapping[str, Any] = get_job(line.session, version.job_id).spec
    data = "" if _shown(version) == "generated" else version.dataset.fingerprint
    same = (version.preset, version.image_size, version.channels, list(version.classes), data)
    return json.dumps([*same, spec.get("seed"), spec.get("options")], sort_keys=True)


def _shown(version: "ModelVersion") -> Shown | None:
    preset = PRESETS.get(version.preset)
    return preset.traits.shown if preset else None


def _picture(line: ModelLine, number: int, path: Path) -> VersionPicture:
    version = next((one for one in line.versions if one.version == number), None)
    words = [f"{count_text(version.images_seen)} images"] if version else []
    if number == line.champion:
        words.append("champion")
    elif number in line.reigns:
        words.append("was champion")
    return VersionPicture(version=number, image=path, note=", ".join(words))


def _left_out(numbers: Sequence[int], why: str) -> str:
    if not numbers:
        return ""
    return f"Left out, since they {why}: {', '.join(f'@{number}' for number in numbers)}."
