"""Noticing that a model which got better has gone to pieces, as adversarial training may do for good."""

from typing import Any

from imagemodels.options import JudgedOptions, Options

WORSE = 2.0  # times the best measurement
# Two samples of real images lie up to about as far apart: below it, no multiple of a kernel distance means anything.
INDISTINCT = 0.01
COUNTS = ("worse", "value", "rollbacks", "stopped")
MOST_ROLLBACKS = 2  # of one run, which ends when its quality collapses once more


class CollapseGuard:
    """Counts the measurements in a row that are worse than twice the best, and says what is to be done about them.

    ``anchor`` is the training state of the best measurement, kept only while a run may still go back to it.
    """

    def __init__(self, options: Options) -> None:
        judged = options if isinstance(options, JudgedOptions) else None
        self._policy = judged.on_collapse if judged is not None else "ignore"
        self._patience = judged.collapse_patience if judged is not None else 0
        self.worse = 0  # measurements in a row
        self.value = 0.0  # of the last measurement
        self.rollbacks = 0
        self.stopped = False
        self.anchor: dict[str, Any] | None = None

    @property
    def watches(self) -> bool:
        """Whether a collapse would have consequences; only what is lower when it is better is watched."""
        return self._policy != "ignore"

    @property
    def needs_anchor(self) -> bool:
        """Whether the run would go back to its best state."""
        return self._policy == "rollback" and self.rollbacks < MOST_ROLLBACKS

    @property
    def has_collapsed(self) -> bool:
        """Whether something is to be done now."""
        return self.watches and not self.stopped and self.worse >= self._patience

    def measured(self, value: float, best: float) -> None:
        """Take note of a measurement (lower is better) and of the best one so far."""
        self.value = value
        self.worse = self.worse + 1 if value > WORSE * max(best, INDISTINCT) else 0

    def go_back(self) -> dict[str, Any] | None:
        """Return the state from which the run goes on, or None: it ends here."""
        state = self.anchor if self.needs_anchor else None
        if state is None:
            self.stopped = True
            return None
        self.worse = 0
        self.rollbacks += 1
        if not self.needs_anchor:
            self.anchor = None
        return state

    def counts(self) -> dict[str, Any]:
        """What a stored state remembers beside the anchor."""
        return {name: getattr(self, name) for name in COUNTS}

    def remember(self, counts: dict[str, Any], anchor: dict[str, Any] | None) -> None:
        """Take over what a stored state remembers."""
        for name in COUNTS:
            setattr(self, name, counts[name])
        self.anchor = anchor
