"""What the tests of all channels share: a worker with scripted models, and the store it works on."""

from collections.abc import Iterator

import pytest

from core.store import Store
from tests.channels.path import Worker, quick_settings, same


@pytest.fixture
def worker(redis_url: str) -> Iterator[Worker]:
    worker = Worker(redis_url)
    yield worker
    worker.close()


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    store = Store(redis_url, quick_settings(), same)
    yield store
    store.close()
