"""A gate task: a challenger and a champion, measured on the same data with the same seeds, and what the gates say."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from imagemodels.evaluation.seeds import mean_metrics
from pixmill.aliases import aliases_of_task
from pixmill.gates.judging import Judgement, judge
from pixmill.specs import GateSpec
from storage.pictures import contact_sheet, save_png
from worker.device.contestants import Bench, Contestant, load_contestant, sheet_columns, time_in_turn
from worker.device.desk import Desk
from worker.device.measuring import chosen_feature_net, other_data_warning
from worker.device.real_images import read_images_for
from worker.device.warm import WarmModels

log = logging.getLogger("job")

SIDES = ("challenger", "champion")


def run_gate(desk: Desk, warm: WarmModels) -> dict[str, Any]:
    """Measure and judge; gives the verdict with the rows that it follows from."""
    spec = GateSpec.model_validate(desk.assignment.spec)
    model = desk.assignment.model
    assert model is not None
    data = read_images_for(desk, spec, model)
    warm.prepare(data.image_size)
    runtime = warm.runtime("fp32")
    net = chosen_feature_net(desk, data, runtime)
    contestants = [load_contestant(desk, warm, one) for one in (model, *desk.assignment.further_models)]
    bench = Bench(desk, spec, data, net, runtime, sheet_columns(contestants[0].generator))
    _measure_all(bench, contestants)
    judgement = _judged(bench, contestants)
    for row in judgement.rows:
        log.info("%s", row.text)
    log.info("verdict: %s", judgement.verdict)
    return _publish(bench, contestants, judgement)


def _measure_all(bench: Bench, contestants: Sequence[Contestant]) -> None:
    spec = bench.spec
    total = spec.images * spec.seeds * len(contestants)
    for number in range(spec.seeds):
        for place, one in enumerate(contestants):
            if one.is_sound:
                bench.measure(one, spec.seed + number)
            done = spec.images * (number * len(contestants) + place + 1)
            bench.desk.progress("measuring", done, total)
    sound = [one for one in contestants if one.is_sound]
    if sound and "speed" in bench.wanted:
        time_in_turn(bench.desk, sound)


def _judged(bench: Bench, contestants: Sequence[Contestant]) -> Judgement:
    spec = bench.spec
    assert spec.gates is not None  # both are filled in at submit
    assert spec.primary is not None
    challenger, *champion = [one.samples(bench.wanted) for one in contestants]
    return judge(spec.gates, spec.primary, challenger, champion[0] if champion else None)


def _publish(bench: Bench, contestants: Sequence[Contestant], judgement: Judgement) -> dict[str, Any]:
    desk, spec = bench.desk, bench.spec
    rows = [row.to_json() for row in judgement.rows]
    told = {
        "verdict": judgement.verdict,
        "model": contestants[0].model.reference,
        "against": contestants[1].model.reference if len(contestants) > 1 else None,
        "aliases": aliases_of_task(desk.assignment.params),
        "primary": rows[-1],
        "seeds": [spec.seed + number for number in range(spec.seeds)],
        "images": spec.images,
        "feature_net": {"name": bench.net.name, "digest": bench.net.digest},
        "gates": rows,
        "warnings": _warnings(bench, contestants),
    }
    reports = {one.model.reference: [report.to_dict() for report in one.reports] for one in contestants}
    path = desk.write_json("gate.json", {**told, "reports": reports})
    return {
        **told,
        "report": desk.layout.relative(path),
        **_sheets(bench, contestants),
        "dataset": {"name": bench.data.name, "description": bench.data.describe()},
        "measured": [
            {
                "model": one.model.reference,
                "images": spec.images,
                "metrics": [asdict(metric) for metric in mean_metrics(one.reports)],
            }
            for one in contestants
            if one.reports
        ],
        "batch_size": bench.net.classifier.batch_size,
    }


def _warnings(bench: Bench, contestants: Sequence[Contestant]) -> list[str]:
    """What a reader must know, each told once: most of it holds for all seeds."""
    found: list[str] = []
    for one in contestants:
        name = one.model.reference
        other = other_data_warning(bench.data.fingerprint, one.model)
        texts = [other] if other else []
        texts += [text for report in one.reports[:1] for text in report.warnings]
        found += [f"{name}: {text}" for text in texts]
    return list(dict.fromkeys(found))


def _sheets(bench: Bench, contestants: Sequence[Contestant]) -> dict[str, Any]:
    """A picture of each model: the first images of the first seed, the same numbers and classes of both."""
    desk, columns = bench.desk, bench.columns
    found: dict[str, Any] = {}
    for side, one in zip(SIDES, contestants, strict=False):
        if one.first_images is not None:
            path = desk.folder / f"{side}.png"
            save_png(path, contact_sheet(one.first_images, columns=columns))
            found[f"{side}_sheet"] = desk.layout.relative(path)
    challenger = contestants[0]
    names = challenger.model.classes if challenger.generator.num_classes == columns else ()
    return {**found, "sheet_columns": list(names)}
