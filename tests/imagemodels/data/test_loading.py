import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from imagemodels.data import DatasetMissing, UnknownDataset, check_dataset_name, load_dataset
from imagemodels.errors import DataError


def test_digits_are_real_labelled_and_parted() -> None:
    dataset = load_dataset("digits")
    assert dataset.images.shape == (1797, 8, 8, 1)
    assert dataset.images.max() == 255
    assert dataset.histogram()["3"] == 183
    assert len(dataset.test_indices) == pytest.approx(0.2 * 1797, abs=10)
    assert dataset.require_classes() is dataset.labels


@pytest.mark.parametrize(("size", "channels"), [(16, 1), (28, 3), (33, 1)])
def test_digits_come_in_any_size_and_colour(size: int, channels: int) -> None:
    dataset = load_dataset("digits", image_size=size, channels=channels)
    assert dataset.images.shape[1:] == (size, size, channels)
    assert dataset.image_size == size
    assert dataset.channels == channels


def test_the_held_out_part_does_not_depend_on_the_size_but_on_the_seed() -> None:
    small, large = load_dataset("digits"), load_dataset("digits", image_size=16)
    assert np.array_equal(small.test_indices, large.test_indices)
    assert small.fingerprint != large.fingerprint
    other = load_dataset("digits", seed=1)
    assert not np.array_equal(small.test_indices, other.test_indices)
    assert load_dataset("digits").fingerprint == small.fingerprint


def test_an_unknown_name_gets_a_hint() -> None:
    with pytest.raises(UnknownDataset, match=r"unknown data set 'fashon-mnist' \(did you mean 'fashion-mnist'\?\)"):
        load_dataset("fashon-mnist")
    with pytest.raises(
        UnknownDataset,
        match=r"known are digits, mnist, .*, folder:PATH, zip:PATH, tar:PATH, idx:PATH",
    ):
        load_dataset("zebra")


def test_a_name_is_checked_without_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cats" / "tabby").mkdir(parents=True)
    assert check_dataset_name("digits") == "digits"
    with pytest.raises(DatasetMissing, match="the folder is empty"):
        check_dataset_name("folder:cats")
    (tmp_path / "cats" / "tabby" / "tom.png").touch()
    assert check_dataset_name("folder:cats") == f"folder:{tmp_path / 'cats'}"
    with pytest.raises(DatasetMissing, match="there is no such folder"):
        check_dataset_name("folder:dogs")
    with pytest.raises(UnknownDataset, match="did you mean 'folder:cats'"):
        check_dataset_name("cats")
    with pytest.raises(UnknownDataset, match="lacks its path"):
        check_dataset_name("idx:")
    with pytest.raises(UnknownDataset, match="digits takes no path"):
        check_dataset_name("digits:/tmp")
    (tmp_path / "file.png").touch()
    with pytest.raises(DatasetMissing, match="this is a file"):
        check_dataset_name("folder:file.png")


@pytest.mark.parametrize(("size", "channels", "reason"), [(7, 1, "image size 7"), (16, 4, "4 channels")])
def test_a_format_that_the_data_cannot_give_is_refused(size: int, channels: int, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        load_dataset("digits", image_size=size, channels=channels)


def test_reading_data_does_not_load_torch() -> None:
    program = (
        "import sys; from imagemodels.data import check_dataset_name, load_dataset; check_dataset_name('digits');"
        "assert 'sklearn' not in sys.modules; load_dataset; import imagemodels.data.loading;"
        "assert not {'torch', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_an_unknown_way_with_bad_images_is_refused() -> None:
    with pytest.raises(DataError, match="on_bad_image 'ignore' is unknown; choose one of fail, skip"):
        load_dataset("digits", on_bad_image="ignore")  # type: ignore[arg-type]
