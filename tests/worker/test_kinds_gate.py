"""Gate tasks at a desk in this process, on small models that were really trained."""

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from imagemodels.card import Metadata
from imagemodels.data import ImageDataset, load_dataset
from imagemodels.evaluation.report import EvaluationReport
from imagemodels.export import load_model, save_model
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from imagemodels.shell import train
from pixmill.gates.limits import Limits
from pixmill.gates.measures import MEASURES
from pixmill.specs import GateSpec
from tests.imagemodels.data.pictures import write_class_folders
from tests.worker.desks import Listener
from worker.assignment import ModelInput

Desks = Callable[..., Listener]
EPOCHS = count()
NOT_EVALUATED = {"usefulness", "class_share", "class_agreement", "speed", "memory"}  # unless somebody asks
ALL = {
    "kid": Limits(worse_by=0.01),
    "coverage": Limits(min=0.05, worse_by=0.2),
    "agreement": Limits(worse_by=0.1),
    "class_share": Limits(min=0.25),
    "class_agreement": Limits(min=0.1),
    "exact_copies": Limits(max=0.0),
    "near_repeats": Limits(max=1.0),
    "memory": Limits(worse_by_share=0.0),
}


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_dataset("digits", image_size=8)


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory, digits: ImageDataset) -> Path:
    """A storage root with three models in it: one that has learnt something, one that has not, and a broken one."""
    root = tmp_path_factory.mktemp("storage")
    runtime = Runtime(threads=1)
    for name, images in (("good", 6_000), ("raw", 64)):
        model = train("vae", digits, images=images, runtime=runtime, width=8, latent_size=8, feature_size=16)
        save_model(root / name, model, Metadata(preset="vae", images_seen=images, seed=0))
    assert isinstance(model, Generator)
    with torch.no_grad():
        next(model.network.parameters()).view(-1)[:3] = torch.nan
    save_model(root / "broken", model, Metadata(preset="vae", images_seen=64, seed=0))
    return root


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory, digits: ImageDataset) -> str:
    """The name of a data set that is quickly compared with: some of the digits."""
    folder = tmp_path_factory.mktemp("few")
    assert digits.labels is not None
    for number in range(240):
        path = folder / digits.class_names[digits.labels[number]] / f"{number:03d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(digits.images[number, :, :, 0]).save(path)
    return f"folder:{folder}"


@pytest.fixture
def desks(storage: Path, digits: ImageDataset, few: str) -> Iterator[Desks]:
    """Makes desks at which one model is judged against another, or alone."""
    made: list[Listener] = []

    def model(name: str) -> ModelInput:
        return ModelInput(
            reference=f"{name}@1",
            folder=name,
            digest=name,
            image_size=8,
            channels=1,
            classes=digits.class_names,
            dataset="digits",
            dataset_fingerprint=digits.fingerprint,
        )

    def make(challenger: str, champion: str | None = None, **changes: Any) -> Listener:
        values: dict[str, Any] = {"dataset": few, "images": 100, "seeds": 2, "gates": ALL, "primary": "kid", **changes}
        spec = GateSpec(model=f"{challenger}@1", against=champion and f"{champion}@1", **values)
        listener = Listener(
            storage,
            epoch=next(EPOCHS),
            role="gate",
            spec=spec.model_dump(mode="json"),
            params={"aliases": {f"{champion}@1": "champion"}} if champion else {},
            model=model(challenger),
            further_models=(model(champion),) if champion else (),
        )
        made.append(listener)
        return listener

    yield make
    for listener in made:
        listener.close()


def result_of(desk: Listener) -> dict[str, Any]:
    answer = desk.run().answer
    assert answer["say"] == "succeeded", answer
    return dict(answer["result"])


def outcomes(result: dict[str, Any], *gates: str) -> dict[str, str]:
    return {f"{row['gate']}:{row['rule']}": row["outcome"] for row in result["gates"] if row["gate"] in gates}


def test_a_model_that_has_learnt_takes_the_place_of_one_that_has_not(desks: Desks, storage: Path) -> None:
    result = result_of(desks("good", "raw"))
    assert result["verdict"] == "PROMOTE", [row["text"] for row in result["gates"]]
    assert (result["model"], result["against"], result["aliases"]) == ("good@1", "raw@1", {"raw@1": "champion"})
    assert (result["seeds"], result["images"]) == ([0, 1], 100)
    primary = result["primary"]
    assert (primary["gate"], primary["rule"]) == ("kid", "primary")
    assert primary["challenger"]["mean"] < primary["champion"]["mean"]
    assert primary["metric"] == f"kid@{result['feature_net']['name']}"
    assert result["feature_net"]["name"].endswith(result["feature_net"]["digest"][:8])
    equal = next(row for row in result["gates"] if row["gate"] == "memory")
    assert equal["text"].endswith("equal; not worse beyond 0 % … passed")
    assert [side["model"] for side in result["measured"]] == ["good@1", "raw@1"]
    for side in result["measured"]:
        kid = next(metric for metric in side["metrics"] if metric["name"].startswith("kid@"))
        assert (side["images"], kid["n"]) == (100, 100)
    stored = json.loads((storage / result["report"]).read_text())
    reports = [EvaluationReport.from_json(json.dumps(one)) for one in stored["reports"]["good@1"]]
    assert [report.seed for report in reports] == [0, 1]
    bare = {metric.name.partition("@")[0]: metric for metric in reports[0].metrics}
    assert bare.keys() | NOT_EVALUATED == MEASURES.keys()
    for name, metric in bare.items():
        assert metric.better == MEASURES[name].better, name
        control = MEASURES[name].real
        assert control is None or metric.control(control) is not None, name
    kids = [report.metric("kid").value for report in reports]
    assert primary["challenger"]["mean"] == pytest.approx(sum(kids) / 2)
    assert result["sheet_columns"] == [str(digit) for digit in range(10)]
    sheets = [storage / result[f"{side}_sheet"] for side in ("challenger", "champion")]
    with Image.open(sheets[0]) as mine, Image.open(sheets[1]) as theirs:
        assert mine.size == theirs.size
        assert mine.width > mine.height  # ten columns, six rows
        assert mine.tobytes() != theirs.tobytes()


def test_the_other_way_round_it_is_rejected(desks: Desks) -> None:
    result = result_of(desks("raw", "good"))
    assert result["verdict"] == "REJECT"
    assert outcomes(result, "kid") == {"kid:regression": "failed", "kid:primary": "not earned"}


def test_a_model_is_as_good_as_itself(desks: Desks) -> None:
    result = result_of(desks("good", "good"))
    assert result["verdict"] == "PROMOTE", [row["text"] for row in result["gates"]]
    assert all(row["worse"]["mean"] == 0 for row in result["gates"] if row["rule"] == "regression")


def test_without_a_champion_the_limits_alone_decide(desks: Desks) -> None:
    result = result_of(desks("good"))
    assert (result["verdict"], result["against"]) == ("PROMOTE", None)
    assert "champion_sheet" not in result
    assert outcomes(result, "kid", "coverage") == {
        "kid:regression": "skipped",
        "kid:primary": "skipped",
        "coverage:min": "passed",
        "coverage:regression": "skipped",
    }
    assert result_of(desks("good", gates={"coverage": Limits(min=1.0)}))["verdict"] == "REJECT"


def test_a_model_with_weights_that_are_no_numbers_is_rejected_unmeasured(desks: Desks) -> None:
    result = result_of(desks("broken", "good"))
    assert result["verdict"] == "REJECT"
    assert result["gates"][0]["text"] == "bad_weights 3: at most 0 … failed"
    assert outcomes(result, "kid") == {"kid:regression": "undecided", "kid:primary": "undecided"}
    assert [side["model"] for side in result["measured"]] == ["good@1"]


def test_against_a_broken_champion_nothing_is_decided(desks: Desks) -> None:
    result = result_of(desks("good", "broken"))
    assert result["verdict"] == "HOLD"
    assert "kid of the champion was not measured … undecided" in [row["text"] for row in result["gates"]]


def test_speed_is_measured_of_both_in_turn(desks: Desks) -> None:
    result = result_of(desks("good", "raw", gates={"kid": Limits(worse_by=9.0), "speed": Limits(worse_by_share=50)}))
    (row,) = [row for row in result["gates"] if row["gate"] == "speed"]
    assert row["outcome"] == "passed", row["text"]
    assert min(row["challenger"]["mean"], row["champion"]["mean"]) > 0
    assert "images/s against" in row["text"]


def test_what_the_data_cannot_tell_is_one_clear_line(desks: Desks, tmp_path: Path) -> None:
    place = write_class_folders(tmp_path / "pets", {"cat": 60}, (8, 8))
    answer = desks("good", dataset=f"folder:{place}", gates={"kid": Limits(max=9.0)}).run().answer
    assert (answer["reason"], "has not" in answer["message"]) == ("UserError", True), answer


def test_a_stopped_task_publishes_nothing(desks: Desks) -> None:
    desk = desks("good", "raw")
    desk.stop.set()
    assert desk.run().answer == {"say": "stopped"}


def test_images_are_measured_until_they_are_no_numbers(desks: Desks, storage: Path) -> None:
    """Weights that are finite, and too large: only what they compute tells."""
    model = load_model(storage / "raw", Runtime(threads=1))
    with torch.no_grad():
        for weights in model.network.parameters():
            weights.mul_(1e30)
    save_model(storage / "huge", model, Metadata(preset="vae", images_seen=64, seed=0))
    result = result_of(desks("huge"))
    assert result["verdict"] == "REJECT"
    weights_row, pixels_row = result["gates"][:2]
    assert (weights_row["outcome"], pixels_row["outcome"]) == ("passed", "failed")
    assert result["measured"] == []
