"""Everything that decides how a model is trained, apart from the images and the device. Free of torch."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from imagemodels.errors import ConfigError
from imagemodels.names import did_you_mean
from imagemodels.options import DescentOptions, Shape
from imagemodels.presets import Preset, check_shape, resolve
from imagemodels.shares import check_devices

LARGEST_BATCH = 4096  # images
PRECISIONS = ("fp32", "bf16", "auto")
# What may differ between a stored training state and the run that goes on from it.
FREE_ON_RESUME = frozenset({"images", "evaluate_every", "samples_every"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One training run.

    Raises ConfigError, or UnknownPreset, when no model can be trained that way.
    """

    preset: str
    image_size: int  # pixels a side
    channels: int  # 1 or 3
    images: int  # the budget: images seen by the optimizer, rounded up to whole batches
    num_classes: int = 0  # 0: unconditional
    overrides: Mapping[str, object] = field(default_factory=dict)
    batch_size: int | None = None  # None: the preset's
    seed: int = 0
    precision: str = "fp32"
    devices: int = 1  # each learns from a share of every batch
    images_before: int = 0  # that the weights which training begins with have learnt from; 0: they are drawn
    evaluate_every: int = 0  # images between two quality measurements; 0: none
    samples_every: int = 0  # images between two sample grids; 0: none
    sample_count: int = 64  # images of a sample grid

    def __post_init__(self) -> None:
        check_shape(self.image_size, self.channels, self.num_classes)
        for name in ("evaluate_every", "samples_every", "seed", "images_before"):
            _require_whole(name, getattr(self, name), 0)
        for name in ("images", "sample_count", "devices"):
            _require_whole(name, getattr(self, name), 1)
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision is one of {', '.join(PRECISIONS)}; got {self.precision!r}")
        if not 2 <= self.effective_batch_size <= LARGEST_BATCH:
            raise ConfigError(f"batch_size lies between 2 and {LARGEST_BATCH}, got {self.batch_size}")
        check_devices(self.preset, self.model, self.devices, self.effective_batch_size)
        if self.model.family == "classifier" and self.num_classes < 2:
            raise ConfigError(f"preset {self.preset!r} is a classifier and needs num_classes of at least 2, got 0")
        if self.num_classes and not self.model.traits.learns_classes:
            raise ConfigError(f"preset {self.preset!r} learns no classes: num_classes is 0, got {self.num_classes}")
        self.model.options.check(Shape(self.image_size, self.channels, self.num_classes))

    @property
    def model(self) -> Preset:
        """The preset with this run's overrides."""
        return resolve(self.preset, self.overrides)

    @property
    def descent(self) -> DescentOptions:
        """The preset's options; raises ConfigError when it is not trained by gradients."""
        options = self.model.options
        if not isinstance(options, DescentOptions):
            raise ConfigError(f"preset {self.preset!r} is not trained by gradients: imagemodels.train makes it")
        return options

    @property
    def effective_batch_size(self) -> int:
        """Images of one optimizer step."""
        return self.batch_size if self.batch_size is not None else self.model.options.batch_size

    @property
    def device_batch_size(self) -> int:
        """Images of one step that a device learns from, at most."""
        return -(-self.effective_batch_size // self.devices)

    @property
    def total_images(self) -> int:
        """The budget rounded up to whole batches."""
        return -(-self.images // self.effective_batch_size) * self.effective_batch_size

    def to_json(self) -> str:
        """Return the configuration as one line of JSON with sorted keys."""
        return json.dumps(asdict(self) | {"overrides": dict(self.overrides)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """Return what ``to_json`` wrote; raises ConfigError when it is no such text."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"a training configuration is JSON: {error}") from error
        if not isinstance(values, dict):
            raise ConfigError(f"a training configuration is a JSON object, got {type(values).__name__}")
        return cls.from_mapping(values)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """Return the configuration of these values; raises ConfigError for an unknown or a missing one."""
        known = [entry.name for entry in fields(cls)]
        for name in values:
            if name not in known:
                raise ConfigError(f"training has no setting {name!r}{did_you_mean(name, known)}")
        missing = [name for name in ("preset", "image_size", "channels", "images") if name not in values]
        if missing:
            raise ConfigError(f"training needs {', '.join(missing)}")
        return cls(**values)

    def differences(self, other: "TrainConfig") -> list[str]:
        """Return one phrase for each setting in which a run cannot go on from the state of ``other``."""
        names = [entry.name for entry in fields(self) if entry.name not in FREE_ON_RESUME]
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in names]
        return [f"{name} {theirs!r} -> {mine!r}" for name, mine, theirs in pairs if mine != theirs]


def _require_whole(name: str, value: object, lowest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise ConfigError(f"{name} is a whole number of at least {lowest}, got {value!r}")
