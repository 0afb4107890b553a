"""Work in threads that is given up in time, and pages that are made once for many."""

import asyncio
import threading
from functools import partial

import pytest

from server.errors import Busy, TooSlow
from server.lookout import Lookout
from server.reading import Kept, Remembered
from server.threads import Pool


def test_what_takes_too_long_is_given_up_and_later_work_goes_on() -> None:
    pool, release = Pool("test", 1, 2), threading.Event()

    async def use() -> int:
        with pytest.raises(TooSlow, match="no answer within"):
            await pool.run(release.wait, 0.05)
        late = asyncio.ensure_future(pool.run(lambda: 7, 5))
        await asyncio.sleep(0)
        release.set()
        return await late

    assert asyncio.run(use()) == 7


def test_only_so_many_may_wait() -> None:
    pool, release, begun = Pool("test", 1, 2), threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        release.wait()

    async def use() -> list[int]:
        running = asyncio.ensure_future(pool.run(hold, 5))
        await asyncio.to_thread(begun.wait)
        waiting = [asyncio.ensure_future(pool.run(partial(abs, value), 5)) for value in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await pool.run(lambda: 3, 5)
        release.set()
        await running
        return list(await asyncio.gather(*waiting))

    assert asyncio.run(use()) == [0, 1]


def test_an_error_in_a_thread_is_raised_to_whoever_waits() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(Pool("test", 1, 2).run(lambda: 1 // 0, 5))


def test_many_who_ask_at_once_share_an_answer_and_an_error() -> None:
    made = []

    async def make() -> int:
        made.append(1)
        await asyncio.sleep(0)
        return len(made)

    async def fail() -> int:
        made.append(1)
        raise KeyError("x")

    async def use() -> None:
        kept: Kept[int] = Kept(60.0, 2)
        assert await asyncio.gather(*(kept.get("a", make) for _ in range(5))) == [1] * 5
        assert await kept.get("a", make) == 1
        for _ in range(2):
            with pytest.raises(KeyError):
                await kept.get("b", fail)
        assert len(made) == 2
        assert await kept.get("c", make) == 3
        assert await kept.get("a", make) == 4  # of three only two were kept

    asyncio.run(use())


def test_what_is_remembered_is_forgotten_in_time() -> None:
    values = iter(range(9))
    lasting, brief = Remembered[int](60.0, 2), Remembered[int](0.0, 2)
    assert [lasting.get("x", lambda: next(values)) for _ in range(3)] == [0, 0, 0]
    assert [brief.get("x", lambda: next(values)) for _ in range(2)] == [1, 2]


def test_nobody_waits_for_the_second_look() -> None:
    begun, releases = threading.Event(), [threading.Event(), threading.Event()]
    looks = iter(range(2))

    def look() -> int:
        number = next(looks)
        if number:
            begun.set()
        releases[number].wait()
        return number

    lookout = Lookout(look, 0.0)
    releases[0].set()
    assert lookout.last(30) == 0
    while not begun.is_set():
        assert lookout.last(30) == 0
    assert lookout.last(30) == 0
    releases[1].set()


def test_what_was_never_found_is_none() -> None:
    release = threading.Event()
    lookout: Lookout[bool] = Lookout(release.wait, 60.0)
    assert lookout.last(0.01) is None
    release.set()
    assert lookout.last(30) is True
