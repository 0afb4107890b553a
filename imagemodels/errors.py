"""Everything that imagemodels raises on purpose.

    ModelError
    ├── ConfigError            an option, a size or a combination that no model can have
    │   └── UnknownPreset      a preset name that does not exist
    ├── DataError              the images cannot be used for what was asked
    │   └── DamagedFile        a compressed image is cut short, altered, or of another model
    ├── CorruptCheckpoint      a stored model or training state is not what was written
    ├── NonFiniteLoss          training diverged
    ├── OutOfMemory            not even one image at a time fits into the device's memory
    └── RankLost               another process that takes part in the same run is gone

The data readers add their own kinds below DataError.
"""


class ModelError(Exception):
    """The root of all errors that imagemodels raises on purpose."""


class ConfigError(ModelError):
    """An option, a size or a combination of options that no model can have."""


class UnknownPreset(ConfigError):
    """A preset was asked for by a name that does not exist."""


class DataError(ModelError):
    """The images or labels cannot be used for what was asked."""


class DamagedFile(DataError):
    """A compressed image is cut short, altered, or of another model."""


class CorruptCheckpoint(ModelError):
    """A stored model or training state is unreadable, altered, or of another configuration."""


class NonFiniteLoss(ModelError):
    """A loss or a weight became NaN or infinite; the weights in memory are worthless."""


class OutOfMemory(ModelError):
    """Not even a batch of one image fits into the device's memory."""


class RankLost(ModelError):
    """Another process that takes part in the same run is gone; this one cannot go on without it."""
