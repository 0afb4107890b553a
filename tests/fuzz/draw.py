"""Cases drawn from a seeded generator of random numbers: small pieces that are put together.

They are named as those of Hypothesis, which the other tests use. It looks for the smallest case that fails, and takes
some forty times as long for each that does not; here a hundred thousand have to be had within minutes.
"""

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from random import Random
from typing import Any

ALPHABET = (
    "abcxyz019 _-.,:;/\\'\"<>{}[]()$%&*?#@!=+~|^`\t\n\r\0\x1b\x7f\x9f"
    "\u202e\u2066\ufeff\u0663\u00bdäß夜🂡\U0010ffff\udc80"
)
EDGES = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 1e308, float("inf"), float("-inf"), float("nan"))


class Cases:
    """Something to draw cases from."""

    def __init__(self, draw: Callable[[Random], Any]) -> None:
        self.draw = draw

    def __or__(self, other: "Cases") -> "Cases":
        return one_of(self, other)

    def map(self, change: Callable[[Any], Any]) -> "Cases":
        """What becomes of the cases."""
        return Cases(lambda random: change(self.draw(random)))

    def flatmap(self, following: "Callable[[Any], Cases]") -> "Cases":
        """Cases that depend on a first one."""
        return Cases(lambda random: following(self.draw(random)).draw(random))


def one_of(*choices: Cases) -> Cases:
    """From one of these, each as often as any other."""
    return Cases(lambda random: random.choice(choices).draw(random))


def sampled_from(values: Sequence[Any]) -> Cases:
    """One of these values."""
    return Cases(lambda random: random.choice(values))


def just(value: Any) -> Cases:
    """This value."""
    return Cases(lambda _random: value)


def deferred(make: Callable[[], Cases]) -> Cases:
    """Cases that are made when the first of them is wanted."""
    made: list[Cases] = []

    def draw(random: Random) -> Any:
        if not made:
            made.append(make())
        return made[0].draw(random)

    return Cases(draw)


def none() -> Cases:
    """Nothing."""
    return just(None)


def booleans() -> Cases:
    """True or false."""
    return sampled_from((True, False))


def integers(least: int, most: int) -> Cases:
    """A whole number."""
    return Cases(lambda random: random.randint(least, most))


def floats() -> Cases:
    """A number, often one at an edge."""
    return Cases(lambda random: random.choice(EDGES) if random.random() < 0.5 else random.uniform(-1e6, 1e6))


def text(alphabet: str = ALPHABET, *, most: int = 30) -> Cases:
    """A text; now and then of any letters that there are."""

    def draw(random: Random) -> str:
        length = random.randint(0, most)
        if alphabet is ALPHABET and random.random() < 0.1:
            return "".join(chr(random.randint(0, 0x10FFFF)) for _ in range(length))
        return "".join(random.choices(alphabet, k=length))

    return Cases(draw)


def binary(*, most: int, least: int = 0) -> Cases:
    """Bytes."""
    return Cases(lambda random: random.randbytes(random.randint(least, most)))


def addresses() -> Cases:
    """Addresses of networks, as texts."""
    return Cases(
        lambda random: str(
            IPv4Address(random.getrandbits(32)) if random.random() < 0.5 else IPv6Address(random.getrandbits(128))
        )
    )


def tuples(*parts: Cases) -> Cases:
    """One from each."""
    return Cases(lambda random: tuple(part.draw(random) for part in parts))


def builds(make: Callable[..., Any], *parts: Cases) -> Cases:
    """What is made of one from each."""
    return Cases(lambda random: make(*(part.draw(random) for part in parts)))


def lists(items: Cases, *, most: int, least: int = 0) -> Cases:
    """So many of a kind."""
    return Cases(lambda random: [items.draw(random) for _ in range(random.randint(least, most))])


def dictionaries(keys: Cases, values: Cases, *, most: int) -> Cases:
    """Keys and values."""
    return Cases(lambda random: {keys.draw(random): values.draw(random) for _ in range(random.randint(0, most))})


def fixed_dictionaries(parts: Mapping[str, Cases]) -> Cases:
    """A value for each key."""
    return Cases(lambda random: {name: part.draw(random) for name, part in parts.items()})


def nested(scalars: Cases, keys: Cases, *, depth: int = 3) -> Cases:
    """Values of JSON: scalars, and lists and mappings of them in each other."""
    if depth == 0:
        return scalars
    inner = nested(scalars, keys, depth=depth - 1)
    return one_of(scalars, scalars, lists(inner, most=4), dictionaries(keys, inner, most=4))
