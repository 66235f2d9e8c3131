"""What the tests of several channels share here."""

from tests.channels.conftest import store, worker
from tests.channels.test_contract import double

__all__ = ["double", "store", "worker"]
