"""Metrics beside their controls, as tables of a terminal."""

from collections.abc import Sequence

from cli.output import Column
from client.metrics import ControlColumn, controls_of, number
from client.wording import count
from imagemodels.evaluation.report import Metric


def metric_table(metrics: Sequence[Metric]) -> tuple[list[Column], list[list[str]]]:
    """Columns and rows of a table."""
    controls = controls_of(metrics)
    columns = [
        Column(title="METRIC", shrinks=True),
        Column(title="VALUE", align="right"),
        Column(title="N", align="right", dropped=2),
        Column(title="BETTER"),
        *control_columns(controls),
    ]
    rows = [
        [metric.name, number(metric.value), count(metric.n), metric.better, *control_cells(metric, controls)]
        for metric in metrics
    ]
    return columns, rows


def control_columns(controls: Sequence[ControlColumn]) -> list[Column]:
    """Those of a table."""
    return [Column(title=control.title, align="right", dropped=1) for control in controls]


def control_cells(metric: Metric | None, controls: Sequence[ControlColumn]) -> list[str]:
    """Their cells; a dash for what was not measured."""
    return [number(None if metric is None else control.value(metric)) for control in controls]
