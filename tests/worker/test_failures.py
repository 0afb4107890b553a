import pytest

from imagemodels.data.errors import BadImage, DatasetMissing, DownloadFailed
from imagemodels.errors import ConfigError, CorruptCheckpoint, NonFiniteLoss
from pixmill.errors import CorruptFile, DiskFull, SpecError, StorageError, UserError
from pixmill.states import FailureReason
from worker.device.failures import explain, is_expected


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DatasetMissing("no folder"), FailureReason.DATASET_MISSING),
        (DownloadFailed("no mirror answers"), FailureReason.DATASET_MISSING),
        (NonFiniteLoss("the loss d is not finite"), FailureReason.NON_FINITE_LOSS),
        (CorruptCheckpoint("altered"), FailureReason.CORRUPT_FILE),
        (CorruptFile("altered"), FailureReason.CORRUPT_FILE),
        (DiskFull("no room"), FailureReason.DISK_FULL),
        (UserError("no such class"), FailureReason.USER_ERROR),
        (SpecError("no such key"), FailureReason.USER_ERROR),
        (ConfigError("width is too small"), FailureReason.USER_ERROR),
        (BadImage("2 images cannot be read"), FailureReason.USER_ERROR),
        (StorageError("cannot be renamed"), FailureReason.ERROR),
    ],
)
def test_an_expected_error_keeps_its_sentence(error: Exception, reason: FailureReason) -> None:
    assert explain(error) == (reason, str(error))
    assert is_expected(error)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("9 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:73] DefaultCPUAllocator: can't allocate memory: you tried 9 GiB"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried 9 GiB"),
    ],
)
def test_all_ways_to_run_out_of_memory_have_one_reason(error: Exception) -> None:
    reason, message = explain(error)
    assert reason is FailureReason.OUT_OF_MEMORY
    assert "9 GiB" in message


def test_a_surprise_names_its_kind_and_says_where_the_rest_is() -> None:
    reason, message = explain(KeyError("width"))
    assert reason is FailureReason.ERROR
    assert message == "KeyError: 'width' (the traceback is in the job's log)"
    assert not is_expected(KeyError("width"))


def test_a_long_story_is_cut_to_its_first_line() -> None:
    assert explain(ValueError("first\nsecond"))[1] == "ValueError: first (the traceback is in the job's log)"


def test_a_list_of_files_becomes_one_line() -> None:
    error = BadImage("2 of 9 images in /pictures are unusable:\n  a.png: cut off\n  b.png: empty\nRepair them.")
    line = "2 of 9 images in /pictures are unusable: a.png: cut off; b.png: empty; Repair them."
    assert explain(error) == (FailureReason.USER_ERROR, line)


def test_a_very_long_message_is_cut() -> None:
    message = explain(UserError("x" * 10_000))[1]
    assert len(message) == 500
    assert message.endswith("x…")


def test_an_error_without_words_is_called_by_its_kind() -> None:
    assert explain(UserError(""))[1] == "UserError"
