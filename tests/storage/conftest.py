import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.storage.samples import SizeLimit


@pytest.fixture
def file_size_limit() -> SizeLimit:
    """The kernel refuses to let this process's files grow beyond so many bytes."""

    @contextmanager
    def limit(size_bytes: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit
