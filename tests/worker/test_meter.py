import time

from worker.parent.meter import Meter


def test_a_task_on_several_devices_is_charged_for_each_of_them() -> None:
    meter = Meter()
    began = time.monotonic()
    with meter.running("night", "ann", devices=3):
        within = time.monotonic()
        while time.monotonic() == within:
            pass
        inner = time.monotonic() - within
    outer = time.monotonic() - began
    charged = meter.take()["night", "ann"]
    assert 0 < 3 * inner <= charged <= 3 * outer
    assert meter.take() == {}
