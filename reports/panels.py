"""A chart on each of the axes that show something, for the reader to switch between them."""

from collections.abc import Sequence

from markupsafe import Markup

from reports.charts import line_chart, wants_logarithm
from reports.data import Series
from reports.levels import Level


def line_panels(
    chart_id: str, series: Sequence[Series], title: str, levels: Sequence[Level] = ()
) -> list[tuple[str, Markup]]:
    """Draw the chart on a linear axis and, where it shows more, on a logarithmic one too."""
    panels = [("linear", line_chart(f"{chart_id}-linear", series, title=title, levels=levels))]
    if wants_logarithm(series):
        log = line_chart(f"{chart_id}-log", series, title=title, levels=levels, logarithmic=True)
        panels.append(("log", log))
    return panels
