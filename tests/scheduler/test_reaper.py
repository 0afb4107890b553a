from hypothesis import given
from hypothesis import strategies as st

from scheduler.reaper import LONGEST_GAP, StillnessWatch

SECONDS = 10.0
looks = st.dictionaries(st.integers(0, 3), st.integers(0, 2))
histories = st.lists(st.tuples(st.floats(0.1, 7), looks), min_size=1, max_size=15)


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def watch() -> tuple[StillnessWatch[int, int], Clock]:
    clock = Clock()
    return StillnessWatch(SECONDS, clock), clock


@given(histories)
def test_what_is_reported_stood_still_in_every_look_of_a_whole_period(
    history: list[tuple[float, dict[int, int]]],
) -> None:
    watched, clock = watch()
    seen: list[tuple[float, dict[int, int]]] = []
    for pause, look in history:
        clock.at += pause
        seen.append((clock.at, look))
        still = watched.update(look)
        for key, value in look.items():
            since = clock.at
            for at, earlier in reversed(seen):
                if earlier.get(key) != value or since - at > LONGEST_GAP * SECONDS:
                    break
                since = at
            assert (key in still) == (clock.at - since >= SECONDS)
        assert still.keys() <= look.keys()
        assert all(look[key] == value for key, value in still.items())


@given(histories)
def test_the_first_look_after_a_start_or_an_outage_reports_nothing(history: list[tuple[float, dict[int, int]]]) -> None:
    watched, clock = watch()
    for pause, look in history:
        clock.at += pause
        watched.forget()
        assert watched.update(look) == {}


def test_something_that_beats_is_never_reported() -> None:
    watched, clock = watch()
    for beat in range(100):
        clock.at += SECONDS * 0.9
        assert watched.update({1: beat}) == {}


def test_what_comes_back_as_it_was_starts_over() -> None:
    watched, clock = watch()
    pause = SECONDS / 2
    for look in ({1: 5}, {}, {1: 5}, {1: 5}):
        clock.at += pause
        assert watched.update(look) == {}
    clock.at += pause
    assert watched.update({1: 5}) == {1: 5}


def test_who_did_not_look_for_long_has_not_watched() -> None:
    watched, clock = watch()
    watched.update({1: 5})
    clock.at += SECONDS * 10
    assert watched.update({1: 5}) == {}, "a database that made us wait takes nobody's lease"
