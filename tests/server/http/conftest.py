"""A log of raw entries, and the read side on it in this process."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

import pytest
from raw_log import RawLog

from server.config import HttpSettings
from server.http.service import HttpService
from server.store.store import Store


@contextmanager
def http_service(database, vkeys=(), *, prepare=None, listen="127.0.0.1:0", **settings):
    """The read side on a database, on an event loop in a thread of its own; gives its URL.

    `prepare` may change the service before it starts.
    """
    store = Store.open(str(database), read_only=True)
    try:
        service = HttpService(HttpSettings(listen=listen, **settings), store, vkeys)
        with _running(service, prepare):
            yield service.url
    finally:
        store.close()


@contextmanager
def _running(service, prepare):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        if prepare is not None:
            prepare(service)
        asyncio.run_coroutine_threadsafe(service.start(), loop).result(30)
        yield
    finally:
        asyncio.run_coroutine_threadsafe(service.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@pytest.fixture(scope="session")
def served():
    """`served(database, vkeys, **settings)` is a context with the URL of the read side."""
    return http_service


@pytest.fixture(scope="module")
def raw_log(tmp_path_factory):
    """A log of 700 entries."""
    return RawLog.make(tmp_path_factory.mktemp("raw") / "log.db", 700)


@pytest.fixture(scope="module")
def url(raw_log):
    """The read side on that log."""
    with http_service(raw_log.database, [raw_log.signer.vkey]) as url:
        yield url
