"""Numbers, sizes, durations and times as a reader wants to see them."""

import math
from datetime import UTC, datetime

from reports.errors import ReportError

_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_SUFFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def number_text(value: float) -> str:
    """Write a number with three significant digits, integers in full, with a true minus sign.

    >>> number_text(1234567), number_text(0.012345), number_text(-3.14159), number_text(0.0000123)
    ('1,234,567', '0.0123', '−3.14', '1.23 × 10⁻⁵')
    """
    if isinstance(value, int):
        return _with_minus(f"{value:,}")
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else _with_minus("∞" if value > 0 else "-∞")
    if value != 0 and not 1e-4 <= abs(value) < 1e15:
        return _scientific(value)
    decimals = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    return _with_minus(f"{value:,.{decimals}f}")


def count_text(value: float) -> str:
    """Write a count shortly, with k, M, G or T.

    >>> count_text(950), count_text(20_000), count_text(1_250_000)
    ('950', '20k', '1.25M')
    """
    for size, suffix in _SUFFIXES:
        if abs(value) >= size:
            return _with_minus(f"{value / size:.3g}{suffix}")
    return _with_minus(f"{value:.3g}")


def percent_text(share: float) -> str:
    """Write a share of 1 in percent.

    >>> percent_text(0.9345), percent_text(1.0), percent_text(0.00844), percent_text(0.05)
    ('93.5%', '100%', '0.84%', '5%')
    """
    if not math.isfinite(share):
        return number_text(share)
    decimals = 0 if abs(share) >= 1 else 1 if abs(share) >= 0.01 else 2
    return _with_minus(f"{100 * share:,.{decimals}f}".removesuffix(".00").removesuffix(".0") + "%")


def size_text(size_bytes: float) -> str:
    """Write a size in decimal units.

    >>> size_text(999), size_text(12_345_678)
    ('999 B', '12.3 MB')
    """
    power = 0 if size_bytes < 1 else min(int(math.log10(size_bytes) // 3), len(_BYTE_UNITS) - 1)
    if power == 0:
        return f"{size_bytes:.0f} B"
    return f"{size_bytes / 1000**power:.3g} {_BYTE_UNITS[power]}"


def duration_text(seconds: float) -> str:
    """Write a duration with its two largest units.

    >>> duration_text(0.85), duration_text(12.34), duration_text(252), duration_text(7500), duration_text(273_600)
    ('850 ms', '12.3 s', '4 min 12 s', '2 h 05 min', '3 d 4 h')
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s".removesuffix(" 00 s")
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min".removesuffix(" 00 min")
    return f"{whole // 86400} d {whole % 86400 // 3600} h".removesuffix(" 0 h")


def utc_text(at: datetime) -> str:
    """Write a moment to the second, in UTC.

    A moment without time zone, of which nobody can say when it was, raises ReportError.
    """
    return f"{_in_utc(at):%Y-%m-%d %H:%M:%S} UTC"


def utc_iso(at: datetime) -> str:
    """Write a moment for machines: ISO 8601 in UTC, to the second; raises ReportError as `utc_text` does."""
    return f"{_in_utc(at):%Y-%m-%dT%H:%M:%SZ}"


def cell_text(value: object) -> str:
    """Write any value of a specification, a manifest or a model card for one table cell."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return ", ".join(cell_text(item) for item in value)
    return str(value)


def _in_utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ReportError(f"the time {at.isoformat()} has no time zone; give an aware one, in UTC")
    return at.astimezone(UTC)


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{_with_minus(mantissa)} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def _with_minus(text: str) -> str:
    return text.replace("-", "−")
