import pytest

from db.tables.fleet import DeviceKind
from pixmill.errors import ConfigError
from scheduler.names import celery_queue, redis_url

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("celery", "redis"),
    [
        ("redis://localhost:6379/1", "redis://localhost:6379/1"),
        ("redis://:pw@host", "redis://:pw@host"),
        ("rediss://host:6380/0", "rediss://host:6380/0"),
        ("redis+socket:///run/redis.sock", "unix:///run/redis.sock?db=0"),
        ("redis+socket:///run/redis.sock?virtual_host=3", "unix:///run/redis.sock?db=3"),
    ],
)
def test_a_celery_url_is_spelt_for_redis(celery: str, redis: str) -> None:
    assert redis_url(celery) == redis


@pytest.mark.parametrize(
    "url",
    [
        f"amqp://:{SECRET}@host",
        f"redis://:{SECRET}@host:port/0",
        f"redis://:{SECRET}@host:99999/0",
        f"redis://:{SECRET}@host:6379/main",
        "no url",
        "",
    ],
)
def test_a_url_that_can_never_work_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"broker\.url") as caught:
        redis_url(url)
    assert caught.value.hint is not None
    assert SECRET not in f"{caught.value}{caught.value.hint}"


def test_every_kind_of_device_has_a_queue_of_its_own() -> None:
    assert len({celery_queue(kind) for kind in DeviceKind}) == len(DeviceKind)
