"""Which models may begin with the weights of which."""

from contextlib import suppress
from dataclasses import asdict, fields, replace
from typing import Any

import pytest

from imagemodels.beginning import NETWORK_OPTIONS, differences
from imagemodels.errors import ConfigError
from imagemodels.presets import resolve
from imagemodels.runtime import Runtime
from imagemodels.training.config import TrainConfig
from imagemodels.training.families import new_task
from tests.imagemodels.training.test_trainer import SMALL, small_config

OTHER: dict[str, Any] = {
    "upsample": "transposed",
    "norm": "none",
    "discriminator_norm": "batch",
    "levels": "5,4,3",
    "halvings": 1,
    "patch_halvings": 1,
    "depth": 1,
    "degradation": "given",
}
# Of a network's description, what says nothing of its weights: how they are drawn, and how strong a damage is.
BESIDE = ("initialisation", "degradation")
LATER = {"backbone", "cell"}  # a preset of its own each, which sets other options as well


def built(config: TrainConfig) -> dict[str, Any]:
    """What the networks of a configuration are made of."""
    made: dict[str, Any] = {}
    for name, network in new_task(config, Runtime(threads=1)).networks.items():
        spec: Any = network.spec
        values = {key: value for key, value in asdict(spec).items() if key not in BESIDE}
        made[name] = values, [(key, tensor.shape) for key, tensor in network.state_dict().items()]
    return made


def other_value(name: str, value: Any) -> Any:
    if name in OTHER:
        return OTHER[name]
    if isinstance(value, float):
        return value / 2
    return not value if isinstance(value, bool) else 2 * value if isinstance(value, int) else value


@pytest.mark.parametrize("preset", ["vae", "mlp-vae", "vae-gan", "sngan", "cnn", "fsq-ae", "convlstm", "pix2pix"])
def test_the_options_by_which_networks_are_built_are_known(preset: str) -> None:
    plain = small_config(preset)
    options, expected = plain.model.options, built(plain)
    shaping: set[str] = set()
    for name in (entry.name for entry in fields(options)):
        with suppress(ConfigError):  # of an option that means nothing here, or whose other value is impossible
            value = other_value(name, getattr(options, name))
            if name not in LATER and built(replace(plain, overrides={**SMALL[preset], name: value})) != expected:
                shaping.add(name)
    assert {"width"} <= shaping <= NETWORK_OPTIONS


def test_what_differs_is_named() -> None:
    vae = resolve("vae", {"width": 8})
    assert differences(vae, vae) == []
    assert differences(vae, resolve("vae", {"width": 8, "learning_rate": 0.5, "mixture": 0, "batch_size": 8})) == []
    assert differences(vae, resolve("vae", {"latent_size": 8})) == ["width 8, and not 32", "latent_size 64, and not 8"]
    assert differences(vae, resolve("beta-vae")) == ["preset vae, and not beta-vae"]
