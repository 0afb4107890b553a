"""Files that rows vouch for, and what lies about, on both databases and real files."""

import hashlib
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete

from cli.doctor.findings import Finding, Level
from cli.doctor.garbage import examine_garbage
from cli.doctor.recorded import RecordedFiles
from db.engine import Database
from db.leases import Lease, finish, publish_checkpoint, publish_shard
from db.registry import add_version, ensure_dataset
from db.tables.jobs import Outcome
from db.tables.published import Checkpoint, Shard
from imagemodels.card import CARD_FILE, Metadata, ModelCard
from pixmill.settings import load_settings
from storage.outputs import link_shard, write_dataset_index
from storage.paths import Layout
from storage.records import ShardRecord
from storage.shards import ImageBatch, ShardMeta, write_shard
from tests import rows
from tests.rows import act

WEIGHTS = b"weights"
DIGEST = "a" * 64


def write_model(folder: Path) -> str:
    """A model's files, as far as they can be told without torch; gives its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.safetensors").write_bytes(WEIGHTS)
    card = ModelCard(
        architecture="ConvDecoder",
        spec={},
        normaliser="",
        weights_sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        digest=DIGEST,
        metadata=Metadata(preset="vae", images_seen=1, seed=0),
    )
    (folder / CARD_FILE).write_text(card.to_json())
    return DIGEST


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def made(database: Database, root: Path) -> Lease:
    """One job that has everything: a checkpoint, a model, a shard, and a data set of it."""
    lease = rows.running(database, kind="generate")
    folder = root / lease.folder
    folder.mkdir(parents=True)
    (folder / "state-000000010.pt").write_bytes(b"state")
    sha256 = hashlib.sha256(b"state").hexdigest()
    act(database, publish_checkpoint, lease, rows.checkpoint(lease, 10, size_bytes=5, sha256=sha256))
    record = _write_shard(folder)
    row = rows.shard(lease, 0)
    row.record = record.to_json()
    act(database, publish_shard, lease, row)
    output = Layout(root).output_folder(lease.job_id)
    link_shard(record, folder, output)
    write_dataset_index(output, [record], name="images")
    write_model(folder / "model")
    with database.write() as session:
        dataset = ensure_dataset(session, "digits", "f" * 64, {})
        version = rows.version(lease.job_id, dataset, folder=f"{lease.folder}/model", digest=DIGEST)
        add_version(session, "line", version)
    act(database, finish, lease, Outcome.SUCCEEDED, publish=rows.nothing)
    return lease


def _write_shard(folder: Path) -> ShardRecord:
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)
    batch = ImageBatch(first_index=0, images=images, seeds=np.arange(4))
    return write_shard(folder, 0, [batch], ShardMeta(checkpoint_sha256="d" * 64, precision="fp32", seed=0))


def examined(database: Database, root: Path, *, deep: bool = False) -> dict[str, Finding]:
    return {finding.part: finding for finding in RecordedFiles(database, root, deep=deep).examine()}


def wrong(found: dict[str, Finding]) -> set[str]:
    return {part for part, finding in found.items() if finding.state is not Level.OK}


def test_files_that_are_as_recorded_are_all_there(database: Database, root: Path, made: Lease) -> None:
    for deep in (False, True):
        found = examined(database, root, deep=deep)
        assert list(found) == ["checkpoints", "shards", "models", "outputs"]
        assert wrong(found) == set()
        assert "1 files, 5 B" in found["checkpoints"].detail
        assert "4 files" in found["outputs"].detail  # and dataset.json
    assert wrong(examined(database, root.parent / "elsewhere")) == {"checkpoints", "shards", "models", "outputs"}


def test_missing_and_shortened_files_are_named_with_their_remedy(database: Database, root: Path, made: Lease) -> None:
    (root / made.folder / "state-000000010.pt").write_bytes(b"st")
    (root / made.folder / "model/weights.safetensors").unlink()
    (root / f"outputs/{made.job_id}/shard-000000.tar").unlink()
    found = examined(database, root)
    assert wrong(found) == {"checkpoints", "models", "outputs"}
    assert "state-000000010.pt has 2 bytes, recorded 5" in found["checkpoints"].detail
    assert found["models"].detail.endswith("model/weights.safetensors is missing")
    assert "1 of 4: outputs/1/shard-000000.tar is missing" in found["outputs"].detail
    assert found["outputs"].remedy == f"pixmill output verify {made.job_id}"
    (root / f"outputs/{made.job_id}/dataset.json").unlink()
    assert "dataset.json is missing" in examined(database, root)["outputs"].detail


def test_changed_bytes_are_found_by_reading_them(database: Database, root: Path, made: Lease) -> None:
    (root / made.folder / "state-000000010.pt").write_bytes(b"STATE")
    (root / made.folder / "model/weights.safetensors").write_bytes(b"WEIGHTS")
    tar = root / f"outputs/{made.job_id}/shard-000000.tar"
    shutil.copyfile(tar, tar.with_name("copy"))
    tar.with_name("copy").replace(tar)  # no longer the file of the attempt
    content = tar.read_bytes()
    tar.write_bytes(content[:-1] + b"x")
    assert wrong(examined(database, root)) == set()
    found = examined(database, root, deep=True)
    assert wrong(found) == {"checkpoints", "models", "outputs"}
    for part in ("checkpoints", "models", "outputs"):
        assert "has changed since it was recorded" in found[part].detail


def test_another_models_card_is_found(database: Database, root: Path, made: Lease) -> None:
    card = root / made.folder / "model" / CARD_FILE
    card.write_text(card.read_text().replace(DIGEST, "b" * 64))
    assert "describes another model" in examined(database, root)["models"].detail
    card.write_text("{}")
    assert "not the card of a model" in examined(database, root)["models"].detail


def test_a_row_with_a_path_outside_the_root_or_a_broken_record_is_a_problem(
    database: Database, root: Path, made: Lease
) -> None:
    with database.write() as session:
        session.query(Checkpoint).update({"path": "../../etc/passwd"})
        session.query(Shard).update({"record": {"sha256": "0" * 64}})
    found = examined(database, root)
    assert "leads outside the storage root" in found["checkpoints"].detail
    assert "no shard record" in found["shards"].detail


def test_a_row_that_goes_while_its_file_is_looked_for_is_no_fault(
    database: Database, root: Path, made: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker discards the file of a checkpoint right after its row."""
    (root / made.folder / "state-000000010.pt").unlink()
    look = RecordedFiles._look

    def then_gone(self: RecordedFiles, *args: object) -> None:
        with database.write() as session:
            session.execute(delete(Checkpoint))
        look(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(RecordedFiles, "_look", then_gone)
    assert "checkpoints" not in wrong(examined(database, root))


def test_what_nothing_needs_is_told_with_its_size(database: Database, root: Path, made: Lease) -> None:
    first, later = examine_garbage(database, load_settings(flags={"home": root}))
    assert first.detail.startswith("attempts: 0 live, 1 published, 0 latest")
    assert later.detail == "no file is later than the database"

    (root / made.folder / "state-000000099.pt").write_bytes(bytes(1000))
    (_, scrap, _) = examine_garbage(database, load_settings(flags={"home": root}))
    assert (scrap.state, scrap.detail) == (
        Level.OK,
        "nothing needs 1 file, 1.0 kB (unpublished 1.0 kB); see pixmill gc plan",
    )
    orphan = root / "runs/900/1/1"
    orphan.mkdir(parents=True)
    os.utime(orphan, (time.time() - 9999,) * 2)
    rows.say_restored(database)
    (_, scrap, _) = examine_garbage(database, load_settings(flags={"home": root}))
    assert (scrap.state, scrap.remedy) == (Level.WARNING, "pixmill gc plan")


def test_half_written_files_of_data_sets_are_found_once_they_are_old(
    database: Database, root: Path, made: Lease
) -> None:
    left = root / f"outputs/{made.job_id}/.shard-000009.tar.7-ab.tmp"
    left.write_bytes(b"12345")
    assert all(finding.state is Level.OK for finding in examine_garbage(database, load_settings(flags={"home": root})))
    os.utime(left, (time.time() - 9999,) * 2)
    (found,) = [
        finding
        for finding in examine_garbage(database, load_settings(flags={"home": root}))
        if finding.state is not Level.OK
    ]
    assert "1 half-written file, 5 B" in found.detail
    assert found.remedy == f"rm {left.parent}/.*.tmp"


def test_a_root_of_another_database_is_told(database: Database, root: Path) -> None:
    folder = root / "runs/900/1/1"
    folder.mkdir(parents=True)
    os.utime(folder, (time.time() - 9999,) * 2)
    (_, found, later) = examine_garbage(database, load_settings(flags={"home": root}))
    assert later.state is Level.PROBLEM
    assert "knows not one of the attempts" in found.detail
    assert found.remedy == "pixmill config show --sources"
