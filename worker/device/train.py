"""A train task: one model on one data set, resumed exactly where an earlier attempt was stopped."""

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from typing import Any

from imagemodels.data import ImageDataset
from imagemodels.errors import NonFiniteLoss
from imagemodels.evaluation.features import FeatureNet, feature_net
from imagemodels.evaluation.quality import quality_metric
from imagemodels.sampling import Generator
from imagemodels.training.events import Collapse, Event, Progress, Quality, Samples
from imagemodels.training.run import Run
from pixmill.specs import TrainSpec
from storage.pictures import contact_sheet, save_png
from worker.device.beginning import begin, require_fit
from worker.device.checkpoints import Checkpoints
from worker.device.desk import Desk, StopRequested
from worker.device.drifting import Examined, examine
from worker.device.lessons import (
    Data,
    class_names,
    images_of,
    new_trainer,
    read_data,
    save_real_grid,
    train_config,
)
from worker.device.lines import LineFile
from worker.device.trained import Trained, metric_images, rollbacks
from worker.device.warm import WarmModels

log = logging.getLogger("job")

MOST_ROLLBACKS = 1  # of a run that diverges


def run_train(desk: Desk, warm: WarmModels) -> dict[str, Any]:
    """Train, publish checkpoints on the way, and export the best weights; gives what the model's row needs.

    Data that have not changed, where that is to be told, are not trained on. Raises DataRefused for those that have
    changed too much.
    """
    spec = TrainSpec.model_validate(desk.assignment.spec)
    data = read_data(desk, spec)
    warm.prepare(data.image_size)
    examined = examine(desk, spec, data, warm.runtime("fp32"))
    if spec.skip_unchanged and examined.is_unchanged:
        return examined.skipped()
    with closing(_Run(desk, spec, data, warm, examined)) as run:
        run.resume()
        run.train()
        return run.export()


class _Run:
    """One attempt at training."""

    def __init__(self, desk: Desk, spec: TrainSpec, data: Data, warm: WarmModels, examined: Examined) -> None:
        self._desk, self._spec, self._data, self._warm, self._examined = desk, spec, data, warm, examined
        self._config = train_config(spec, data, desk.assignment.start)
        require_fit(desk.assignment.start, self._config, class_names(self._config, data))
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
        count = metric_images(self._data)
        return quality_metric(images_of(self._data), self._features, count=count, seed=self._spec.seed)

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
        begin(self._desk, self._config, self._trainer)
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
        if self._trainer.best is None:  # what is published is the state as it is now: others may begin with it
            self._checkpoints.save(self._trainer)

    def _go_back(self) -> None:
        """Return to the last sound state, and leave the path that led from there into the divergence.

        The state that is saved at once remembers that this was done, so that no attempt does it twice.
        """
        path = self._load_newest()
        if path is None:
            begin(self._desk, self._config, self._trainer)
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
        used = {"micro_batch": trainer.micro_batch, **rollbacks(trainer)}
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

    def export(self) -> dict[str, Any]:
        """Write the best weights as the job's model; gives its row."""
        return Trained(
            desk=self._desk,
            warm=self._warm,
            spec=self._spec,
            data=self._data,
            config=self._config,
            run=self._trainer,
            features=self._features,
            examined=self._examined,
        ).export()
