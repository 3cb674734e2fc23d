"""What the tests of the service share."""

from __future__ import annotations

import pytest
from postgresql import empty_database
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


def pytest_collection_modifyitems(config, items):
    """Leave out, of what runs on both databases, what is marked to be for SQLite alone."""
    left_out = [item for item in items if item.get_closest_marker("sqlite_only") and _on_postgresql(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _on_postgresql(item):
    return hasattr(item, "callspec") and item.callspec.params.get("database") == "postgresql"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    """Where a log may be made: what holds of one database holds of the other."""
    if request.param == "sqlite":
        yield str(tmp_path / "log.db")
    else:
        with empty_database() as url:
            yield url


@pytest.fixture
def store(database):
    """An empty store."""
    made = Store.create(database)
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
