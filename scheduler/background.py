"""What a scheduler does beside its loop, in threads that keep nothing else waiting."""

import logging
import threading
from abc import ABC, abstractmethod

from db.engine import Database
from pixmill.errors import CorruptRow, DatabaseUnreachable

log = logging.getLogger(__name__)

STOP_SECONDS = 1.0  # that the scheduler's end waits for what is on its way; what is cut short is done again


class Background(ABC):
    """Looks again and again, and goes on after whatever error: nobody would notice that its thread has ended."""

    name: str  # of the thread
    action: str  # of the lines in the log
    outage_seconds: float  # until the next look after an error

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> bool:
        """Look no more, and wait a little for what is on its way; False if that does not come to an end."""
        self._stop.set()
        self._thread.join(STOP_SECONDS)
        return not self._thread.is_alive()

    @abstractmethod
    def look(self) -> float:
        """Do what is due; gives how long to wait before the next look.  Raises DatabaseUnreachable."""

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            pause = self._looked()

    def _looked(self) -> float:
        try:
            return self.look()
        except DatabaseUnreachable as error:
            log.warning("the database is away", extra={"action": self.action, "reason": error.message})
        except CorruptRow as error:
            self._database.corrupt_rows.tell(f"what the {self.name} looks at", error)
        except Exception:  # whatever it is, the next look may go well
            log.exception("the %s waits", self.name, extra={"action": self.action})
        return self.outage_seconds
