"""Figures for gates, drawn at random and as a test writes them down."""

from random import Random

from pixmill.gates.judging import Sample
from pixmill.gates.limits import Limits

Case = tuple[dict[str, Limits], str, dict[str, Sample], dict[str, Sample] | None]

HEALTHY = {name: Sample(name, (0.0,)) for name in ("bad_weights", "bad_pixels")}
# One of each sort: lower with a control, higher without, higher with a control, higher for shares, exact.
DRAWN = ("kid", "coverage", "agreement", "speed", "memory", "exact_copies")
ROUND = 64  # figures are multiples of a 64th, so that sums of them are exact and borders are met often


def sample(name: str, *values: float, real: tuple[float, ...] | None = None, note: str = "") -> Sample:
    return Sample(f"{name}@cnn-1a2b3c4d", values, real, note)


def draw_case(number: int) -> Case:
    """Gates, the primary measure, and the figures of a challenger and a champion, or of a challenger alone."""
    random = Random(number)
    seeds = random.randint(2, 6)
    sides: list[dict[str, Sample]] = [dict(HEALTHY), dict(HEALTHY)]
    if random.random() < 0.1:
        sides[0]["bad_weights"] = Sample("bad_weights", (1.0,))
    for name in DRAWN:
        count = 1 if name == "memory" else seeds
        # Near each other, as figures of one quantity are, or else nothing would ever be undecided.
        base = _figure(random, 16, 32)
        real = (base,) * count if name in ("kid", "agreement") and random.random() < 0.5 else None
        for side in sides:
            middle = base + _figure(random, -6, 6)
            values = tuple(middle + _figure(random, -2, 2) for _ in range(count))
            side[name] = sample(name, *values, real=real)
    names = random.sample(DRAWN, random.randint(0, 3))
    primary = random.choice(("kid", "coverage", "agreement"))
    champion = sides[1] if random.random() < 0.8 else None
    return {name: _limits(random, name) for name in names}, primary, sides[0], champion


def _figure(random: Random, low: int, high: int) -> float:
    return random.randint(low, high) / ROUND


def _limits(random: Random, name: str) -> Limits:
    side = "max" if name in ("kid", "memory", "exact_copies") else "min"
    tolerance = "worse_by_share" if name in ("speed", "memory") else "worse_by"
    both = {side: _figure(random, 16, 32), tolerance: _figure(random, 0, 8)}
    kept = random.choice(((side,), (tolerance,), (side, tolerance)))
    return Limits(**{key: both[key] for key in kept})
