import socket
import threading
import time

from kombu.asynchronous import Hub

from worker.parent.pool import PromptPool


def test_the_end_of_a_task_wakes_the_event_loop() -> None:
    hub, pool, gate = Hub(), PromptPool(1), threading.Event()
    reading, writing = socket.socketpair()
    with reading, writing:
        hub.add_reader(reading, lambda: None)
        hub.call_later(60.0, lambda: None)
        pool.start()
        pool.register_with_event_loop(hub)
        pool.apply_async(gate.wait, callback=lambda _result: None)
        threading.Timer(0.05, gate.set).start()
        started = time.monotonic()
        hub.run_once()
        assert time.monotonic() - started < 5.0  # it would sleep for 10 s
        pool.stop()
        hub.close()
