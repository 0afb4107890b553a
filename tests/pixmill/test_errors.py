import inspect
import re

import pytest

from pixmill import errors
from pixmill.errors import PixmillError

LINE = re.compile(r"^    (?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: +(?P<code>\d+))?")


def drawn_tree() -> dict[str, tuple[str | None, int]]:
    """Class name → parent's name and exit code, as the module's docstring draws them."""
    assert errors.__doc__ is not None
    drawn: dict[str, tuple[str | None, int]] = {}
    path: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        match = LINE.match(line)
        if match is None:
            continue
        depth = len(match["indent"])
        path = [(above, name) for above, name in path if above < depth]
        parent = path[-1][1] if path else None
        inherited = drawn[parent][1] if parent else 1
        drawn[match["name"]] = (parent, int(match["code"] or inherited))
        path.append((depth, match["name"]))
    return drawn


def test_the_docstring_draws_every_class_with_its_parent_and_exit_code() -> None:
    classes = [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, PixmillError)]
    built = {}
    for found in classes:
        parent = None if found is PixmillError else found.__mro__[1].__name__
        built[found.__name__] = (parent, found.exit_code)
    assert drawn_tree() == built


@pytest.mark.parametrize("name", drawn_tree())
def test_an_error_carries_its_message_and_its_hint(name: str) -> None:
    error = getattr(errors, name)("what was found", hint="what to do")
    assert (str(error), error.message, error.hint) == ("what was found", "what was found", "what to do")
    assert getattr(errors, name)("alone").hint is None


def test_exit_codes_leave_room_for_the_shell() -> None:
    codes = {code for _, code in drawn_tree().values()}
    assert all(0 < code < 126 for code in codes)
