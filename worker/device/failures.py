"""From an exception to the word and the sentence that the operator reads."""

from imagemodels.data.errors import DatasetMissing, DownloadFailed
from imagemodels.errors import CorruptCheckpoint, ModelError, NonFiniteLoss, OutOfMemory, RankLost
from imagemodels.memory import is_out_of_memory
from pixmill.errors import CorruptFile, DataRefused, DatasetChanged, DiskFull, PixmillError, UserError
from pixmill.states import FailureReason

_REASONS: tuple[tuple[type[BaseException], FailureReason], ...] = (
    (DatasetMissing, FailureReason.DATASET_MISSING),
    (DownloadFailed, FailureReason.DATASET_MISSING),
    (DatasetChanged, FailureReason.DATASET_CHANGED),
    (DataRefused, FailureReason.DATA_REFUSED),
    (NonFiniteLoss, FailureReason.NON_FINITE_LOSS),
    (CorruptCheckpoint, FailureReason.CORRUPT_FILE),
    (CorruptFile, FailureReason.CORRUPT_FILE),
    (DiskFull, FailureReason.DISK_FULL),
    (OutOfMemory, FailureReason.OUT_OF_MEMORY),
    (RankLost, FailureReason.WORKER_LOST),
    (UserError, FailureReason.USER_ERROR),
    (ModelError, FailureReason.USER_ERROR),
)

LONGEST_MESSAGE = 500  # characters; the log has it all


def explain(error: BaseException) -> tuple[FailureReason, str]:
    """The reason and one line about it."""
    if is_out_of_memory(error) and not isinstance(error, ModelError):
        return FailureReason.OUT_OF_MEMORY, f"the device ran out of memory: {_first_line(error)}"
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason, _one_line(error)
    if isinstance(error, PixmillError):
        return FailureReason.ERROR, _one_line(error)
    return FailureReason.ERROR, f"{type(error).__name__}: {_first_line(error)} (the traceback is in the job's log)"


def is_expected(error: BaseException) -> bool:
    """Whether the message says it all, so that a traceback in the log would only hide it."""
    return isinstance(error, ModelError | PixmillError)


def _one_line(error: BaseException) -> str:
    """All that an error of ours says: the lines after the first are the files, or the remedy."""
    first, *rest = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    text = " ".join([first, "; ".join(rest)]).strip() if first.endswith(":") else "; ".join([first, *rest])
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
