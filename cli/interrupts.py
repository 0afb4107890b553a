"""Ctrl-C is heard, whatever the process is doing at that moment; and SIGTERM, where the kernel would withhold it."""

import os
import signal
import sys
import threading

AGAIN_SECONDS = 0.05  # by then the object is gone


def keep_interrupts() -> None:
    """Raise an interrupt once more that came while an object was torn down: Python reports it there, and goes on."""
    sys.unraisablehook = _report


def end_when_told() -> None:
    """Let SIGTERM end the first process of a container as it ends any other, until somebody handles it better.

    The kernel gives such a process no signal that it does not handle: one that is told to stop while it starts would
    work on until it is killed.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _frame: os._exit(128 + number))


def _report(unraisable: "sys.UnraisableHookArgs") -> None:
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    # Not here: whoever tears down objects would swallow it again.  A thread does not keep the process alive.
    again = threading.Timer(AGAIN_SECONDS, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    again.daemon = True
    again.start()
