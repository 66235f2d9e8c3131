"""The HTTP API asked by schemathesis what its own description allows, and what it does not: does it keep its word?

Every operation, with requests that fit the description and with ones that do not, over real connections. Long runs:
SCHEMA_EXAMPLES=2000 (`make fuzz`).
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from channels.web import attempts
from tests.channels.web.conftest import KEY
from tests.channels.web.stack import Stack

EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", 25))
OPERATIONS = [
    ("POST", "/chat"),
    ("POST", "/chat/stream"),
    ("GET", "/history"),
    ("GET", "/commands"),
    ("GET", "/metrics"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
]
# The chat page alone may leave the user out, and what a message must be is more than a description can say.
BEYOND_WORDS = [positive_data_acceptance]
# Parameters of a query that mean nothing here are let be, as everywhere on the web.
LET_BE = [*BEYOND_WORDS, negative_data_rejection]


@pytest.fixture(scope="session")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def described(stack: Stack, **headers: str) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{stack.base}/openapi.json", headers=headers)


def ask(stack: Stack, schema: BaseSchema, method: str, path: str, session: requests.Session, **headers: str) -> None:
    """Send what schemathesis thinks of to one operation; its checks say what is wrong with an answer."""
    strategies = [schema[path][method].as_strategy(generation_mode=mode) for mode in GenerationMode]

    @settings(
        max_examples=EXAMPLES,
        derandomize="SCHEMA_EXAMPLES" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(strategies))
    def run(case: Any) -> None:
        excluded = BEYOND_WORDS if method == "POST" else LET_BE
        case.call_and_validate(
            base_url=stack.base, session=session, headers=headers, excluded_checks=excluded, timeout=30
        )

    run()


def test_the_description_names_every_operation_that_is_asked(stack: Stack) -> None:
    found = {(one.ok().method.upper(), one.ok().path) for one in described(stack).get_all_operations()}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_as_described(stack: Stack, session: requests.Session, method: str, path: str) -> None:
    ask(stack, described(stack), method, path, session)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_as_described_where_a_key_is_needed(
    locked: Stack, session: requests.Session, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    monkeypatch.setattr(attempts, "BURST", 10**9)  # wrong keys are tried, too, and would be held up after a few
    key = {"Authorization": f"Bearer {KEY}"}
    ask(locked, described(locked, **key), method, path, session, **key)
