import subprocess
import sys

import pytest

import imagemodels

LOADED = "import sys; {}; print(sorted({{'torch', 'sklearn', 'PIL'}} & set(sys.modules)))"


def modules_loaded_by(statement: str) -> str:
    command = [sys.executable, "-c", LOADED.format(statement)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("module", ["imagemodels", "imagemodels.presets", "imagemodels.random", "imagemodels.card"])
def test_importing_it_does_not_load_torch(module: str) -> None:
    assert modules_loaded_by(f"import {module}") == "[]"


def test_a_training_configuration_can_be_checked_without_torch() -> None:
    statement = "from imagemodels import TrainConfig; TrainConfig(preset='vae', image_size=16, channels=1, images=1)"
    assert modules_loaded_by(statement) == "[]"


def test_every_promised_name_exists() -> None:
    assert all(getattr(imagemodels, name) is not None for name in imagemodels.__all__)
    assert set(imagemodels.__all__) <= set(dir(imagemodels))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = imagemodels.trian
