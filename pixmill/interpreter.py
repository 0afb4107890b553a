"""How a process of ours begins, and starts another one that runs the same code."""

import atexit
import gc
import os
import site
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

COLLECT_AFTER = 20_000  # objects, instead of 700


def begin_quickly() -> None:
    """What makes a start, and an end, take less time; called before the first import of a library.

    The garbage collector looks less often: imports make many objects and no garbage, and are most of a start. At the
    end it looks at nothing: all goes anyway. Pydantic reads what every installed package declares, to find plugins of
    its own; we use none, and want none.
    """
    atexit.register(gc.freeze)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])


@contextmanager
def importing() -> Iterator[None]:
    """Import what is large, torch above all: no garbage is looked for meanwhile, and never among what it brought."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def python_command(*arguments: str) -> list[str]:
    """A command line for this interpreter; `-P` keeps a folder named `worker` or `db` where we stand from being run."""
    return [sys.executable, "-P", *arguments]


def with_our_code(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables, changed such that the child imports the packages that this process runs, installed or not."""
    root = str(Path(__file__).parents[1])
    if root in site.getsitepackages():
        return dict(environment)
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH"))))}
