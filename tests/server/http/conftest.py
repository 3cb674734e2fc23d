"""A log of raw entries, whose served size can be set, and the read side on it in this process."""

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
def http_service(store, vkeys=(), **settings):
    """The read side on a store, on an event loop in a thread of its own; gives its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    service = HttpService(HttpSettings(listen="127.0.0.1:0", **settings), store, vkeys)
    try:
        asyncio.run_coroutine_threadsafe(service.start(), loop).result(30)
        yield service.url
    finally:
        asyncio.run_coroutine_threadsafe(service.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@pytest.fixture
def served():
    """`served(store, vkeys, **settings)` is a context with the URL of the read side."""
    return http_service


@pytest.fixture(scope="module")
def raw_log(tmp_path_factory):
    """A log of 700 entries."""
    return RawLog.make(tmp_path_factory.mktemp("raw") / "log.db", 700)


@pytest.fixture(scope="module")
def url(raw_log):
    """The read side on that log."""
    store = Store.open(str(raw_log.database), read_only=True)
    try:
        with http_service(store, [raw_log.signer.vkey]) as url:
            yield url
    finally:
        store.close()
