"""What the tests of the service share."""

from __future__ import annotations

import pytest
from running import running_service
from world import ORIGIN, City, signing_key

from ledger.note import NoteSigner
from server.store.store import Store
from server.writer import Writer


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service process with the city's founding; the tests of a module share it, each with a product of its own."""
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def signer():
    """The log's key."""
    return NoteSigner(ORIGIN, signing_key("log")._key)


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    made = Store.create(str(tmp_path / "log.db"))
    yield made
    made.close()


@pytest.fixture
def writer(store, signer):
    """A writer on an empty store."""
    made = Writer(store, signer)
    made.load()
    return made


@pytest.fixture
def city():
    """A city that has said nothing yet."""
    return City()
