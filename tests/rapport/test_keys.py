"""``rapport keys`` on a real Redis, and on the private one of a data folder on which nothing runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from core import settings
from core.errors import InputError, RapportError
from core.store import Store
from core.store.api_keys import digest
from rapport.__main__ import app
from rapport.doctor import examine
from rapport.stack import running_url


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    store = Store(redis_url, settings.load(), lambda person: person)
    yield store
    store.close()


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def test_a_key_is_shown_once_and_listed_by_name(store: Store) -> None:
    assert keys("list").output == "There are no keys.\n"
    made = keys("add", "laptop")
    assert made.exit_code == 0
    key = made.stdout.strip()
    assert "\n" not in key, "alone, so that a script can take it"
    assert store.api_keys.all()["laptop"].sha256 == digest(key)
    assert "cannot be shown again" in made.stderr
    assert "every caller needs a key" in made.stderr
    assert "every caller needs a key" not in keys("add", "shop").stderr
    listed = keys("list").output
    assert [line.split()[0] for line in listed.splitlines()] == ["laptop", "shop"]
    assert key not in listed
    assert digest(key) not in listed


def test_a_removed_key_is_gone(store: Store) -> None:
    keys("add", "laptop")
    keys("add", "shop")
    assert "No named key is left" not in keys("remove", "laptop").output
    assert "No named key is left" in keys("remove", "shop").output
    assert store.api_keys.all() == {}
    missing = keys("remove", "shop")
    assert isinstance(missing.exception, RapportError)
    assert "There is no key shop." in str(missing.exception)


def test_a_name_that_is_taken_or_cannot_be_used_is_refused(store: Store) -> None:
    first = keys("add", "laptop").stdout.strip()
    assert isinstance(keys("add", "laptop").exception, InputError)
    assert isinstance(keys("add", "a b").exception, InputError)
    assert store.api_keys.all()["laptop"].sha256 == digest(first)


def test_a_key_can_be_made_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_STACK__DATA", str(tmp_path))
    assert keys("add", "laptop").exit_code == 0
    assert running_url(tmp_path) is None, "the private Redis has ended again"
    assert keys("list").output.startswith("laptop ")


def test_the_doctor_knows_that_a_named_key_is_enough(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def web() -> str:
        return next(finding.text for finding in examine() if finding.what == "channel web")

    assert "this machine alone, no key needed" in web()
    monkeypatch.setenv("RAPPORT_WEB__HOST", "0.0.0.0")
    settings.load_section.cache_clear()
    assert "others can reach, and WEB_API_KEY is not set" in web()
    keys("add", "laptop")
    assert web() == "0.0.0.0, port 8080: callers need a key (laptop)"
    monkeypatch.setenv("WEB_API_KEY", "long enough to be a key")
    assert web() == "0.0.0.0, port 8080: callers need a key (WEB_API_KEY, laptop)"
    monkeypatch.setenv("WEB_API_KEY", "short")
    assert "fewer than 16 characters" in web()
