import pytest

from cli.local.devices import match_devices, needs_probe, parse_devices
from pixmill.errors import UserError
from worker.parent.devices import DeviceProbe


def test_without_a_name_every_device_is_meant() -> None:
    assert parse_devices([]) == ("auto",)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["gpu"], "'gpu' is not a device"),
        (["cuda"], "'cuda' is not a device"),
        (["cpu", "cpu"], "named twice"),
        (["cuda:0-2", "cuda:1"], "device cuda:1 is named twice"),
        (["auto", "cpu"], "auto means every device"),
        (["cuda:0\n"], "is not a device"),
    ],
)
def test_names_that_make_no_sense_are_refused(asked: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_devices(asked)


def test_a_device_that_is_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(UserError, match="cuda:3 was asked for; this host has cuda:0, cuda:1"):
        match_devices(["cuda:3"], ["cuda:0", "cuda:1"])
    with pytest.raises(UserError, match="cuda:2 was asked for; this host has cuda:0, cuda:1"):
        match_devices(["cuda:0-2"], ["cuda:0", "cuda:1"])


def test_several_devices_may_have_one_worker() -> None:
    assert parse_devices(["cuda:0,cuda:1", "cpu"]) == ("cuda:0-1", "cpu")
    assert match_devices(["cuda:0-1", "cpu"], ["cuda:0", "cuda:1"]) == ("cuda:0-1", "cpu")


def test_a_cpu_may_work_beside_gpus() -> None:
    assert match_devices(["cpu", "cuda:0"], ["cuda:0"]) == ("cpu", "cuda:0")


def test_only_a_cpu_can_be_had_without_asking_the_host() -> None:
    assert not needs_probe(["cpu"])
    assert needs_probe(["auto"])
    assert needs_probe(["cpu", "cuda:0"])


def test_the_probe_finds_a_device_on_this_host() -> None:
    with DeviceProbe() as probe:
        names = probe.names()
    assert names
    assert match_devices(["auto"], names) == names


def test_a_probe_that_nobody_asks_leaves_no_process() -> None:
    with DeviceProbe() as probe:
        process = probe._process
    assert process.returncode is not None
