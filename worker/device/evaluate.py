"""An evaluate task: the images as they were written, against real ones, with every control."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imagemodels.data import ImageDataset
from imagemodels.evaluation.inception import InceptionNet, load_inception
from imagemodels.evaluation.protocol import evaluate
from imagemodels.evaluation.report import EvaluationReport
from imagemodels.runtime import Runtime
from pixmill.specs import EvaluateSpec
from storage.atomic import write_atomic
from storage.first_images import read_first_images
from storage.markers import read_marker
from storage.pictures import contact_sheet, save_png
from storage.shards import ShardRecord
from worker.device.desk import Desk
from worker.device.measuring import chosen_feature_net, matching_labels, other_data_warning
from worker.device.real_images import read_images_for
from worker.device.warm import WarmModels

log = logging.getLogger("job")

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def run_evaluate(desk: Desk, warm: WarmModels) -> dict[str, Any]:
    """Measure the output's first images; gives the metrics and where the report lies."""
    spec = EvaluateSpec.model_validate(desk.assignment.spec)
    model = desk.assignment.model
    assert model is not None
    data = read_images_for(desk, spec, model)
    images, labels = _read_output(desk, spec.n)
    labels = matching_labels(data, model, labels)
    warm.prepare(data.image_size)
    runtime = warm.runtime("fp32")
    net = chosen_feature_net(desk, data, runtime)
    report = evaluate(
        data,
        images,
        labels,
        feature_net=net,
        runtime=runtime,
        seed=spec.seed,
        progress=desk.measuring,
        usefulness=spec.usefulness and labels is not None,
        inception=_inception(desk, spec, runtime),
    )
    other = other_data_warning(data.fingerprint, model)
    warnings = (*report.warnings, *([other] if other else ()), *choice_warnings(desk, net.digest))
    report = replace(report, warnings=warnings)
    return {**_publish(desk, spec, data, images, report), "batch_size": net.classifier.batch_size}


def _inception(desk: Desk, spec: EvaluateSpec, runtime: Runtime) -> InceptionNet | None:
    if spec.inception is None:
        return None
    desk.measuring("loading the Inception network", 0.0)
    net = load_inception(Path(spec.inception), runtime)
    log.info("%s has sha256 %s", spec.inception, net.sha256)
    return net


def _read_output(desk: Desk, count: int) -> tuple[Images, Labels | None]:
    """The first `count` images of the output, in order of their numbers."""
    shards = [(desk.place_of(shard), ShardRecord.from_json(shard.record).number) for shard in desk.assignment.shards]
    return read_first_images(shards, count, lambda done: desk.measuring("reading the images", done / count))


def choice_warnings(desk: Desk, judge_digest: str) -> list[str]:
    """What is to be said of images that were chosen: they are not just any that the model makes."""
    first = desk.assignment.shards[0]
    choice = read_marker(desk.place_of(first), ShardRecord.from_json(first.record).number).meta.choice
    if choice is None:
        return []
    warnings = ["the images were chosen, as their tables say: what is measured is the data set, not the model"]
    if choice.get("filter_digest") == judge_digest:
        warnings.append("the judge is the classifier that chose the images: what it measures is flattered")
    for warning in warnings:
        log.warning(warning)
    return warnings


def _publish(
    desk: Desk, spec: EvaluateSpec, data: ImageDataset, images: Images, report: EvaluationReport
) -> dict[str, Any]:
    path = desk.folder / "evaluation.json"
    write_atomic(path, report.to_json().encode())
    for metric in report.metrics:
        log.info("%s = %.5g (n=%d)", metric.name, metric.value, metric.n)
    for warning in report.warnings:
        log.warning(warning)
    desk.progress("measured", len(images), len(images))
    return {
        "report": desk.layout.relative(path),
        "neighbours": _neighbours(desk, data, images, report),
        "metrics": report.to_dict()["metrics"],
        "images": len(images),
        "output": spec.output,
        "dataset": {"name": data.name, "description": data.describe()},
    }


def _neighbours(desk: Desk, data: ImageDataset, images: Images, report: EvaluationReport) -> str | None:
    """A picture: generated images above the training images that are nearest to them."""
    if not report.neighbours:
        return None
    generated = images[[pair.generated_index for pair in report.neighbours]]
    nearest = data.images[[pair.dataset_index for pair in report.neighbours]]
    path = desk.folder / "neighbours.png"
    save_png(path, contact_sheet(np.concatenate([generated, nearest]), columns=len(generated)))
    return desk.layout.relative(path)
