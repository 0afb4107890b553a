"""The options of classifiers."""

from dataclasses import dataclass, field

from imagemodels.optionchecks import within
from imagemodels.options.base import ImageOptions


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions(ImageOptions):
    """A convolutional classifier."""

    feature_size: int = field(default=64, metadata=within(1, 4096))  # of the penultimate layer
    weight_decay: float = field(default=0.0, metadata=within(0.0, 1.0))

    @property
    def objective(self) -> str:
        """What is minimised."""
        return "cross-entropy"
