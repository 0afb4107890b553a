"""Programs of others open what was written, and see the same pixels and labels."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from storage.cards import stored_as, write_card
from storage.encoders import PIXELS, find_encoder
from storage.outputs import write_dataset_index
from storage.shards import ShardMeta, write_shard
from tests.storage.samples import META, image_batch

COUNT = 12
BATCH = image_batch(0, COUNT)
LABELS = [index % 3 for index in range(COUNT)]


def published(folder: Path, format_name: str, encoder: str | None = None, meta: ShardMeta = META) -> Path:
    """The images in two shards."""
    records = []
    for number, batch in enumerate((image_batch(0, 8), image_batch(8, 4))):
        made = find_encoder(PIXELS if format_name == "raw" else encoder)
        record = write_shard(
            folder, number, [batch], meta, encoder=made, format_name=format_name, expected_count=len(batch)
        )
        records.append(record)
    write_card(folder, write_dataset_index(folder, records, name="cats", details=stored_as(records)))
    return folder


def pixels(image: Image.Image) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    return np.asarray(image)


@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("encoder", ["png", "webp"])
def test_webdataset_and_torch_read_the_archives(tmp_path: Path, encoder: str) -> None:
    import webdataset
    from torch.utils.data import DataLoader

    meta = ShardMeta("c" * 64, "fp32", 7, label_files=True)
    folder = published(tmp_path, "webdataset", encoder, meta)
    data = webdataset.WebDataset(str(folder / "shard-{000000..000001}.tar"), shardshuffle=False)
    samples = list(data.decode("rgb8").to_tuple(encoder, "cls"))
    np.testing.assert_array_equal(np.stack([image for image, _label in samples]), BATCH.images)
    assert [label for _image, label in samples] == LABELS
    (images, labels), _rest = list(DataLoader(data.decode("rgb8").to_tuple(encoder, "cls"), batch_size=8))
    np.testing.assert_array_equal(images.numpy(), BATCH.images[:8])
    assert labels.tolist() == LABELS[:8]


@pytest.mark.filterwarnings("ignore")
def test_datasets_reads_the_tables_and_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("HF_HOME", str(tmp_path / "home")), ("HF_HUB_OFFLINE", "1"), ("HF_DATASETS_OFFLINE", "1")):
        monkeypatch.setenv(name, value)
    import datasets

    datasets.disable_progress_bars()
    folder = published(tmp_path / "tables", "parquet", "png-small")
    data = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert data.features["label"].names == list(META.class_names)
    assert data["label"][:] == LABELS
    np.testing.assert_array_equal(np.stack([pixels(row["image"]) for row in data]), BATCH.images)

    folder = published(tmp_path / "folders", "files") / "files"
    data = datasets.load_dataset(
        "imagefolder", data_dir=str(folder), split="train", cache_dir=str(tmp_path / "cache"), drop_labels=False
    )
    assert (len(data), data.features["label"].names) == (COUNT, sorted(META.class_names))


def test_pyarrow_and_pillow_read_the_tables(tmp_path: Path) -> None:
    folder = published(tmp_path, "parquet", "webp")
    tables = [pq.read_table(folder / f"shard-{number:06d}.images.parquet") for number in (0, 1)]
    rows = [row for table in tables for row in table.to_pylist()]
    assert [row["label"] for row in rows] == LABELS
    assert [row["image"]["path"] for row in rows] == [f"{index:09d}.webp" for index in range(COUNT)]
    made = [pixels(Image.open(io.BytesIO(row["image"]["bytes"]))) for row in rows]
    np.testing.assert_array_equal(np.stack(made), BATCH.images)


def test_numpy_maps_the_blocks_and_torch_takes_them(tmp_path: Path) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    folder = published(tmp_path, "raw")
    blocks = [np.load(folder / f"shard-{number:06d}.npy", mmap_mode="r") for number in (0, 1)]
    assert [type(block) for block in blocks] == [np.memmap, np.memmap]
    images = np.concatenate(blocks)
    labels = pq.read_table(folder / "shard-000000.parquet")["label"].to_pylist()
    np.testing.assert_array_equal(images, BATCH.images)
    data = TensorDataset(torch.from_numpy(images[:8]), torch.tensor(labels))
    found_images, found_labels = next(iter(DataLoader(data, batch_size=8)))
    np.testing.assert_array_equal(found_images.numpy(), BATCH.images[:8])
    assert found_labels.tolist() == LABELS[:8]


def test_pillow_reads_the_files_and_the_folders_are_the_classes(tmp_path: Path) -> None:
    from imagemodels.data import load_dataset

    folder = published(tmp_path, "files", "webp") / "files"
    for index in range(COUNT):
        with Image.open(folder / META.class_names[index % 3] / f"{index:09d}.webp") as image:
            np.testing.assert_array_equal(pixels(image), BATCH.images[index])
    data = load_dataset(f"folder:{folder}", image_size=8)
    assert (len(data), list(data.class_names)) == (COUNT, sorted(META.class_names))
