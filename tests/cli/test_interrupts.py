import subprocess
import sys

from tests.cli.running import environment

TORN_DOWN = """
import os, signal, time
from cli.interrupts import keep_interrupts

class Torn:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

keep_interrupts()
torn = Torn()
try:
    del torn
    print("went on", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("heard")
"""


def test_an_interrupt_that_comes_while_an_object_is_torn_down_is_heard_all_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TORN_DOWN], capture_output=True, text=True, env=environment(), timeout=50, check=False
    )
    assert (done.stdout, done.stderr) == ("went on\nheard\n", "")
