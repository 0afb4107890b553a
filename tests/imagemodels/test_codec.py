import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from imagemodels.card import Metadata, read_card
from imagemodels.codec import Codec
from imagemodels.coding.entropy import TOTAL
from imagemodels.data import ImageDataset
from imagemodels.data.dataset import dataset_from_arrays
from imagemodels.errors import ConfigError, CorruptCheckpoint, DamagedFile, DataError
from imagemodels.evaluation.fidelity import psnr
from imagemodels.export import load_model, save_model
from imagemodels.runtime import Runtime
from imagemodels.shell import sample, train
from tests.imagemodels.pictures import digits

RUNTIME = Runtime(threads=1)


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    """Digits of 16 pixels."""
    images, _labels = digits(16)
    return dataset_from_arrays("digits", np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy()[:900]))


@pytest.fixture(scope="module")
def codec(data: ImageDataset) -> Codec:
    """A codec trained for some seconds."""
    model = train("fsq-ae", data, images=3_200, runtime=RUNTIME, width=16, batch_size=16, learning_rate=2e-3)
    assert isinstance(model, Codec)
    return model


def test_held_out_images_come_back_much_alike_from_much_smaller_files(codec: Codec, data: ImageDataset) -> None:
    held_out = data.images[data.test_indices]
    files = codec.compress(held_out)
    decoded = codec.decompress(files)
    pair = [torch.from_numpy(images).permute(0, 3, 1, 2) for images in (decoded, held_out)]
    flat = torch.full_like(pair[0], int(held_out.mean()))
    assert psnr(pair[0], pair[1]).mean() > psnr(flat, pair[1]).mean() + 4
    unfitted = 8 + 4 + 16 * 10 / 8  # bytes: header, state, and the codes if all were alike
    assert np.mean([len(content) for content in files]) < unfitted - 1.5


def test_the_frequencies_are_those_of_the_training_images(codec: Codec) -> None:
    frequencies = codec.network.frequencies
    assert (frequencies.dtype, int(frequencies.sum(2).max()), int(frequencies.sum(2).min())) == (
        torch.int32,
        TOTAL,
        TOTAL,
    )
    assert frequencies[0].max() > 2 * TOTAL / 8  # of 8 levels that were alike each would have an eighth


def test_pixels_do_not_depend_on_the_files_beside_them(codec: Codec, data: ImageDataset) -> None:
    files = codec.compress(data.images[:70])
    together = codec.decompress(files)
    alone = np.concatenate([codec.decompress([content]) for content in files[60:]])
    assert np.array_equal(alone, together[60:])


def test_a_codec_comes_back_from_its_folder_and_reads_the_files_in_another_process(
    codec: Codec, data: ImageDataset, tmp_path: Path
) -> None:
    save_model(tmp_path / "model", codec, Metadata(preset="fsq-ae", images_seen=1, seed=0))
    assert read_card(tmp_path / "model").digest == codec.digest
    content = codec.compress(data.images[:1])[0]
    (tmp_path / "one.pmc").write_bytes(content)
    code = (
        "import sys, hashlib; from pathlib import Path; from imagemodels import Runtime, load_model\n"
        "codec = load_model(Path(sys.argv[1]), Runtime(threads=1)); content = Path(sys.argv[2]).read_bytes()\n"
        "print(hashlib.sha256(codec.read(content).tobytes()).hexdigest())\n"
        "print(hashlib.sha256(codec.decompress([content]).tobytes()).hexdigest())\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model"), str(tmp_path / "one.pmc")]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    expected = (codec.read(content), codec.decompress([content]))
    assert found == [hashlib.sha256(array.tobytes()).hexdigest() for array in expected]


def test_a_file_of_another_model_is_refused(codec: Codec, data: ImageDataset) -> None:
    other = train("fsq-ae", data, images=32, runtime=RUNTIME, width=4, seed=1)
    assert isinstance(other, Codec)
    with pytest.raises(DamagedFile, match=f"not of {codec.digest[:8]}"):
        codec.decompress(other.compress(data.images[:1]))


def test_altered_frequencies_are_refused_with_the_model(codec: Codec, tmp_path: Path) -> None:
    changed = codec.network.frequencies.clone()
    changed[0, 0, 0] += 1
    kept = codec.network.frequencies.clone()
    codec.network.frequencies.copy_(changed)
    try:
        save_model(tmp_path, codec, Metadata(preset="fsq-ae", images_seen=1, seed=0))
    finally:
        codec.network.frequencies.copy_(kept)
    with pytest.raises(CorruptCheckpoint, match="frequencies of code channel 0"):
        load_model(tmp_path, RUNTIME)


def test_images_of_another_shape_are_refused(codec: Codec) -> None:
    with pytest.raises(DataError, match=r"16 × 16 pixels in 1 channels; found uint8 \(8, 8, 1\)"):
        codec.compress(np.zeros((1, 8, 8, 1), dtype=np.uint8))


def test_a_codec_makes_no_images_of_nothing(codec: Codec) -> None:
    with pytest.raises(ConfigError, match="a codec: it makes no images"):
        sample(codec, count=1)
