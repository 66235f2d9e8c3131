"""Named keys: what is kept of them, and what cannot be had again."""

from collections.abc import Iterator

import pytest

from core import settings
from core.errors import InputError
from core.store import Store, keys
from core.store.api_keys import digest


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    store = Store(redis_url, settings.load(), lambda person: person)
    yield store
    store.close()


def test_only_the_hash_of_a_key_is_kept(store: Store) -> None:
    first, second = store.api_keys.add("laptop"), store.api_keys.add("shop.v2")
    assert first != second
    assert len(first) == len("rapport_") + 43, "256 bits"
    known = store.api_keys.all()
    assert list(known) == ["laptop", "shop.v2"]
    assert known["laptop"].sha256 == digest(first)
    dumped = str(store.redis.hgetall(keys.API_KEYS)) + str(store.redis.keys("*"))
    assert first not in dumped
    assert first.removeprefix("rapport_") not in dumped


def test_a_removed_key_is_gone_and_its_name_free(store: Store) -> None:
    first = store.api_keys.add("laptop")
    assert store.api_keys.remove("laptop")
    assert not store.api_keys.remove("laptop")
    assert store.api_keys.all() == {}
    assert store.api_keys.add("laptop") != first


def test_a_name_is_taken_once(store: Store) -> None:
    store.api_keys.add("laptop")
    kept = store.api_keys.all()
    with pytest.raises(InputError, match="a key laptop already"):
        store.api_keys.add("laptop")
    assert store.api_keys.all() == kept


@pytest.mark.parametrize("name", ["", " ", "a b", "a\nb", "x" * 41, "ünder", "../a"])
def test_a_name_that_cannot_be_typed_is_refused(store: Store, name: str) -> None:
    with pytest.raises(InputError, match="no name for a key"):
        store.api_keys.add(name)
    assert store.api_keys.all() == {}


def test_what_another_release_wrote_opens_nothing(store: Store) -> None:
    store.redis.hset(keys.API_KEYS, mapping={"old": "abc", "new": '{"sha256": 5}'})
    assert store.api_keys.all() == {}
