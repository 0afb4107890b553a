import pytest

from pixmill.errors import UserError
from worker.device.slots import members, parse_slot, slot_name


@pytest.mark.parametrize(
    ("name", "kind", "numbers", "short"),
    [
        ("cpu", "cpu", (0,), "cpu"),
        ("cpu:0", "cpu", (0,), "cpu:0"),
        ("cuda:12", "cuda", (12,), "cuda:12"),
        ("cuda:0,cuda:1", "cuda", (0, 1), "cuda:0-1"),
        ("cuda:3,1,2", "cuda", (1, 2, 3), "cuda:1-3"),
        ("cuda:0-3,6", "cuda", (0, 1, 2, 3, 6), "cuda:0-3,6"),
        ("cpu:0,2,4", "cpu", (0, 2, 4), "cpu:0,2,4"),
        ("cuda:2-2", "cuda", (2,), "cuda:2"),
    ],
)
def test_a_name_has_a_kind_and_numbers_and_one_shortest_form(
    name: str, kind: str, numbers: tuple[int, ...], short: str
) -> None:
    assert parse_slot(name) == (kind, numbers)
    assert slot_name(name) == short
    assert parse_slot(short) == (kind, numbers)
    assert [parse_slot(member)[1][0] for member in members(name)] == list(numbers)


@pytest.mark.parametrize(
    "name", ["", "cuda", "gpu:0", "cuda:", "cuda:-1", "0,1", "cuda:0,cpu:1", "cuda:0,,1", "CPU", "cuda:1 ", "auto"]
)
def test_what_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="is not a device"):
        parse_slot(name)


@pytest.mark.parametrize("name", ["cuda:3-1", "cuda:0,0", "cuda:0-2,1"])
def test_devices_are_counted_upwards_and_once(name: str) -> None:
    with pytest.raises(UserError, match="counts backwards, or names a device twice"):
        parse_slot(name)


def test_a_name_that_the_database_cannot_keep_is_refused() -> None:
    with pytest.raises(UserError, match="longer than 32 characters"):
        slot_name("cuda:" + ",".join(map(str, range(100, 130, 2))))
