from contextlib import closing
from pathlib import Path

import pytest
import torch

from imagemodels.card import Metadata
from imagemodels.export import load_model
from imagemodels.networks.decoder import ConvDecoder
from imagemodels.networks.specs import ConvDecoderSpec
from imagemodels.runtime import Runtime
from imagemodels.sampling import Generator
from pixmill.errors import StorageError
from storage.atomic import sha256_file
from tests.worker.desks import Listener
from tests.worker.test_nan import SPEC
from worker.device import facts
from worker.device.exporting import export_model
from worker.device.warm import WarmModels

METADATA = Metadata(
    preset="vae", images_seen=64, seed=0, dataset="digits", dataset_fingerprint="ab" * 32, class_names=()
)


@pytest.fixture
def generator() -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = ConvDecoder(ConvDecoderSpec(image_size=8, channels=1, latent_size=4, width=4))
    return Generator(network, Runtime("cpu", precision="fp32", threads=1))


def test_an_exported_model_is_read_back(tmp_path: Path, generator: Generator) -> None:
    sha256 = export_model(tmp_path / "run" / "model", generator, METADATA)
    assert sha256 == sha256_file(tmp_path / "run" / "model" / "weights.safetensors")
    loaded = load_model(tmp_path / "run" / "model", generator.runtime)
    assert loaded.digest == generator.digest


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, generator: Generator) -> None:
    (tmp_path / "model").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot write "):
        export_model(tmp_path / "model", generator, METADATA)


def test_a_model_names_the_code_that_trained_it_whatever_was_changed_since_the_process_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source" / "imagemodels" / "objectives.py"
    source.parent.mkdir(parents=True)
    source.write_text("as it was imported")
    monkeypatch.setattr(facts, "REPOSITORY", tmp_path / "source")
    warm, imported = WarmModels("cpu", 1), facts.code_sha256()
    source.write_text("as it was installed later")
    with closing(Listener(tmp_path / "run", spec=SPEC.model_dump())) as listener:
        lineage = listener.run(warm).answer["result"]["lineage"]
    assert lineage["code_sha256"] == imported != facts.code_sha256()
