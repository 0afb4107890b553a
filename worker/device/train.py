"""A train task: one model on one data set, resumed exactly where an earlier attempt was stopped."""

import logging
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from imagemodels.card import Metadata
from imagemodels.classifier import Classifier
from imagemodels.data import ImageDataset, SequenceDataset
from imagemodels.errors import NonFiniteLoss
from imagemodels.evaluation.features import FeatureNet, feature_net
from imagemodels.evaluation.judge import write_seen
from imagemodels.evaluation.quality import quality_metric
from imagemodels.model import Model
from imagemodels.prediction import Predictor
from imagemodels.restoration import Restorer
from imagemodels.sampling import Generator
from imagemodels.training.events import Collapse, Event, Progress, Quality, Samples
from imagemodels.training.restoration_trainer import RestorationTrainer
from imagemodels.training.run import Run
from pixmill import __version__
from pixmill.specs import TrainSpec
from storage.faults import named_faults
from storage.pictures import contact_sheet, save_png
from worker.device.checkpoints import Checkpoints
from worker.device.desk import Desk, StopRequested
from worker.device.exporting import export_model
from worker.device.heldout import judge_held_out
from worker.device.lessons import (
    Data,
    images_of,
    judge_restored,
    judge_sequences,
    new_trainer,
    read_data,
    save_real_grid,
    train_config,
)
from worker.device.lines import LineFile
from worker.device.warm import WarmModels

log = logging.getLogger("job")

QUALITY_IMAGES = 1000
MOST_ROLLBACKS = 1  # of a run that diverges


def run_train(desk: Desk, warm: WarmModels) -> dict[str, Any]:
    """Train, publish checkpoints on the way, and export the best weights; gives what the model's row needs."""
    spec = TrainSpec.model_validate(desk.assignment.spec)
    data = read_data(desk, spec)
    warm.prepare(data.image_size)
    with closing(_Run(desk, spec, data, warm)) as run:
        run.resume()
        run.train()
        return run.export()


class _Run:
    """One attempt at training."""

    def __init__(self, desk: Desk, spec: TrainSpec, data: Data, warm: WarmModels) -> None:
        self._desk, self._spec, self._data, self._warm = desk, spec, data, warm
        self._config = train_config(spec, data)
        self._features = self._feature_net(data) if self._config.model.traits.makes_images else None
        self._measure = self._quality_metric()
        self._trainer = self._new_trainer()
        self._checkpoints = Checkpoints(desk)
        self._losses = LineFile(desk.folder / "losses.jsonl")
        self._quality = LineFile(desk.folder / "quality.jsonl")
        self._collapses = LineFile(desk.folder / "collapses.jsonl")

    def close(self) -> None:
        """Close the files."""
        for file in (self._losses, self._quality, self._collapses):
            file.close()

    def _feature_net(self, data: Data) -> FeatureNet:
        assert isinstance(data, ImageDataset)  # the submit has refused an image generator on sequences
        self._desk.measuring("preparing the feature net", 0.0)
        net = feature_net(data, self._desk.layout.features, self._warm.runtime("fp32"))
        log.info("quality is the kernel distance on features of %s", net.name)
        return net

    def _quality_metric(self) -> Callable[[Generator], float] | None:
        if self._features is None:
            return None
        return quality_metric(images_of(self._data), self._features, count=self._quality_images, seed=self._spec.seed)

    @property
    def _quality_images(self) -> int:
        return min(QUALITY_IMAGES, max(2, len(images_of(self._data).train_indices)))

    def _new_trainer(self) -> Run:
        runtime = self._warm.runtime(self._spec.precision)
        return new_trainer(self._config, self._data, runtime, self._measure, self._warm.ranks)

    def resume(self) -> None:
        """Go on from the newest checkpoint whose bytes are as they were written; from the start if there is none."""
        path = self._load_newest() if self._desk.assignment.checkpoints else None
        self._desk.journal.add("resumed", path=path, images_seen=self._trainer.images_seen)
        if path is not None:
            log.info("going on from %s, %d images seen", path, self._trainer.images_seen)
            return
        if self._desk.assignment.checkpoints:
            log.warning("no checkpoint can be used: training begins again")
        save_real_grid(self._desk, self._config, self._data)

    def _load_newest(self) -> str | None:
        """The path of the state that the trainer now has; None: it stands at the start."""
        stored = self._checkpoints.load_newest(self._trainer)
        if stored is None:
            self._trainer = self._new_trainer()  # the old one may be half filled, or worthless
        return stored.path if stored is not None else None

    def train(self) -> None:
        """Spend the budget, or save a checkpoint and raise StopRequested when asked to stop.

        A run that diverges goes back to its last checkpoint once; raises NonFiniteLoss when it does so again.
        """
        while True:
            try:
                return self._spend_budget()
            except NonFiniteLoss as error:
                if self._trainer.divergences >= MOST_ROLLBACKS:
                    raise
                log.warning("training diverged: %s", error)
                self._go_back()

    def _spend_budget(self) -> None:
        self._report("training", self._trainer.images_seen)
        for event in self._trainer.run():
            self._note(event)
            if self._desk.should_stop:
                self._checkpoints.save(self._trainer)
                raise StopRequested
            if self._checkpoints.is_due:
                self._checkpoints.save(self._trainer)

    def _go_back(self) -> None:
        """Return to the last sound state, and leave the path that led from there into the divergence.

        The state that is saved at once remembers that this was done, so that no attempt does it twice.
        """
        path = self._load_newest()
        self._trainer.divert()
        seen = self._trainer.images_seen
        self._desk.journal.add("rollback", path=path, images_seen=seen, rollbacks=self._trainer.divergences)
        log.warning("going back to %s, %d images seen, with half the learning rate", path or "the start", seen)
        self._go_on_from(seen)

    def _go_on_from(self, seen: int) -> None:
        """Strike out what was noted on the abandoned way, and save the state that remembers the way back."""
        self._report("going back", seen)  # a phase of its own, so that it is heard of at once
        for file in (self._losses, self._quality):
            file.keep(lambda line: line["images"] <= seen)
        for grid in self._desk.folder.glob("samples-*.png"):
            if int(grid.stem.removeprefix("samples-")) > seen:
                grid.unlink()
        self._checkpoints.save(self._trainer)

    def _report(self, phase: str, images_seen: int, **facts: Any) -> None:
        trainer = self._trainer
        used = {"micro_batch": trainer.micro_batch, **self._rollbacks()}
        self._desk.progress(phase, images_seen, trainer.total_images, **facts, **used)

    def _note(self, event: Event) -> None:
        match event:
            case Progress():
                losses = {name: float(value) for name, value in event.losses.items()}
                line = {"images": event.images_seen, "losses": losses, "rate": event.images_per_second}
                self._losses.add(line)
                self._report("training", event.images_seen, losses=losses, rate=event.images_per_second)
            case Samples():
                path = self._desk.folder / f"samples-{event.images_seen:09d}.png"
                save_png(path, contact_sheet(event.images, columns=event.columns))
            case Quality():
                self._quality.add({"images": event.images_seen, "value": event.value, "best": event.best})
                log.info("quality %.5f at %d images%s", event.value, event.images_seen, ", best" if event.best else "")
                if event.best:  # a run that goes bad later has not been for nothing, and can go on from here
                    self._checkpoints.save(self._trainer, best_value=event.value)
            case Collapse():
                self._note_collapse(event)

    def _note_collapse(self, event: Collapse) -> None:
        """Tell that the quality has collapsed; the trainer has gone back already, where it was to."""
        end = "going back there, with half the learning rate" if event.goes_on else "training ends here"
        best = f"the best, {event.best_value:.5f} at {event.best_images_seen} images"
        log.warning("quality %.5f at %d images, twice as bad as %s: %s", event.value, event.images_seen, best, end)
        self._desk.journal.add("collapse", **asdict(event))
        self._collapses.add(asdict(event))
        if event.goes_on:
            self._go_on_from(event.best_images_seen)

    def _seen(self, folder: Path, model: Model) -> dict[str, Any]:
        """What the card of a classifier says of the images it learnt from: it may come to judge others."""
        if isinstance(model, Classifier) and isinstance(self._data, ImageDataset):
            with named_faults(folder):
                return write_seen(folder, self._data)
        return {}

    def _metadata(self, images_seen: int, settings: dict[str, Any]) -> Metadata:
        return Metadata(
            preset=self._spec.model,
            images_seen=images_seen,
            seed=self._spec.seed,
            dataset=self._data.name,
            dataset_fingerprint=self._data.fingerprint,
            class_names=self._class_names,
            settings=settings,
        )

    @property
    def _class_names(self) -> tuple[str, ...]:
        return images_of(self._data).class_names if self._config.num_classes else ()

    def export(self) -> dict[str, Any]:
        """Write the best weights as the job's model; gives its row."""
        self._desk.progress("exporting", self._trainer.images_seen, self._trainer.total_images)
        best = self._trainer.best
        model = self._trainer.model("best" if best else "last")
        folder = self._desk.folder / "model"
        seen = self._seen(folder, model)
        images_seen = best.images_seen if best else self._trainer.images_seen
        weights_sha256 = export_model(folder, model, self._metadata(images_seen, seen))
        judged = self._judged(model)
        metric = None
        if best is not None:
            metric = {"name": self._metric_name, "value": best.value}
        return {
            "folder": self._desk.layout.relative(folder),
            "digest": model.digest,
            "preset": self._spec.model,
            "image_size": self._data.image_size,
            "channels": self._data.channels,
            "classes": list(self._class_names),
            "images_seen": self._trainer.images_seen,
            "best_images_seen": best.images_seen if best else None,
            "metric": metric,
            **judged,
            **self._memory_and_rollbacks(),
            "dataset": {"name": self._data.name, "description": self._data.describe()},
            "lineage": {
                "pixmill": __version__,
                "torch": torch.__version__,
                "device": self._warm.device,
                "precision": self._trainer.runtime.resolved_precision,
                "seed": self._spec.seed,
                "code_sha256": self._warm.code_sha256,
                "weights_sha256": weights_sha256,
                **self._instrument(judged),
                **({"encoder": True} if isinstance(model, Generator) and model.has_encoder else {}),
                **self._memory_and_rollbacks(),
            },
        }

    def _instrument(self, judged: Mapping[str, Any]) -> dict[str, Any]:
        """By how many images, and which feature net, the model's own metric was measured."""
        if self._features is not None:
            return {
                "metric_images": self._quality_images,
                "feature_net": self._features.name,
                "feature_net_digest": self._features.digest,
            }
        return {"metric_images": judged["measured"]["images"]} if "measured" in judged else {}

    def _judged(self, model: Model) -> dict[str, Any]:
        """What a model that makes no images was measured by, and where the figures lie."""
        if isinstance(model, Restorer) and isinstance(self._trainer, RestorationTrainer):
            return judge_restored(self._desk, self._trainer, model)
        if isinstance(model, Predictor) and isinstance(self._data, SequenceDataset):
            return judge_sequences(self._desk, self._config, model, self._data)
        if isinstance(model, Classifier) and isinstance(self._data, ImageDataset):
            return judge_held_out(self._desk, model, self._data)
        return {}

    def _memory_and_rollbacks(self) -> dict[str, int]:
        """What of the machine and of the run's fortunes has an influence on the weights."""
        return {
            "batch_size": self._config.effective_batch_size,
            "micro_batch": self._trainer.micro_batch,
            "devices": self._config.devices,
            **self._rollbacks(),
        }

    def _rollbacks(self) -> dict[str, int]:
        return {"nan_rollbacks": self._trainer.divergences, "collapse_rollbacks": self._trainer.guard.rollbacks}

    @property
    def _metric_name(self) -> str:
        metric = self._config.model.traits.metric
        return f"{metric}@{self._features.name}" if self._features is not None else metric
