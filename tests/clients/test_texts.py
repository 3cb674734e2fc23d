from __future__ import annotations

import hashlib
import json
import stat

import pytest
from world import City

from clients.events import Commitment
from clients.texts import TextFolder
from ledger.errors import BadInput
from ledger.event import Event


@pytest.fixture
def event():
    return Event.parse(City().listing().payload)


def test_a_text_is_kept_for_its_owner(tmp_path, event):
    folder = TextFolder(tmp_path / "state" / "texts")
    path = folder.keep(event, Commitment("茶", bytes(16)))
    assert path == folder.path(event.id) == tmp_path / "state" / "texts" / f"{event.id.hex()}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "event": event.id.hex(),
        "chain": "01/06901234567892",
        "kind": "listing",
        "text": "茶",
        "salt": "00" * 16,
        "commitment": hashlib.sha256(bytes(16) + "茶".encode()).hexdigest(),
    }


def test_a_text_is_forgotten(tmp_path, event):
    folder = TextFolder(tmp_path)
    path = folder.keep(event, Commitment.to("茶"))
    folder.forget(event.id)
    assert not path.exists()
    folder.forget(event.id)


def test_a_folder_that_can_not_be_made(tmp_path, event):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="expected a folder that can be made"):
        TextFolder(tmp_path / "file" / "texts").keep(event, Commitment.to("茶"))
