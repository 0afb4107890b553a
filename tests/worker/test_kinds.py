"""What each job kind leaves behind, in the database and on disk, when real processes run it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sqlalchemy import select

from cli.main import command
from client.jobreport.building import build_report
from db.aliases import Deed, set_alias
from db.registry import resolve_model, version_of_job
from db.tables.jobs import Task
from db.tables.models import Evaluation, ModelVersion
from db.tables.published import Checkpoint
from imagemodels.data import load_dataset
from imagemodels.evaluation.report import EvaluationReport
from pixmill.errors import SpecError
from pixmill.gates.limits import Limits
from pixmill.specs import EvaluateSpec, GateSpec, TrainSpec
from pixmill.states import State
from storage.checkpoints import open_verified
from storage.encoders import find_encoder
from storage.outputs import verify_output
from storage.png import ENCODER
from storage.records import ShardRecord
from storage.shards import ImageBatch, read_images, read_marker, write_shard
from tests.worker.conftest import SMALL_CLASSIFIER, digits_model, small_generate, small_train
from tests.worker.line import Line
from worker.device.facts import code_sha256


def json_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_train_job_publishes_a_model_with_its_history(line: Line) -> None:
    job = line.run(small_train(seed=5), name="history")
    task, (attempt,) = line.task(job), line.attempts(job)
    with line.database.read() as session:
        version = version_of_job(session, job)
        assert version is not None
        assert task.result is not None
        assert task.result["model"] == f"history@{version.version}"
        assert task.result["model_version_id"] == version.id
        assert task.result["dataset"] == version.dataset.fingerprint
    assert (version.image_size, version.channels, version.classes) == (16, 1, [str(digit) for digit in range(10)])
    assert task.result["images_seen"] == task.progress_done == 2_048  # whole batches
    assert task.result["metric"]["value"] == version.metric_value
    folder = line.path(attempt.folder)
    card = json.loads((line.path(version.folder) / "model.json").read_text())
    open_verified(line.path(version.folder) / "weights.safetensors", card["weights_sha256"]).close()
    assert card["digest"] == version.digest
    lineage = version.lineage
    assert (lineage["weights_sha256"], lineage["seed"], lineage["devices"]) == (card["weights_sha256"], 5, 1)
    assert (lineage["feature_net"], lineage["metric_images"]) == (task.result["metric"]["name"].partition("@")[2], 1000)
    assert lineage["feature_net"].endswith(lineage["feature_net_digest"][:8])
    assert (lineage["code_sha256"], bool(lineage["device_model"])) == (code_sha256(), True)
    assert [entry["images"] for entry in json_lines(folder / "losses.jsonl")][-1] == 2_048
    quality = json_lines(folder / "quality.jsonl")
    assert min(float(str(entry["value"])) for entry in quality) == version.metric_value
    assert (folder / "reals.png").stat().st_size > 0
    assert len(list(folder.glob("samples-*.png"))) >= 10
    assert json.loads((folder / "result.json").read_text())["digest"] == version.digest
    assert "INFO    job training" in line.job_log(job)


def test_only_the_checkpoints_that_rows_name_stay_on_disk(sqlite_line: Line) -> None:
    model = digits_model(sqlite_line)
    with sqlite_line.database.read() as session:
        version = resolve_model(session, model)
        assert isinstance(version, ModelVersion)
        ours = select(Checkpoint).join(Task).where(Task.job_id == version.job_id)
        kept = {row.path for row in session.scalars(ours)}
    folder = sqlite_line.path(version.folder).parent
    found = folder.glob("state-*.pt")
    assert {str(path.relative_to(sqlite_line.settings.storage_root)) for path in found} == kept


def test_tables_of_images_are_a_data_set_whose_images_can_be_made_again(sqlite_line: Line) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    model = digits_model(sqlite_line)
    job = sqlite_line.run(small_generate(model, n=120, shard_size=100, format="parquet"), name="tables")
    output = sqlite_line.path(f"outputs/{job}")
    result = sqlite_line.tasks(job)[-1].result
    assert result is not None
    assert (result["format"], (output / "README.md").exists()) == ("parquet", True)
    records = [ShardRecord.from_json(shard.record) for shard in sqlite_line.shards(job)]
    assert verify_output(output, records).problems == ()

    # Files of another version of the encoder are other bytes; the images are the same but for one pixel.
    images, labels = read_images(output, 0)
    images[5, 0, 0] ^= 1
    older = replace(ENCODER, version="1+of-before", encode=find_encoder("png-small").encode)
    batch = ImageBatch(0, images, np.full(100, 1), labels)
    write_shard(output, 0, [batch], read_marker(output, 0).meta, encoder=older, format_name="parquet")

    path = output / "shard-000001.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index("sha256")
    hashes = [bytes(32), *table["sha256"].to_pylist()[1:]]
    path.unlink()  # the attempt's folder holds another link to the same bytes
    pq.write_table(table.set_column(place, table.schema.field(place), pa.array(hashes, pa.binary(32))), path)
    settings = {"PIXMILL_HOME": str(sqlite_line.home), "PIXMILL_DATABASE_URL": sqlite_line.settings.database_url}
    asked = ["output", "regenerate", str(job), "--sample", "120", "-o", "json"]
    answer = CliRunner().invoke(command, asked, env=settings)
    assert answer.exit_code == 1, answer.stderr
    item = json.loads(answer.stdout)["item"]
    versions = {image["index"]: image["recorded_version"] for image in item["differing"]}
    assert (item["images"], versions) == (120, {5: "1+of-before", 100: ENCODER.version})


def test_a_generate_job_publishes_shards_and_one_data_set(line: Line) -> None:
    model = digits_model(line)
    job = line.run(small_generate(model), name="three-shards")
    *generate, assemble = line.tasks(job)
    assert assemble.result is not None
    made = [task.result or {} for task in generate]  # as many tasks as earlier jobs make it worth while
    assert [sum(result[name] for result in made) for name in ("images", "shards")] == [250, 3]
    shards = line.shards(job)
    assert [(shard.number, shard.image_count) for shard in shards] == [(0, 100), (1, 100), (2, 50)]
    result = assemble.result
    assert (result["images"], result["model"], result["output"]) == (250, model, f"outputs/{job}")
    assert result["class_counts"] == {str(digit): 25 for digit in range(10)}
    output = line.path(result["output"])
    report = verify_output(output, [ShardRecord.from_json(shard.record) for shard in shards])
    assert (report.images, report.problems) == (250, ())
    for shard in shards:
        name = ShardRecord.from_json(shard.record).tar
        assert (output / name).samefile(line.path(shard.folder) / name)  # a link, not a second copy
    index = json.loads(line.path(result["index"]).read_text())
    assert index["name"] == "three-shards"
    assert line.path(result["contact_sheet"]).stat().st_size > 0


def test_only_the_chosen_classes_are_made_by_the_version_that_an_alias_stands_for(sqlite_line: Line) -> None:
    model = digits_model(sqlite_line)
    sqlite_line.database.transact(lambda session: set_alias(session, model, "chosen", Deed(actor="ann")))
    name = model.partition("@")[0]
    job = sqlite_line.run(small_generate(f"{name}@chosen", n=30, classes=["3", "7"]))
    result = sqlite_line.tasks(job)[-1].result
    assert result is not None
    assert (result["model"], result["class_counts"]) == (model, {"3": 15, "7": 15})
    details = json.loads(sqlite_line.path(result["index"]).read_text())["details"]
    assert (details["model"], details["aliases"]) == (model, {model: "chosen"})


def test_an_evaluate_job_publishes_what_it_measured(sqlite_line: Line) -> None:
    line = sqlite_line
    model = digits_model(line)
    output = line.run(small_generate(model))
    job = line.run(EvaluateSpec(output=output, n=200, usefulness=False))
    result = line.task(job).result
    assert result is not None
    report = json.loads(line.path(result["report"]).read_text())
    with line.database.read() as session:
        row = session.scalars(select(Evaluation).where(Evaluation.job_id == job)).one()
    assert (row.output_job_id, row.image_count) == (output, 200)
    assert row.metrics == report["metrics"]
    assert row.metrics
    assert line.path(result["neighbours"]).stat().st_size > 0


def test_a_gate_job_measures_both_models_and_publishes_its_verdict(sqlite_line: Line) -> None:
    line = sqlite_line
    model = digits_model(line)
    line.run(small_train(images=64), name="rival", key="rival")
    line.database.transact(lambda session: set_alias(session, "rival@1", "reigning", Deed(actor="ann")))
    gates = {"kid": Limits(worse_by=0.1), "near_copies": Limits(max=1.0)}
    job = line.run(GateSpec(model=model, against="rival@reigning", images=60, seeds=2, gates=gates))
    result = line.task(job).result
    assert result is not None
    assert (result["verdict"], result["model"], result["against"]) == ("PROMOTE", model, "rival@1")
    assert (result["aliases"], result["dataset"]) == ({"rival@1": "reigning"}, "digits")
    assert [row["outcome"] for row in result["gates"]] == ["passed"] * 5
    with line.database.read() as session:
        found = session.scalars(select(Evaluation).where(Evaluation.job_id == job).order_by(Evaluation.id)).all()
        names = [session.get_one(ModelVersion, row.model_version_id).model.name for row in found]
    assert names == ["digits", "rival"]
    name = f"kid@{result['feature_net']['name']}"
    kids = [next(metric["value"] for metric in row.metrics if metric["name"] == name) for row in found]
    primary = result["primary"]
    assert kids == [pytest.approx(primary[side]["mean"]) for side in ("challenger", "champion")]
    assert f"verdict: {result['verdict']}" in line.job_log(job)
    assert line.path(result["challenger_sheet"]).stat().st_size > 0


def test_jobs_that_wait_for_each_other_run_one_after_the_other(sqlite_line: Line) -> None:
    line = sqlite_line
    train = line.submit(small_train(images=640), name="chain")
    generate = line.submit(small_generate(f"job:{train}", n=20, shard_size=20))
    assert line.wait(generate) is State.SUCCEEDED, line.story(generate)
    result = line.tasks(generate)[-1].result
    assert result is not None
    assert result["model"].startswith("chain@")


def reader(line: Line) -> int:
    """The train job of classifier reader@1, trained once on each line."""
    spec = TrainSpec(model="cnn", dataset="digits", image_size=16, images=3_000, options=SMALL_CLASSIFIER)
    return line.run(spec, name="reader", key="reader")


def test_an_evaluation_by_a_chosen_judge_carries_its_digest(sqlite_line: Line) -> None:
    reader(sqlite_line)
    output = sqlite_line.run(small_generate(digits_model(sqlite_line)))
    spec = EvaluateSpec(output=output, n=50, usefulness=False, judge="reader")
    job = sqlite_line.run(spec, key="judged")
    assert sqlite_line.job(job).spec["judge"] == "reader@1"
    assert sqlite_line.submit(spec, key="judged") == job  # by the name that was pinned then
    with sqlite_line.database.read() as session:
        judge = resolve_model(session, "reader@1")
        row = session.scalars(select(Evaluation).where(Evaluation.job_id == job)).one()
    assert isinstance(judge, ModelVersion)
    assert {name for metric in row.metrics if (name := metric["name"]).startswith(("fd", "kid", "agreement"))} == {
        f"{quantity}@cnn-{judge.digest[:8]}" for quantity in ("fd", "kid", "agreement")
    }
    assert f"judged by reader@1, digest {judge.digest}" in sqlite_line.job_log(job)
    with pytest.raises(SpecError, match=r"digits@1 is a generator \(vae\): it judges no images"):
        sqlite_line.submit(EvaluateSpec(output=output, judge="digits"))
    small = sqlite_line.submit(TrainSpec(model="cnn", dataset="digits", images=64, options=SMALL_CLASSIFIER))
    late = sqlite_line.submit(EvaluateSpec(output=output, n=50, judge=f"job:{small}"))
    assert sqlite_line.wait(late) is State.FAILED
    assert "takes images of 8×8×1, and those of digits are read as 16×16×1" in str(sqlite_line.task(late).message)
    with pytest.raises(SpecError, match=f"takes images of 8×8×1, and those of job {output} are of 16×16×1"):
        sqlite_line.submit(EvaluateSpec(output=output, judge=f"job:{small}"))


def test_a_classifier_says_how_it_does_on_each_class_of_held_out_images(sqlite_line: Line) -> None:
    task = sqlite_line.task(reader(sqlite_line))
    assert task.result is not None
    table = json.loads(sqlite_line.path(task.result["held_out"]).read_text())
    assert table["classes"] == [str(digit) for digit in range(10)]
    counts = np.array(table["confusion"])
    digits = load_dataset("digits", image_size=16)
    assert digits.labels is not None
    assert np.array_equal(counts.sum(1), np.bincount(digits.labels[digits.test_indices]))
    # The exported weights are the best ones, so that theirs is the accuracy that the model's row tells.
    assert np.trace(counts) / counts.sum() == pytest.approx(task.result["metric"]["value"])
    with sqlite_line.database.read() as session:
        row = session.scalars(select(Evaluation).where(Evaluation.job_id == task.job_id)).one()
        report = build_report(session, sqlite_line.settings, task.job_id)
    (metric,) = row.metrics
    assert (metric["name"], metric["value"]) == ("accuracy@held_out", pytest.approx(task.result["metric"]["value"]))
    assert report.train is not None
    assert report.train.per_class_accuracy["3"] == pytest.approx(counts[3, 3] / counts[3].sum())
    assert report.train.confusion is not None
    assert report.train.confusion.counts == counts.tolist()


def test_a_forest_trains_generates_and_is_judged_like_any_other_model(sqlite_line: Line) -> None:
    options = {"components": 6, "trees": 4, "parts": 2}
    train = sqlite_line.run(small_train(model="forest", options=options), name="forest")
    result = sqlite_line.task(train).result
    assert result is not None
    assert result["images_seen"] == sqlite_line.task(train).progress_done
    with sqlite_line.database.read() as session:
        version = version_of_job(session, train)
    assert version is not None
    assert {path.name for path in sqlite_line.path(version.folder).iterdir()} == {"model.json", "weights.safetensors"}
    output = sqlite_line.run(small_generate("forest"))
    judged = sqlite_line.task(sqlite_line.run(EvaluateSpec(output=output, n=200, usefulness=False))).result
    assert judged is not None
    report = EvaluationReport.from_json(sqlite_line.path(judged["report"]).read_bytes())
    assert report.metric("agreement").value > 0.9
    twin = sqlite_line.run(small_train(model="forest", options=options), name="forest-twin")
    with sqlite_line.database.read() as session:
        other = version_of_job(session, twin)
    assert other is not None
    assert other.digest == version.digest
