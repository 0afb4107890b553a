"""One version of a model: found by what a person calls it, and told as facts."""

from typing import TYPE_CHECKING

from imagemodels.presets import PRESETS
from pixmill.errors import Conflict

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from db.tables import ModelVersion


def find_version(session: "Session", name: str) -> "ModelVersion":
    """The version of that name.  Raises NotFound, UserError, or Conflict while it is being trained."""
    from db.registry import resolve_model
    from db.tables import ModelVersion

    found = resolve_model(session, name)
    if not isinstance(found, ModelVersion):
        raise Conflict(f"train job {found.id} has no model yet", hint=f"pixmill wait {found.id}")
    return found


def version_name(version: "ModelVersion") -> str:
    """`NAME@VERSION`."""
    return f"{version.model.name}@{version.version}"


def product(version: "ModelVersion") -> str:
    """What it is, such as a generator."""
    preset = PRESETS.get(version.preset)
    return preset.traits.product if preset else version.preset


def model_facts(version: "ModelVersion") -> dict[str, object]:
    """What is to be known of a version, by what it is called."""
    facts: dict[str, object] = {
        "model": version_name(version),
        "preset": version.preset,
        "trained by": f"job {version.job_id}",
        "data set": version.dataset.name,
        "data fingerprint": version.dataset.fingerprint,
        "image": f"{version.image_size} × {version.image_size}, {'gray' if version.channels == 1 else 'RGB'}",
        "classes": ", ".join(map(str, version.classes)) or "none",
        "images seen": version.images_seen,
        "digest": version.digest,
    }
    if version.metric_name is not None and version.metric_value is not None:
        facts[version.metric_name] = version.metric_value
    return facts | {name.replace("_", " "): value for name, value in version.lineage.items()}
