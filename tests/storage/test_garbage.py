import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixmill.errors import PermissionDenied, StorageError
from storage.garbage.finding import list_attempts, list_jobs
from storage.garbage.folders import AttemptFolder
from storage.garbage.judging import judge
from storage.garbage.removal import remove, remove_empty_folders
from storage.garbage.verdicts import Claims, Judgement, Standing, Waste
from storage.garbage.weighing import Usage

NOBODY = 65534
FOLDER = AttemptFolder(7, 9, 2)
LEFT = Claims(has_attempt=True)
LATEST = Claims(has_attempt=True, has_ended=True, is_latest=True)
ORPHAN = Claims(has_attempt=False)


def fill(root: Path, *names: str, folder: AttemptFolder = FOLDER, age_seconds: float = 0.0) -> Path:
    """Files of ten bytes in an attempt's folder."""
    base = root / folder.path
    for name in names:
        path = base / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0123456789")
        at = time.time() - age_seconds
        os.utime(path, (at, at))
    return base


def look(root: Path, claims: Claims, *, grace_seconds: float = 3600.0, folder: AttemptFolder = FOLDER) -> Judgement:
    return judge(root, folder, claims, cutoff=time.time() - grace_seconds)


def names(judgement: Judgement) -> dict[str, Waste]:
    return {scrap.path.removeprefix(f"{judgement.folder.path}/"): scrap.waste for scrap in judgement.scraps}


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}


def test_folders_of_attempts_are_found_and_strangers_told_apart(tmp_path: Path) -> None:
    for path in ("runs/7/9/2", "runs/7/9/1", "runs/12/13/1", "runs/7/9/notes", "runs/7/x", "runs/07/1/1", "runs/7/10"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "runs/7/9/3").write_text("a file")
    (tmp_path / "runs/README").write_text("a file")

    assert set(list_jobs(tmp_path)) == {7, 12, "runs/07", "runs/README"}
    found = list_attempts(tmp_path, 7)
    assert found.attempts == (AttemptFolder(7, 9, 1), AttemptFolder(7, 9, 2))
    assert set(found.strangers) == {"runs/7/9/notes", "runs/7/9/3", "runs/7/x"}


def test_a_root_without_runs_holds_nothing(tmp_path: Path) -> None:
    assert list(list_jobs(tmp_path)) == []
    assert list_attempts(tmp_path, 7).attempts == ()


def test_links_below_runs_are_strangers_and_runs_itself_must_be_none(tmp_path: Path) -> None:
    (tmp_path / "elsewhere/9/1").mkdir(parents=True)
    (tmp_path / "runs/8").mkdir(parents=True)
    (tmp_path / "runs/7").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "runs/8/9").symlink_to(tmp_path / "elsewhere/9")
    assert set(list_jobs(tmp_path)) == {8, "runs/7"}
    assert list_attempts(tmp_path, 8).strangers == ("runs/8/9",)

    other = tmp_path / "other"
    other.mkdir()
    (other / "runs").symlink_to(tmp_path / "runs")
    with pytest.raises(StorageError, match="symbolic link"):
        list(list_jobs(other))


def test_nothing_of_a_live_attempt_goes(tmp_path: Path) -> None:
    fill(tmp_path, "state-000000001.pt", ".state-2.pt.1-ab.tmp", "log.txt", age_seconds=10**6)
    found = look(tmp_path, Claims(has_attempt=True, is_live=True, is_latest=True))
    assert found == Judgement(folder=FOLDER, standing=Standing.LIVE, whole=Usage(3, 30))


def test_of_an_attempt_that_is_left_only_its_history_stays(tmp_path: Path) -> None:
    fill(tmp_path, "log.txt", "journal.jsonl", "losses.jsonl", "quality.jsonl", "reals.png", "samples-000000100.png")
    fill(tmp_path, "state-000000001.pt", "model/weights.safetensors", "model/model.json", "result.json", ".x.tmp")
    found = look(tmp_path, LEFT)
    assert found.standing is Standing.LEFT
    assert set(names(found)) == {"state-000000001.pt", "model", "result.json", ".x.tmp"}
    assert (found.whole, found.waste) == (Usage(11, 110), Usage(5, 50))

    assert remove(tmp_path, found.scraps) == Usage(5, 50)
    assert files(tmp_path / FOLDER.path) == {
        "log.txt",
        "journal.jsonl",
        "losses.jsonl",
        "quality.jsonl",
        "reals.png",
        "samples-000000100.png",
    }
    assert look(tmp_path, LEFT).scraps == ()


def test_an_orphan_goes_whole_once_its_youngest_file_is_old_enough(tmp_path: Path) -> None:
    base = fill(tmp_path, "log.txt", "model/config.json", age_seconds=7200)
    fresh = fill(tmp_path, "model/weights.safetensors", age_seconds=60) / "model/weights.safetensors"
    found = look(tmp_path, ORPHAN)
    assert (found.standing, found.is_young, found.scraps) == (Standing.ORPHAN, True, ())

    for path in (fresh, base / "model", base):
        os.utime(path, (time.time() - 7200,) * 2)
    found = look(tmp_path, ORPHAN)
    assert [scrap.path for scrap in found.scraps] == [FOLDER.path]
    assert remove(tmp_path, found.scraps) == Usage(3, 30)
    assert not base.exists()
    remove_empty_folders(tmp_path, 7, 9)
    assert list((tmp_path / "runs").iterdir()) == []


def test_an_orphan_stays_while_nobody_has_said_why_and_as_long_as_it_holds_a_model(tmp_path: Path) -> None:
    fill(tmp_path, "log.txt", age_seconds=7200)
    judged = judge(tmp_path, FOLDER, ORPHAN, cutoff=time.time(), acknowledged=time.time() - 7300)
    assert (judged.is_later, judged.is_young, judged.scraps) == (True, False, ())
    assert judge(tmp_path, FOLDER, ORPHAN, cutoff=time.time()).scraps
    fill(tmp_path, "model/model.json", age_seconds=7200)
    found = judge(tmp_path, FOLDER, ORPHAN, cutoff=time.time())
    assert (found.is_later, found.is_published, found.scraps) == (False, True, ())


def test_a_folder_that_a_row_needs_is_published_even_without_its_attempt(tmp_path: Path) -> None:
    fill(tmp_path, "shard-000000.tar", "state-000000001.pt", age_seconds=10**6)
    needed = frozenset({f"{FOLDER.path}/shard-000000.tar"})
    found = look(tmp_path, Claims(has_attempt=False, needed=needed))
    assert (found.standing, found.scraps) == (Standing.PUBLISHED, ())


def test_of_a_published_folder_go_states_and_shards_without_a_row(tmp_path: Path) -> None:
    fill(tmp_path, "state-000000001.pt", "state-000000002.pt", "shard-000000.tar", "shard-000001.tar", "dataset.bin")
    fill(tmp_path, "best-000000001/weights.safetensors", "best-000000002/weights.safetensors", "model/model.json")
    needed = {"state-000000002.pt", "best-000000002/weights.safetensors", "shard-000000.tar", "model"}
    claims = Claims(has_attempt=True, has_ended=True, needed=frozenset(f"{FOLDER.path}/{name}" for name in needed))
    found = look(tmp_path, claims)
    assert found.standing is Standing.PUBLISHED
    gone = {"state-000000001.pt", "best-000000001", "shard-000001.tar"}
    assert names(found) == dict.fromkeys(gone, Waste.UNPUBLISHED)

    unfinished = Claims(has_attempt=True, needed=claims.needed)
    assert look(tmp_path, unfinished).scraps == ()


def test_the_latest_attempt_keeps_all_but_states_and_models_without_a_row_and_old_temporary_files(
    tmp_path: Path,
) -> None:
    fill(tmp_path, "log.txt", "result.json", "evaluation.json", "state-000000001.pt", "model/model.json")
    fill(tmp_path, "pictures/a.png")
    fill(tmp_path, ".state-2.pt.1-ab.tmp", "pictures/.a.png.1-ab.tmp", age_seconds=7200)
    fill(tmp_path, ".state-3.pt.1-ab.tmp", age_seconds=60)
    found = look(tmp_path, LATEST)
    assert found.standing is Standing.LATEST
    assert names(found) == {
        "state-000000001.pt": Waste.UNPUBLISHED,
        ".state-2.pt.1-ab.tmp": Waste.TEMPORARY,
        "pictures/.a.png.1-ab.tmp": Waste.TEMPORARY,
        "model": Waste.UNPUBLISHED,
    }
    remove(tmp_path, found.scraps)
    kept = {"log.txt", "result.json", "evaluation.json", "pictures/a.png", ".state-3.pt.1-ab.tmp"}
    assert files(tmp_path / FOLDER.path) == kept


def test_links_inside_a_folder_go_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep/precious").write_text("1")
    base = fill(tmp_path, "model/model.json")
    (base / "way-out").symlink_to(outside)
    (base / "model/way-out").symlink_to(outside)
    (base / "log.txt").symlink_to(outside / "deep/precious")
    remove(tmp_path, look(tmp_path, LEFT).scraps)
    assert list(base.iterdir()) == []
    assert (outside / "deep/precious").read_text() == "1"


def test_a_folder_that_became_a_link_after_the_judgement_is_not_followed(tmp_path: Path) -> None:
    base = fill(tmp_path, "state-000000001.pt")
    scraps = look(tmp_path, LEFT).scraps
    outside = tmp_path / "outside"
    base.rename(outside)
    base.symlink_to(outside)
    with pytest.raises(StorageError):
        remove(tmp_path, scraps)
    assert (outside / "state-000000001.pt").exists()


def test_what_is_gone_already_is_no_fault(tmp_path: Path) -> None:
    fill(tmp_path, "state-000000001.pt", "model/model.json")
    scraps = look(tmp_path, LEFT).scraps
    assert remove(tmp_path, scraps) == Usage(2, 20)
    assert remove(tmp_path, scraps) == Usage()


def test_an_interrupted_removal_is_finished_by_the_next(tmp_path: Path) -> None:
    base = fill(tmp_path, "log.txt", ".trash-model-00ff/weights.safetensors")
    fill(tmp_path, "model.json", folder=AttemptFolder(7, 9, 1))
    (tmp_path / "runs/7/9/1").rename(tmp_path / "runs/7/9/.trash-1-00ff")
    for claims in (LEFT, LATEST, Claims(has_attempt=True, is_latest=True)):
        assert names(look(tmp_path, claims)) == {".trash-model-00ff": Waste.TRASH}
    (scrap,) = list_attempts(tmp_path, 7).trash
    assert (scrap.path, scrap.waste, scrap.usage) == ("runs/7/9/.trash-1-00ff", Waste.TRASH, Usage(1, 10))
    remove(tmp_path, [scrap, *look(tmp_path, LEFT).scraps])
    assert files(tmp_path) == {f"{FOLDER.path}/log.txt"}
    assert {path.name for path in base.parent.iterdir()} == {"2"}


def test_the_marker_of_a_shard_goes_before_the_files_that_it_vouches_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, "shard-000000.tar", "shard-000000.parquet", "shard-000000.json")
    order: list[str] = []
    real = os.unlink

    def noting(name: str, *, dir_fd: int | None = None) -> None:
        order.append(name)
        real(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", noting)
    remove(tmp_path, look(tmp_path, LEFT).scraps)
    assert order[0] == "shard-000000.json"
    assert len(order) == 3


@contextmanager
def plain_account(folder: Path) -> Iterator[None]:
    """An account that may change nothing in the folder: root becomes nobody."""
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_of_another_account_is_a_matter_of_permission(tmp_path: Path) -> None:
    base = fill(tmp_path, "state-000000001.pt")
    scraps = look(tmp_path, LEFT).scraps
    with plain_account(base), pytest.raises(PermissionDenied, match="state-000000001"):
        remove(tmp_path, scraps)
    assert (base / "state-000000001.pt").exists()


def test_folders_with_something_in_them_are_not_removed_as_empty(tmp_path: Path) -> None:
    fill(tmp_path, "log.txt")
    remove_empty_folders(tmp_path, 7, 9)
    remove_empty_folders(tmp_path, 7, 10)
    remove_empty_folders(tmp_path, 70, 1)
    assert (tmp_path / FOLDER.path / "log.txt").exists()


PIECES = st.sampled_from(["a", "b", "runs", "7", "9", "2", "model"])
PATHS = st.lists(PIECES, min_size=1, max_size=4).map("/".join)


@given(st.frozensets(PATHS, max_size=5), PATHS)
def test_a_path_is_protected_by_what_lies_below_and_above_it(needed: frozenset[str], path: str) -> None:
    slowly = any(f"{path}/".startswith(f"{need}/") or f"{need}/".startswith(f"{path}/") for need in needed)
    assert Claims(has_attempt=True, needed=needed).protects(path) is slowly
