"""Pages that stay below a size: pictures that would take them beyond it are left out."""

from collections.abc import Callable

from reports.errors import ReportError
from reports.images import PictureBudget
from reports.numbers import size_text

MAX_BYTES = 10_000_000
_SLACK_BYTES = 20_000  # the notes that take the place of pictures left out


def fitting(render: Callable[[PictureBudget], str], max_bytes: int, of_what: str) -> str:
    """Let `render` write a page within a budget for pictures, a second time if its text leaves them less room.

    Raises ReportError when the text alone exceeds `max_bytes`.
    """
    budget = PictureBudget(remaining_bytes=max_bytes)
    page = render(budget)
    size_bytes = len(page.encode())
    if size_bytes <= max_bytes:
        return page
    text_bytes = size_bytes - (max_bytes - budget.remaining_bytes)
    budget.remaining_bytes = max(0, max_bytes - text_bytes - _SLACK_BYTES)
    page = render(budget)
    if len(page.encode()) > max_bytes:
        raise ReportError(
            f"the text of the report of {of_what} alone takes {size_text(text_bytes)}; "
            f"allow more than {size_text(max_bytes)}"
        )
    return page
