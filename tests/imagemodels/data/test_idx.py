import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagemodels.data import BadImage, DatasetMissing, load_dataset
from imagemodels.data.idx import read_idx
from imagemodels.errors import DataError
from tests.imagemodels.data.pictures import idx_bytes, write_idx_parts


@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=st.integers(0, 1000), packed=st.booleans())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], seed: int, packed: bool
) -> None:
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(gzip.compress(idx_bytes(array), mtime=0) if packed else idx_bytes(array))
    assert np.array_equal(read_idx(path), array)


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_of_parts_keeps_the_official_split(tmp_path: Path, packed: bool) -> None:
    write_idx_parts(tmp_path, train=40, test=10, packed=packed)
    dataset = load_dataset(f"idx:{tmp_path}")
    assert dataset.images.shape == (50, 12, 12, 1)
    assert dataset.split == "official"
    assert dataset.train_indices.tolist() == list(range(40))
    assert dataset.test_indices.tolist() == list(range(40, 50))
    assert dataset.class_names == ("0", "1", "2", "3")


def test_compression_does_not_change_the_fingerprint(tmp_path: Path) -> None:
    write_idx_parts(tmp_path / "packed", packed=True)
    write_idx_parts(tmp_path / "plain", packed=False)
    packed, plain = load_dataset(f"idx:{tmp_path / 'packed'}"), load_dataset(f"idx:{tmp_path / 'plain'}")
    assert packed.fingerprint == plain.fingerprint


def test_a_single_file_takes_the_labels_beside_it(tmp_path: Path) -> None:
    write_idx_parts(tmp_path)
    labelled = load_dataset(f"idx:{tmp_path / 'train-images-idx3-ubyte.gz'}", image_size=8)
    assert labelled.histogram() == {"0": 10, "1": 10, "2": 10, "3": 10}
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    assert load_dataset(f"idx:{tmp_path / 'train-images-idx3-ubyte.gz'}", image_size=8).labels is None


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    write_idx_parts(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetMissing, match=r"neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte.gz"):
        load_dataset(f"idx:{tmp_path}")


def test_labels_of_another_number_are_refused(tmp_path: Path) -> None:
    write_idx_parts(tmp_path)
    labels = np.zeros(3, dtype=np.uint8)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(labels), mtime=0))
    with pytest.raises(DataError, match="for 40 images; one label an image is needed"):
        load_dataset(f"idx:{tmp_path}")


IMAGES = idx_bytes(np.zeros((4, 8, 8), dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an IDX file: it begins with nothing"),
        (b"PNG!", "not an IDX file"),
        (b"\0\0\x0d\x03" + bytes(12), "element type 0x0d"),
        (IMAGES[:10], "truncated within its header"),
        (IMAGES[:-1], "truncated: 255 of 256 bytes"),
        (IMAGES + b"x", "longer than its header's shape"),
        (gzip.compress(IMAGES, mtime=0)[:-12], "damaged or truncated gzip data"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "its header promises"),
        (idx_bytes(np.zeros((4, 8), dtype=np.uint8)), r"shape \(4, 8\) is not"),
    ],
)
def test_a_damaged_file_is_refused_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(BadImage, match=reason):
        load_dataset(f"idx:{path}")
