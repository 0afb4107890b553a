"""Training on sequences, as a worker does it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from client.comparing import stored_metrics
from client.jobreport.steps import step_tables
from imagemodels.evaluation.sequences import SequenceReport
from imagemodels.export import load_model
from imagemodels.prediction import Predictor
from imagemodels.runtime import Runtime
from pixmill.errors import CorruptFile
from pixmill.specs import TrainSpec
from reports.data import JobReport, StepTable, TrainSection
from reports.errors import ReportError
from reports.html import render
from tests.reports.examples import START
from tests.worker.desks import Listener

SPEC = TrainSpec(
    model="predrnn",
    dataset="moving:digits",
    image_size=8,
    images=128,
    options={"width": 4, "patch": 2, "given_frames": 3, "predicted_frames": 2},
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("storage")
    listener = Listener(root, spec=SPEC.model_dump())
    answer = listener.run().answer
    listener.close()
    assert answer["say"] == "succeeded", answer
    return root, answer["result"]


def test_the_model_that_is_exported_predicts_frames(trained: tuple[Path, dict[str, Any]]) -> None:
    root, result = trained
    model = load_model(root / result["folder"], Runtime(threads=1))
    assert isinstance(model, Predictor)
    assert (model.digest, model.given_frames) == (result["digest"], 3)
    assert result["metric"]["name"] == "mse"
    assert result["classes"] == []
    assert result["dataset"]["name"] == "moving:digits"


def test_its_figures_are_in_a_file_and_in_the_report(trained: tuple[Path, dict[str, Any]]) -> None:
    root, result = trained
    path = root / result["sequences"]
    found = SequenceReport.from_json(json.loads(path.read_text()))
    assert (found.sequences, found.given_frames, len(found.model.mse)) == (256, 3, 2)
    section = TrainSection(**step_tables(path))
    report = JobReport(job_id=1, name="a", kind="train", state="succeeded", created_at=START, train=section)
    page = render(report)
    assert "On 256 held-out sequences, after 3 given frames." in page
    for table in section.steps:
        assert list(table.rows) == ["model", "last frame again", "mean frame"]
    assert section.steps[0].rows["model"] == list(found.model.mse)
    assert result["measured"]["images"] == 256
    metrics = stored_metrics(result["measured"]["metrics"])
    assert [metric.value for metric in metrics if metric.name in ("mse@3+1", "mse@3+2")] == list(found.model.mse)


def test_pictures_show_sequences_and_their_predictions(trained: tuple[Path, dict[str, Any]]) -> None:
    root, result = trained
    folder = (root / result["folder"]).parent
    grids = sorted(folder.glob("samples-*.png"))
    assert len(grids) > 2
    shapes = {np.asarray(Image.open(path)).shape for path in [*grids, folder / "reals.png"]}
    assert len(shapes) == 1  # five frames wide, in both


def test_rows_of_unequal_length_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="different numbers of steps"):
        StepTable(measure="mse", better="lower", rows={"a": [1.0], "b": [1.0, 2.0]})
    path = tmp_path / "sequences.json"
    path.write_text('{"sequences": 3}')
    with pytest.raises(CorruptFile, match="holds no figures of predicted frames"):
        step_tables(path)
