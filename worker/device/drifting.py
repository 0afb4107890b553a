"""The data of a train task beside those of the version before: what has changed, and whether that can be right."""

import logging
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any

from imagemodels.errors import CorruptCheckpoint
from imagemodels.evaluation.datatraces import DataSummary, DataTraces, sampled_rows, summarised
from imagemodels.evaluation.drift import Distance, Drift, KnownData, compared, distance
from imagemodels.evaluation.driftlimits import Limits, sentence, violations
from imagemodels.evaluation.features import FeatureNet, kept_feature_net
from imagemodels.runtime import Runtime
from pixmill.errors import CorruptFile, DataRefused
from pixmill.lineage import DATA
from pixmill.specs import TrainSpec
from pixmill.states import NO_NEW_DATA
from storage.checkpoints import open_verified, save_checkpoint
from worker.assignment import DataInput
from worker.device.desk import Desk
from worker.device.lessons import Data, images_of

log = logging.getLogger("job")

DRIFT_FILE = "drift.json"
TRACES_FILE = "data.npz"


@dataclass(frozen=True)
class Examined:
    """The data of a task, and how they differ from those before them; `drift` is None where there are none."""

    desk: Desk
    data: Data
    drift: Drift | None

    @cached_property
    def found(self) -> tuple[DataSummary, DataTraces]:
        """What is to be kept of them."""
        # Of millions of images it takes longer than a silent process is waited for.
        return summarised(images_of(self.data), partial(self.desk.measuring, "looking at the data"))

    @property
    def is_unchanged(self) -> bool:
        """Whether they are the very data that the version before was trained on."""
        return self.drift is not None and self.drift.is_same

    @property
    def told(self) -> dict[str, Any]:
        """What the result of the task says of it."""
        return {} if self.drift is None else {"drift": self.drift.to_json(), "drift_told": sentence(self.drift)}

    def skipped(self) -> dict[str, Any]:
        """The result of a task that has nothing to do."""
        assert self.drift is not None
        detail = f"data set {self.data.name} is what {self.drift.against} was trained on: nothing was trained"
        log.info("%s: %s", NO_NEW_DATA, detail)
        return {"skipped": {"reason": NO_NEW_DATA, "detail": detail}, **self.told}

    def kept(self, net: FeatureNet | None) -> dict[str, Any]:
        """Write what is too large for a row; gives what the lineage of the version says of the data."""
        summary, traces = self.found
        if net is not None:
            traces = traces.with_features(_features(net, self.data), net.digest)
        saved = save_checkpoint(self.desk.layout, self.desk.folder, TRACES_FILE, traces.write)
        return {DATA: {"summary": summary.to_json(), "traces": asdict(saved)}}


def examine(desk: Desk, spec: TrainSpec, data: Data, runtime: Runtime) -> Examined:
    """Compare the data with those of the version before, if there is one.

    Raises DataRefused where they break a limit, unless that is accepted.
    """
    now = KnownData(data.name, data.describe()["fingerprint"], images_of(data).describe())
    before = desk.assignment.before
    examined = Examined(desk, data, None)
    if before is not None:
        desk.measuring("comparing the data", 0.0)
        examined = Examined(desk, data, _drift(desk, before, now, examined, runtime))
    broken = list(violations(now, examined.drift, _limits(spec)))
    if examined.drift is not None:
        desk.write_json(DRIFT_FILE, {**examined.drift.to_json(), "broken": broken, "accepted": bool(spec.accept_drift)})
        log.info("%s", sentence(examined.drift))
    if broken and not spec.accept_drift:
        against = f" (compared with those of {before.reference})" if before is not None else ""
        raise DataRefused(
            f"data set {data.name} is refused{against}: {'; '.join(broken)}; if that is right, submit it again with "
            "--accept-drift"
        )
    for one in broken:
        log.warning("accepted as asked: %s", one)
    return examined


def _limits(spec: TrainSpec) -> Limits:
    names = ("min_images", "max_shrink", "max_class_shift", "max_unreadable")
    return Limits(**{name: value for name in names if (value := getattr(spec, name)) is not None})


def _drift(desk: Desk, before: DataInput, now: KnownData, examined: Examined, runtime: Runtime) -> Drift:
    description = before.description.get("objects") or before.description
    if before.fingerprint == now.fingerprint:
        return compared(KnownData(before.name, before.fingerprint, description), now, before.reference)
    traces = _traces(desk, before)
    summary = DataSummary.from_json(before.summary) if before.summary else None
    known = KnownData(before.name, before.fingerprint, description, summary, traces)
    own_summary, own_traces = examined.found
    found = KnownData(now.name, now.fingerprint, now.description, own_summary, own_traces)
    return compared(known, found, before.reference, _feature_distance(desk, known, examined.data, runtime))


def _traces(desk: Desk, before: DataInput) -> DataTraces | None:
    """What was kept of the data before; without it, numbers alone are compared."""
    if before.traces is None:
        return None
    try:
        with open_verified(desk.layout.resolve(before.traces.path), before.traces.sha256) as file:
            return DataTraces.read(file)
    except (CorruptFile, CorruptCheckpoint) as error:
        log.warning("the images before cannot be compared one by one: %s", error)
        return None


def _feature_distance(desk: Desk, before: KnownData, data: Data, runtime: Runtime) -> Distance | None:
    """The distance on features of the net that belongs to the data before, where it and its figures are still there."""
    traces, images = before.traces, images_of(data)
    if traces is None or traces.features is None:
        return None
    if (traces.image_size, traces.channels) != (images.image_size, images.channels):
        return None
    try:
        net = kept_feature_net(before.fingerprint, desk.layout.features, runtime)
    except CorruptCheckpoint as error:
        log.warning("no distance on features: %s", error)
        return None
    if net is None or net.digest != traces.net:
        return None
    now = traces.with_features(_features(net, data), net.digest)
    return distance(traces.features, now.features, net.name)


def _features(net: FeatureNet, data: Data) -> Any:
    images = images_of(data)
    return net.features(images.images[sampled_rows(images)])
