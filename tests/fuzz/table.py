"""All targets by name."""

from functools import cache

from tests.fuzz import files, living, texts
from tests.fuzz.harness import Target


@cache
def all_targets() -> dict[str, Target]:
    """In the order in which they are run."""
    from imagemodels.errors import ModelError
    from pixmill.errors import PixmillError

    errors = (PixmillError, ModelError)
    found = [*texts.targets(errors), *files.targets(errors), *living.targets()]
    return {target.name: target for target in found}
