"""The options of each family of models, with ranges that are checked where a value enters. Free of torch."""

from imagemodels.options.base import DescentOptions, ImageOptions, Shape
from imagemodels.options.classifier import ClassifierOptions
from imagemodels.options.codec import CodecOptions
from imagemodels.options.generators import (
    AdversarialOptions,
    AutoencoderOptions,
    DecoderOptions,
    ForestOptions,
    HybridOptions,
    JudgedOptions,
)
from imagemodels.options.restorers import DEGRADATION_NAMES, RestorationOptions, TranslationOptions
from imagemodels.options.sequences import SequenceOptions

Options = (
    AutoencoderOptions
    | HybridOptions
    | AdversarialOptions
    | ClassifierOptions
    | ForestOptions
    | CodecOptions
    | SequenceOptions
    | RestorationOptions
)

__all__ = [
    "DEGRADATION_NAMES",
    "AdversarialOptions",
    "AutoencoderOptions",
    "ClassifierOptions",
    "CodecOptions",
    "DecoderOptions",
    "DescentOptions",
    "ForestOptions",
    "HybridOptions",
    "ImageOptions",
    "JudgedOptions",
    "Options",
    "RestorationOptions",
    "SequenceOptions",
    "Shape",
    "TranslationOptions",
]
