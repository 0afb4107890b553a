import subprocess

from pixmill.interpreter import python_command

LOOKS = """
import gc
from pixmill.interpreter import importing
looks = []
gc.callbacks.append(lambda phase, info: looks.append(phase))
with importing():
    kept = [[number] for number in range(100_000)]
print(len(looks), gc.isenabled(), gc.get_freeze_count() > len(kept))
"""


def test_what_is_imported_is_never_looked_through() -> None:
    done = subprocess.run(python_command("-c", LOOKS), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True", "True"]


def test_an_import_that_fails_leaves_the_collector_at_work() -> None:
    code = """
import gc
from pixmill.interpreter import importing
try:
    with importing():
        import no_such_module
except ImportError:
    print(gc.isenabled())
"""
    done = subprocess.run(python_command("-c", code), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
