"""One version of a model: told as facts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from imagemodels.presets import PRESETS
from pixmill.lineage import DATA, PARENT

if TYPE_CHECKING:
    from db.tables.models import ModelEvent, ModelVersion

# What the lineage of every version should have; versions of an older pixmill lack some.
LINEAGE: Mapping[str, str] = {
    "spec_digest": "spec digest",
    "pixmill": "pixmill",
    "code_sha256": "code",
    "torch": "torch",
    "seed": "seed",
    "device": "device",
    "device_model": "device model",
    "devices": "devices",
    "precision": "precision",
    "weights_sha256": "weights",
}


def product(version: "ModelVersion") -> str:
    """What it is, such as a generator."""
    preset = PRESETS.get(version.preset)
    return preset.traits.product if preset else version.preset


def event_json(event: "ModelEvent") -> dict[str, Any]:
    """An event of a model for machines."""
    names = ("number", "at", "actor", "action", "alias", "from_version", "to_version", "reason", "evidence")
    return {name: getattr(event, name) for name in names}


def model_facts(version: "ModelVersion") -> dict[str, object]:
    """What is to be known of a version, by what it is called."""
    facts: dict[str, object] = {
        "model": version.reference,
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
    return facts | lineage_facts(version)


def lineage_facts(version: "ModelVersion") -> dict[str, object]:
    """What the version was made from, and where."""
    lineage = version.lineage
    known = {title: lineage.get(key, "not recorded") for key, title in LINEAGE.items()}
    more = {key.replace("_", " "): value for key, value in lineage.items() if key not in {*LINEAGE, PARENT, DATA}}
    return {**known, "started from": lineage.get(PARENT) or "the seed, no other model", **more, **_data_facts(lineage)}


def _data_facts(lineage: Mapping[str, Any]) -> dict[str, object]:
    """The levels of the data, by which later ones are compared with them."""
    summary = lineage.get(DATA, {}).get("summary")
    if summary is None:
        return {}
    levels = zip(summary["mean"], summary["deviation"], strict=True)
    told = ", ".join(f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in levels)
    return {"data levels": f"{told} of {summary['sampled']:,} images, black 0, white 1"}
