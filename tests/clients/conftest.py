"""A town that is served, a liar in front of it, and a client that is told lies."""

from __future__ import annotations

import pytest
from lying import log_signer, lying_service
from town import running_town

from clients.sdk import LedgerClient


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    with running_town(tmp_path_factory.mktemp("town")) as town:
        yield town


@pytest.fixture
def liar(town):
    with lying_service(town.service.target) as liar:
        yield liar


@pytest.fixture
def client(town, liar):
    """A client that believes to talk to the service, and talks to the liar."""
    with LedgerClient(liar.target, town.service.vkey, timeout_s=20) as client:
        yield client


@pytest.fixture(scope="module")
def signer(town):
    """What signs the log's checkpoints, in the hands of whoever lies."""
    return log_signer(town.service.log_key)
