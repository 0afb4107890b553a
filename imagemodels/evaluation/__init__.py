"""Is a set of generated images any good? Distances, coverage, usefulness, memorisation, each with its controls."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagemodels.evaluation.features import FeatureNet, feature_net
    from imagemodels.evaluation.protocol import evaluate
    from imagemodels.evaluation.quality import quality_metric
    from imagemodels.evaluation.report import EvaluationReport

_HOMES = {
    "EvaluationReport": "report",
    "FeatureNet": "features",
    "evaluate": "protocol",
    "feature_net": "features",
    "quality_metric": "quality",
}

__all__ = ["EvaluationReport", "FeatureNet", "evaluate", "feature_net", "quality_metric"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
