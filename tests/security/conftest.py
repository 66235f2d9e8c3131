"""What the tests of several channels share here."""

from tests.channels.conftest import store, worker

__all__ = ["store", "worker"]
