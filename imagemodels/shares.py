"""Which runs can be shared out to several devices. Free of torch."""

from imagemodels.errors import ConfigError
from imagemodels.presets import Preset

SMALLEST_SHARE = 2  # images of a batch that a device needs: one alone has no statistics


def check_devices(name: str, preset: Preset, devices: int, batch_size: int) -> None:
    """Raise ConfigError unless a batch can be shared out to so many devices, for a preset of that name."""
    if devices == 1:
        return
    if not preset.traits.shares_batches:
        raise ConfigError(f"preset {name!r} is trained on one device; {devices} were asked for")
    if batch_size < SMALLEST_SHARE * devices:
        raise ConfigError(
            f"a batch of {batch_size} images is too small for {devices} devices: each needs {SMALLEST_SHARE} of them"
        )
