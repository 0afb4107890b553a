import logging
import threading

import psutil
import pytest

from worker.parent.gauges import gauge_of


def test_a_cpu_is_busy_when_somebody_computes_and_says_how_much_memory_is_taken() -> None:
    read = gauge_of("cpu")
    assert read is not None
    done = threading.Event()
    busy = threading.Thread(target=lambda: [sum(range(10_000)) for _ in iter(done.is_set, True)])
    busy.start()
    done.wait(0.3)
    reading = read()
    done.set()
    busy.join()
    assert 0.5 / (psutil.cpu_count() or 1) < reading.utilisation <= 1
    assert 0 < reading.memory_bytes < psutil.virtual_memory().total


def test_a_gpu_that_nothing_can_look_at_is_worked_with_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert gauge_of("cuda:99") is None  # no driver here, or no such device
    (record,) = caplog.records
    assert record.getMessage() == "the device cannot be looked at"
