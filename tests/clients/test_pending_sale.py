from __future__ import annotations

import json
import stat
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from world import City, signing_key

from clients.pending_sale import PendingSale
from clients.purchase_token import PurchaseToken
from ledger.errors import BadInput


@pytest.fixture
def sale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return City().sale("buyer")


@pytest.fixture
def key():
    return signing_key("buyer")


def names():
    return sorted(path.name for path in Path().iterdir())


def test_from_beginning_to_end(sale, key):
    pending = PendingSale.begin(sale, key, Path("a.token"))
    assert names() == ["a.token.pending"]
    assert stat.S_IMODE(Path("a.token.pending").stat().st_mode) == 0o600
    pending.finish()
    assert names() == ["a.token"]
    assert stat.S_IMODE(Path("a.token").stat().st_mode) == 0o600
    token = PurchaseToken.parse(Path("a.token").read_text())
    assert (token.sale, token.key.public_key) == (pending.event.id, key.public_key)


def test_a_refused_sale_is_forgotten(sale, key):
    PendingSale.begin(sale, key, Path("a.token")).discard()
    assert names() == []


def test_what_is_pending_is_no_token(sale, key):
    PendingSale.begin(sale, key, Path("a.token"))
    text = Path("a.token.pending").read_text()
    assert "suyuan-purchase" not in text
    with pytest.raises(BadInput):
        PurchaseToken.parse(text)


def test_resume(sale, key):
    begun = PendingSale.begin(sale, key, Path("a.token"))
    resumed = PendingSale.resume(Path("a.token.pending"))
    assert resumed.envelope.raw == sale.raw
    assert resumed.token_path == Path("a.token")
    resumed.finish()
    assert Path("a.token").read_text().strip() == begun.token.text()


def test_printing_it_does_not_show_the_key(sale, key):
    assert "key=" not in repr(PendingSale.begin(sale, key, Path("a.token")))


@pytest.mark.parametrize("existing", ["a.token", "a.token.pending"])
def test_nothing_is_written_over(sale, key, existing):
    Path(existing).write_text("precious")
    with pytest.raises(BadInput, match=f"file {existing}: given "):
        PendingSale.begin(sale, key, Path("a.token"))
    assert names() == [existing]
    assert Path(existing).read_text() == "precious"


def test_a_draft_that_a_crash_left(sale, key):
    pending = PendingSale.begin(sale, key, Path("a.token"))
    Path("a.token.part").write_text("half")
    pending.finish()
    assert names() == ["a.token"]


def test_a_token_that_a_crash_left(sale, key):
    pending = PendingSale.begin(sale, key, Path("a.token"))
    Path("a.token").write_text(f"{pending.token.text()}\n")
    pending.finish()
    assert names() == ["a.token"]


def test_another_token_in_the_way(sale, key):
    pending = PendingSale.begin(sale, key, Path("a.token"))
    Path("a.token").write_text("precious")
    with pytest.raises(BadInput, match="given a file that exists"):
        pending.finish()
    assert names() == ["a.token", "a.token.pending"]
    assert Path("a.token").read_text() == "precious"


def test_a_token_that_cannot_be_written(sale, key):
    pending = PendingSale.begin(sale, key, Path("a.token"))
    Path("a.token").mkdir()
    with pytest.raises(BadInput, match=r"file a\.token: given "):
        pending.finish()
    assert names() == ["a.token", "a.token.pending"]


def damage(**changed):
    record = json.loads(Path("a.token.pending").read_text()) | changed
    Path("a.token.pending").write_text(json.dumps({name: value for name, value in record.items() if value}))


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "suyuan-pending-sale-v2"},
        {"format": None},
        {"envelope": "!"},
        {"envelope": b64encode(b"x").decode()},
        {"envelope": b64encode(City().listing().raw).decode()},
        {"key": b64encode(signing_key("other").to_pem()).decode()},
        {"key": "AAAA"},
        {"key": 7},
        {"key": None},
    ],
)
def test_a_pending_file_that_is_none(sale, key, changed):
    PendingSale.begin(sale, key, Path("a.token"))
    damage(**changed)
    with pytest.raises(BadInput) as caught:
        PendingSale.resume(Path("a.token.pending"))
    assert str(caught.value) == (
        "file a.token.pending: given something else, expected the .pending file of a sale that was not finished"
    )


def test_files_that_are_no_pending_file(sale):
    Path("list.pending").write_text("[]")
    Path("no.pending").write_bytes(b"\xff")
    for name in ("list.pending", "no.pending", "missing.pending", "sale.token"):
        with pytest.raises(BadInput, match=f"file {name}: given "):
            PendingSale.resume(Path(name))


def test_the_key_in_the_file_is_the_sales(sale, key):
    PendingSale.begin(sale, key, Path("a.token"))
    record = json.loads(Path("a.token.pending").read_text())
    assert b64decode(record["key"]) == key.to_pem()
