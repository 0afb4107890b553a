"""A trained model as it is published: its files, what was measured, and where it comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from imagemodels.card import Metadata
from imagemodels.classifier import Classifier
from imagemodels.data import ImageDataset, SequenceDataset
from imagemodels.evaluation.features import FeatureNet
from imagemodels.evaluation.judge import write_seen
from imagemodels.model import Model
from imagemodels.prediction import Predictor
from imagemodels.restoration import Restorer
from imagemodels.sampling import Generator
from imagemodels.training.config import TrainConfig
from imagemodels.training.restoration_trainer import RestorationTrainer
from imagemodels.training.run import Run
from pixmill import __version__
from pixmill.specs import TrainSpec
from storage.faults import named_faults
from worker.device.beginning import parent_lineage
from worker.device.desk import Desk
from worker.device.drifting import Examined
from worker.device.exporting import export_model
from worker.device.heldout import judge_held_out
from worker.device.lessons import Data, class_names, images_of, judge_restored, judge_sequences
from worker.device.warm import WarmModels

QUALITY_IMAGES = 1000


def metric_images(data: Data) -> int:
    """By how many images the quality of a generator is measured."""
    return min(QUALITY_IMAGES, max(2, len(images_of(data).train_indices)))


def rollbacks(run: Run) -> dict[str, int]:
    """How often a run went back, by reason."""
    return {"nan_rollbacks": run.divergences, "collapse_rollbacks": run.guard.rollbacks}


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A run that has ended, and all that is to be told of it."""

    desk: Desk
    warm: WarmModels
    spec: TrainSpec
    data: Data
    config: TrainConfig
    run: Run
    features: FeatureNet | None
    examined: Examined

    def export(self) -> dict[str, Any]:
        """Write the best weights as the job's model; gives its row."""
        self.desk.progress("exporting", self.run.images_seen, self.run.total_images)
        best = self.run.best
        model = self.run.model("best" if best else "last")
        folder = self.desk.folder / "model"
        seen = self._seen(folder, model)
        images_seen = best.images_seen if best else self.run.images_seen
        weights_sha256 = export_model(folder, model, self._metadata(images_seen, seen))
        judged = self._judged(model)
        metric = None
        if best is not None:
            metric = {"name": self._metric_name, "value": best.value}
        return {
            "folder": self.desk.layout.relative(folder),
            "digest": model.digest,
            "preset": self.spec.model,
            "image_size": self.data.image_size,
            "channels": self.data.channels,
            "classes": list(class_names(self.config, self.data)),
            "images_seen": self.run.images_seen,
            "best_images_seen": best.images_seen if best else None,
            "metric": metric,
            **judged,
            **self._memory_and_rollbacks(),
            "dataset": {"name": self.data.name, "description": self.data.describe()},
            **self.examined.told,
            "lineage": {
                "pixmill": __version__,
                "torch": torch.__version__,
                "device": self.warm.device,
                "precision": self.run.runtime.resolved_precision,
                "seed": self.spec.seed,
                "code_sha256": self.warm.code_sha256,
                "weights_sha256": weights_sha256,
                **self._instrument(judged),
                **({"encoder": True} if isinstance(model, Generator) and model.has_encoder else {}),
                **self._memory_and_rollbacks(),
                **parent_lineage(self.desk),
                **self.examined.kept(self.features),
            },
        }

    def _seen(self, folder: Path, model: Model) -> dict[str, Any]:
        """What the card of a classifier says of the images it learnt from: it may come to judge others."""
        if isinstance(model, Classifier) and isinstance(self.data, ImageDataset):
            with named_faults(folder):
                return write_seen(folder, self.data)
        return {}

    def _metadata(self, images_seen: int, settings: dict[str, Any]) -> Metadata:
        return Metadata(
            preset=self.spec.model,
            images_seen=images_seen,
            seed=self.spec.seed,
            dataset=self.data.name,
            dataset_fingerprint=self.data.fingerprint,
            class_names=class_names(self.config, self.data),
            settings=settings,
        )

    def _instrument(self, judged: Mapping[str, Any]) -> dict[str, Any]:
        """By how many images, and which feature net, the model's own metric was measured."""
        if self.features is not None:
            return {
                "metric_images": metric_images(self.data),
                "feature_net": self.features.name,
                "feature_net_digest": self.features.digest,
            }
        return {"metric_images": judged["measured"]["images"]} if "measured" in judged else {}

    def _judged(self, model: Model) -> dict[str, Any]:
        """What a model that makes no images was measured by, and where the figures lie."""
        if isinstance(model, Restorer) and isinstance(self.run, RestorationTrainer):
            return judge_restored(self.desk, self.run, model)
        if isinstance(model, Predictor) and isinstance(self.data, SequenceDataset):
            return judge_sequences(self.desk, self.config, model, self.data)
        if isinstance(model, Classifier) and isinstance(self.data, ImageDataset):
            return judge_held_out(self.desk, model, self.data)
        return {}

    def _memory_and_rollbacks(self) -> dict[str, int]:
        """What of the machine and of the run's fortunes has an influence on the weights."""
        return {
            "batch_size": self.config.effective_batch_size,
            "micro_batch": self.run.micro_batch,
            "devices": self.config.devices,
            **rollbacks(self.run),
        }

    @property
    def _metric_name(self) -> str:
        metric = self.config.model.traits.metric
        return f"{metric}@{self.features.name}" if self.features is not None else metric
