"""From the files of all attempts of a train job to the section of its report that shows them."""

from client.jobreport.heldout import class_accuracies, read_confusion
from client.jobreport.restoration import fidelity_table
from client.jobreport.source import JobSource
from client.jobreport.steps import step_tables
from client.modelfacts import model_facts
from imagemodels.presets import PRESETS
from imagemodels.traits import Shown
from pages.driftfacts import drift_fields, read_drift
from pages.trainhistory import read_history
from reports.data import TrainSection


def train_section(source: JobSource) -> TrainSection:
    """Curves, sample grids, and the figures of held-out images or frames.  Raises CorruptFile."""
    version = source.trained_version()
    history = read_history(source.folders, version.metric_name if version else None)
    result = source.result("train")
    held_out, frames, restored = (
        source.existing(result.get(name)) for name in ("held_out", "sequences", "restoration")
    )
    confusion = read_confusion(held_out) if held_out else None
    return TrainSection(
        losses=history.losses,
        quality=history.quality,
        grids=history.grids,
        grids_show=_grids_show(str(source.job.spec["model"])),
        reals=history.reals,
        model=model_facts(version) if version else {},
        images_seen=version.images_seen if version else history.images_seen,
        images_per_second=source.line.progress.get("rate") or history.images_per_second,
        warnings=history.warnings,
        confusion=confusion,
        per_class_accuracy=class_accuracies(confusion) if confusion else {},
        **(step_tables(frames) if frames else {}),
        restoration=fidelity_table(restored) if restored else None,
        drift=_drift(source),
    )


def _drift(source: JobSource) -> dict[str, str]:
    """How the data differ from those before them; also of a job that was refused its data, or still runs."""
    found = read_drift(source.folders) or source.result("train").get("drift")
    return drift_fields(found) if found else {}


def _grids_show(preset: str) -> Shown:
    return (PRESETS[preset].traits.shown if preset in PRESETS else None) or "generated"
