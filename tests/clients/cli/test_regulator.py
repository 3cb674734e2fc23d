from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from grpc_status import rpc_status
from lying import log_signer, lying_service, signed
from running import running_service
from world import CARRIER_MEMBER, MERCHANT, ORIGIN, PLATFORM, REGULATOR, TEA, signing_key

from clients import patience
from clients.cli import auditing
from clients.cli.keygen import _pem
from clients.cli.output import Format, Output
from clients.cli.session import Local
from clients.cli.settings import Settings
from clients.keyfile import generate, write_key
from ledger.checkpoint import Checkpoint
from ledger.contradiction import Contradiction
from ledger.envelope import Envelope
from ledger.errors import Conflict, Reason, ServiceFault
from ledger.event import Event, Kind
from ledger.findings import AuditReport, Finding
from ledger.identifiers import uscc_check_character
from ledger.note import VerifierKey
from server.grpc import errors
from server.grpc.errors import status_of

COMPANY = "91330106589868712W"
NOBODY = "91350100MA00000X0" + uscc_check_character("91350100MA00000X0")
"""Not in the city."""
LAPSED = "91310000132207927C"


def new_party(name="new"):
    """A key pair, as `suyuan keygen` leaves it."""
    key = generate()
    write_key(f"{name}.pem", key, None)
    Path(f"{name}.pub").write_text(_pem(key.public_key))
    return key


# Genesis


def test_genesis_is_what_the_operator_needs(suyuan, keys):
    done = suyuan.json(
        "regulator", "genesis", "--origin", "ledger.test/new", "--party", REGULATOR, "--name", "福州市市场监督管理局",
        "--key", keys["regulator"], "--out", "genesis.bin", "--at", "2026-05-04T09:00:00+08:00",
    )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    envelope = Envelope.parse(Path("genesis.bin").read_bytes())
    key = signing_key(REGULATOR).public_key
    envelope.verify(key)
    event = Event.parse(envelope.payload)
    assert event.kind is Kind.GENESIS
    assert event.occurred_at.isoformat() == "2026-05-04T09:00:00+08:00"
    body = event.message.genesis
    assert (body.origin, body.format_version, body.rules_version) == ("ledger.test/new", 1, 1)
    assert (body.regulator, body.regulator_name) == (REGULATOR, "福州市市场监督管理局")
    assert body.regulator_key == key.spki
    assert done.record == {
        "file": "genesis.bin",
        "origin": "ledger.test/new",
        "regulator": REGULATOR,
        "event": event.id.hex(),
        "key_id": key.key_id.hex(),
    }


def genesis(suyuan, keys, **changed):
    options = {
        "origin": "ledger.test/new", "party": REGULATOR, "name": "局", "key": keys["regulator"], "out": "genesis.bin",
    } | changed  # fmt: skip
    return suyuan(
        "regulator", "genesis", *(word for name, value in options.items() for word in (f"--{name}", value))
    )


def test_the_operator_makes_a_log_of_it(suyuan, keys):
    assert genesis(suyuan, keys).status == 0
    done = suyuan.json(
        "operator", "init", "--genesis", "genesis.bin", "--database", "log.db", "--log-key", "log.pem"
    )
    assert done.status == 0, done.err
    assert done.record["origin"] == "ledger.test/new"


def test_a_genesis_is_not_written_over(suyuan, keys):
    assert genesis(suyuan, keys).status == 0
    before = Path("genesis.bin").read_bytes()
    done = genesis(suyuan, keys)
    assert done.status == 2
    assert (
        done.err
        == "Error: file genesis.bin: given a file that exists, expected a new file [INVALID_REQUEST]\n"
    )
    assert Path("genesis.bin").read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"origin": "two words"}, "MALFORMED_EVENT"),
        ({"party": "113501000036045661"}, "BAD_CHAIN_KEY"),
        ({"name": ""}, "MALFORMED_EVENT"),
        ({"out": "nowhere/genesis.bin"}, "INVALID_REQUEST"),
    ],
)
def test_a_genesis_that_can_not_be(suyuan, keys, changed, reason):
    done = genesis(suyuan, keys, **changed)
    assert done.status == 2
    assert done.err.endswith(f"[{reason}]\n")
    assert not Path("genesis.bin").exists()


def test_a_genesis_of_nobody(suyuan, keys):
    done = suyuan(
        "regulator", "genesis", "--origin", "a", "--name", "b", "--out", "c", "--key", keys["regulator"]
    )
    assert done.status == 2
    assert done.err == "Error: --party: given none, expected USCC of the root regulator [INVALID_REQUEST]\n"


# Register


def test_register_a_company(online, keys):
    key = new_party()
    done = online(
        "regulator", "register", COMPANY, "--role", "courier", "--name", "圆通速递", "--public-key", "new.pub",
        "--licence-number", "JY13501020012345", "--licence-until", "2099-12-31", "--key", keys["regulator"],
    )  # fmt: skip
    assert done.status == 0, done.err
    assert done.out.startswith(f"Recorded: registration as courier, party/{COMPANY}\n")
    shown = online("regulator", "status", COMPANY)
    assert shown.status == 0
    index = re.search(r"entry (\d+)", done.out)[1]
    assert shown.out.splitlines() == [
        f"party/{COMPANY}  圆通速递",
        "  courier, active, licence until 2099-12-31",
        f"  registered by 福州市市场监督管理局 ({REGULATOR}), entry {index}",
        f"  key {key.public_key.key_id.hex()}",
    ]
    history = online("platform", "history", f"party/{COMPANY}")
    assert "│ licence JY13501020012345 until 2099-12-31\n" in history.out
    assert "● registered as courier\n" in history.out


def test_a_licence_that_has_lapsed_is_shown_as_lapsed(online, keys):
    new_party()
    done = online("regulator", "register", LAPSED, "--role", "courier", "--name", "中通快递", "--public-key", "new.pub",
                  "--licence-until", "2020-12-31", "--key", keys["regulator"])  # fmt: skip
    assert done.status == 0, done.err
    assert "  courier, active, licence ended on 2020-12-31\n" in online("regulator", "status", LAPSED).out
    assert online.json("regulator", "status", LAPSED).record["licence_lapsed"] is True


def test_register_twice_is_refused(online, keys):
    new_party()
    done = online("regulator", "register", MERCHANT, "--role", "merchant", "--name", "again", "--public-key", "new.pub",
                  "--key", keys["regulator"])  # fmt: skip
    assert done.status == 4
    assert done.err.endswith("[PARTY_EXISTS]\n")


@pytest.mark.parametrize(
    ("party", "reason"),
    [("6901234567892", "BAD_CHAIN_KEY"), (f"{COMPANY[:-1]}K", "BAD_CHAIN_KEY"), ("party/x", "BAD_CHAIN_KEY")],
)
def test_a_party_that_is_none(online, keys, party, reason):
    new_party()
    done = online("regulator", "register", party, "--role", "merchant", "--name", "x", "--public-key", "new.pub",
                  "--key", keys["regulator"])  # fmt: skip
    assert done.status == 2
    assert done.err.endswith(f"[{reason}]\n")


@pytest.mark.parametrize("day", ["2027-3-31", "20270331", "2027-02-30", "2027-W13-3", "tomorrow"])
def test_a_licence_until_no_day(online, keys, day):
    new_party()
    done = online("regulator", "register", COMPANY, "--role", "merchant", "--name", "x", "--public-key", "new.pub",
                  "--licence-until", day, "--key", keys["regulator"])  # fmt: skip
    assert done.status == 2
    assert f"Error: --licence-until: given {day}, expected a date as 2027-03-31" in done.err


def test_a_public_key_that_is_none(online, keys):
    Path("new.pub").write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    done = online("regulator", "register", COMPANY, "--role", "merchant", "--name", "x", "--public-key", "new.pub",
                  "--key", keys["regulator"])  # fmt: skip
    assert done.status == 2
    assert done.err.endswith("[BAD_KEY]\n")


# Status


@pytest.fixture
def till(online, keys, request):
    """A member of the merchant's: its chain key and its key file."""
    name = f"till-{sum(map(ord, request.node.name))}"
    new_party(name)
    done = online("merchant", "register", name, "--public-key", f"{name}.pub", "--key", keys["merchant"])
    assert done.status == 0, done.err
    return f"{MERCHANT}/{name}", Path(f"{name}.pem")


def test_suspend_and_reinstate(online, keys, till, goods):
    party, key = till
    listing = ("merchant", "list", goods, "--title", "茶", "--category", "food", "--key", key)
    done = online(
        "regulator", "status", party, "--suspend", "--reason", "violation", "--key", keys["regulator"]
    )
    assert done.status == 0, done.err
    assert done.out.startswith(f"Recorded: status suspended, violation, {party}\n")
    assert online.json("regulator", "status", party).record["status"] == "suspended"
    refused = online(*listing)
    assert refused.status == 4
    assert refused.err.endswith("[PARTY_NOT_ACTIVE]\n")
    assert online("regulator", "status", party, "--reinstate", "--key", keys["regulator"]).status == 0
    assert online(*listing).status == 0
    history = online("platform", "history", party).out
    assert "● suspended: violation\n" in history
    assert "● active: reinstated\n" in history


def test_renew_a_licence(online, keys, till):
    party, _ = till
    done = online("regulator", "status", party, "--licence-until", "2098-01-01", "--key", keys["merchant"])
    assert done.status == 0, done.err
    shown = online.json("regulator", "status", party).record
    assert (shown["licence_until"], shown["status"]) == ("2098-01-01", "active")
    assert (
        online(
            "regulator", "status", party, "--suspend", "--reason", "own-request", "--key", keys["merchant"]
        ).status
        == 0
    )
    assert (
        online(
            "regulator", "status", party, "--licence-until", "2099-01-01", "--key", keys["merchant"]
        ).status
        == 0
    )
    shown = online.json("regulator", "status", party).record
    assert (shown["licence_until"], shown["status"]) == ("2099-01-01", "suspended")


@pytest.mark.parametrize(
    "arguments",
    [("--suspend",), ("--suspend", "--reinstate", "--reason", "violation"), ("--reason", "violation")],
)
def test_status_says_what_it_needs(online, keys, arguments):
    done = online("regulator", "status", MERCHANT, *arguments, "--key", keys["regulator"])
    assert done.status == 2
    assert "Usage: suyuan regulator status" in done.err


def test_the_status_of_nobody(online):
    done = online("regulator", "status", NOBODY)
    assert done.status == 1
    assert done.err.endswith("[NOT_FOUND]\n")


def test_a_merchant_suspends_no_other(online, keys):
    done = online(
        "regulator", "status", PLATFORM, "--suspend", "--reason", "violation", "--key", keys["merchant"]
    )
    assert done.status == 4
    assert done.err.endswith("[NOT_ACCREDITOR]\n")


# Revoke


@pytest.mark.parametrize("by_file", [False, True])
def test_revoke(online, keys, till, goods, by_file):
    party, key = till
    key_id = online.json("regulator", "status", party).record["keys"][0]["key_id"]
    named = key.with_suffix(".pub") if by_file else key_id
    done = online.json("regulator", "revoke", named, "--reason", "compromised", "--key", keys["regulator"])
    assert done.status == 0, done.err
    assert done.record["chain"] == party
    shown = online.json("regulator", "status", party).record["keys"]
    assert shown[0]["revoked_at"] == done.record["recorded_at"]
    assert "\n    revoked 20" in online("regulator", "status", party).out
    refused = online("merchant", "list", goods, "--title", "茶", "--category", "food", "--key", key)
    assert refused.status == 4
    assert refused.err.endswith("[KEY_REVOKED]\n")


def test_revoke_a_key_of_nobody(online, keys):
    done = online("regulator", "revoke", "0" * 64, "--reason", "lost", "--key", keys["regulator"])
    assert done.status == 1
    assert done.err == f"Error: key: given {'0' * 64}, expected a recorded key [NOT_FOUND]\n"


def test_revoke_what_is_no_key(online, keys):
    done = online("regulator", "revoke", "till-2", "--reason", "lost", "--key", keys["regulator"])
    assert done.status == 2
    assert done.err.endswith("expected 64 lower-case hexadecimal digits [BAD_IDENTIFIER]\n")


# Verify


def test_verify(online, keys, sell, goods):
    event, token = sell()
    online("consumer", "complain", "--token", token, "--category", "quality", "--remedy", "apology")
    online("regulator", "recall", goods, "--reason", "defect", "--text", "坏了", "--key", keys["regulator"])
    online(
        "courier",
        "scan",
        "delivered",
        "--sale",
        event,
        "--at",
        "2026-01-01T00:00:00Z",
        "--key",
        keys["member"],
    )
    done = online("regulator", "verify", goods)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"VERIFIED  01/0{goods}"
    assert re.fullmatch(
        rf"  checkpoint of {re.escape(ORIGIN)}: \d+ entries, signed by the log's key", lines[1]
    )
    assert lines[2] == "  5 of 5 entries are in its tree, and the chain has no gap"
    assert lines[3] == "  5 of 5 signatures hold, under keys that lead back to the genesis"
    assert re.fullmatch(r"  Note: entry \d+, 20.* \+08:00: complained: quality", lines[4])
    assert re.fullmatch(r"  Note: entry \d+, 20.* \+08:00: RECALLED: defect", lines[5])
    assert re.fullmatch(r"  Note: flagged late: entry \d+", lines[6])
    assert re.fullmatch(r"  Note: flagged out-of-order: entry \d+", lines[7])


def test_verify_for_programs(online, sell):
    event, _ = sell()
    record = online.json("regulator", "verify", "--sale", event).record
    assert record["verified"] is True
    assert record["subject"] == f"sale {event}"
    assert record["entries"] == 2
    assert len(record["checked"]) == 3
    assert record["notes"] == []
    assert record["checkpoint"]["origin"] == ORIGIN


def test_verify_the_party_itself(online):
    assert online("regulator", "verify", CARRIER_MEMBER).status == 0
    assert online("regulator", "verify", "ledger").status == 0


def test_verify_what_nobody_recorded(online):
    done = online("regulator", "verify", "6900000000007")
    assert (done.status, done.err) == (1, "")
    assert done.out == "NOT VERIFIED  01/06900000000007\n  nothing is recorded\n"
    done = online.json("regulator", "verify", "--sale", "0" * 64)
    assert done.status == 1
    assert done.record["verified"] is False
    assert done.record["error"]["reason"] == "SALE_UNKNOWN"


@pytest.mark.parametrize("arguments", [(), ("6901234567892", "--sale", "0" * 64)])
def test_verify_a_barcode_or_a_sale(online, arguments):
    done = online("regulator", "verify", *arguments)
    assert done.status == 2


@pytest.mark.parametrize("command", [("verify", "6901234567892"), ("audit",), ("status", MERCHANT)])
def test_nobody_answers(online, command):
    done = online("regulator", *command, SUYUAN_SERVER="127.0.0.1:1")
    assert done.status == 3
    assert done.out == ""
    assert "[UNREACHABLE]" in done.err


# Audit


def test_audit(online, service):
    done = online("regulator", "audit")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"VERIFIED  {ORIGIN}"
    assert re.fullmatch(r"  \d+ entries, \d+ chains, \d+ parties, \d+ signatures checked", lines[1])
    assert lines[2].startswith("  by kind: ")
    assert re.fullmatch(r"  root [0-9a-f]{64}", lines[3])
    assert len(lines) == 4, "nothing was known before"
    again = online("regulator", "audit").out.splitlines()
    size = lines[1].split()[0]
    assert again[4] == f"  compared with a checkpoint of {size} entries, verified before"
    [remembered] = (online.state / "suyuan" / "trust").glob("*.checkpoint")
    assert remembered.read_text().splitlines()[:2] == [ORIGIN, size]


def test_audit_for_programs(online, service):
    record = online.json("regulator", "audit").record
    assert record["verified"] is True
    assert record["origin"] == ORIGIN
    assert record["entries"] == record["signatures"] == sum(record["kinds"].values())
    assert record["kinds"]["genesis"] == 1
    assert record["parties"] >= 6
    assert (record["findings"], record["more_findings"], record["compared_with"]) == ([], 0, [])


def test_audit_against_a_checkpoint_from_elsewhere(online, service):
    online("regulator", "audit")
    [remembered] = (online.state / "suyuan" / "trust").glob("*.checkpoint")
    record = online.json(
        "regulator", "audit", "--known", remembered, SUYUAN_STATE=online.folder / "elsewhere"
    ).record
    assert record["compared_with"] == [record["entries"]]


def test_a_checkpoint_from_elsewhere_must_be_signed(online, service):
    Path("checkpoint").write_text(f"{ORIGIN}\n1\n{'A' * 43}=\n\n— {ORIGIN} AAAAAAAAAAA=\n")
    done = online("regulator", "audit", "--known", "checkpoint")
    assert done.status == 5
    assert done.err.endswith("[BAD_NOTE]\n")


@contextmanager
def living_log(folder):
    """A service that holds the life of one product: 18 entries."""
    with running_service(folder) as running:
        running.append(*running.city.life())
        yield running


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    """A log that nothing is added to."""
    with living_log(tmp_path_factory.mktemp("untouched")) as running:
        yield running


@pytest.fixture
def own(suyuan, tmp_path_factory, monkeypatch):
    """The command line, and a log of this test's own."""
    with living_log(tmp_path_factory.mktemp("own")) as running:
        monkeypatch.setenv("SUYUAN_VKEY", running.vkey)
        monkeypatch.setenv("SUYUAN_SERVER", running.target)
        suyuan.service = running
        yield suyuan


def tamper(own, *statements):
    """Change the database behind the service's back."""
    with closing(sqlite3.connect(own.service.database, timeout=30)) as connection:
        for statement, *values in statements:
            connection.execute(statement, values)
        connection.commit()


def data_of(own, index):
    with closing(sqlite3.connect(own.service.database)) as connection:
        [[data]] = connection.execute("select data from entries where idx = ?", [index])
    return data


def findings(done):
    return [(finding["index"], finding["reason"]) for finding in done.record["findings"]]


def test_a_changed_byte(own):
    assert own("regulator", "audit").status == 0
    changed = data_of(own, 9).replace(b"SF1234567890123", b"SF1234567890124")
    tamper(own, ("update entries set data = ? where idx = 9", changed))
    done = own("regulator", "audit")
    assert done.status == 1
    lines = done.out.splitlines()
    assert lines[0].startswith("entry 9: leaf hash: given bytes that hash to ")
    assert lines[1].startswith("entry 9: signature: given 64 bytes that do not verify, expected ")
    assert any(re.fullmatch(rf"TAMPERED  {re.escape(ORIGIN)}: \d+ findings", line) for line in lines)
    assert own("regulator", "verify", "SF1234567890123").status == 1
    history = own("platform", "history", "SF1234567890123")
    assert history.status == 5
    assert history.out == ""


def test_entries_that_are_gone(own):
    assert own("regulator", "audit").status == 0
    [remembered] = (own.state / "suyuan" / "trust").glob("*.checkpoint")
    before = remembered.read_bytes()
    tamper(own, ("delete from entries where idx in (3, 9)",))
    done = own.json("regulator", "audit")
    assert done.status == 1
    told = findings(done)
    assert told[0] == (3, "STORE_DAMAGED")
    assert (9, "STORE_DAMAGED") in told
    assert (10, "BROKEN_CHAIN") in told
    assert told[-1] == (None, "BAD_CHECKPOINT")
    assert told.count((3, "STORE_DAMAGED")) == 1
    assert done.record["findings"][0]["message"] == (
        "the service cannot show it: entry 3: given none, expected an entry"
    )
    assert done.record["entries"] == 18
    assert done.record["kinds"]["receipt"] == 1, "what is left was read"
    assert remembered.read_bytes() == before
    assert own("regulator", "verify", "SF1234567890123").status == 1


def test_the_last_entry_is_gone(own):
    tamper(own, ("delete from entries where idx = 17",))
    done = own.json("regulator", "audit")
    assert done.status == 1
    assert findings(done)[0] == (17, "STORE_DAMAGED")


def kept_checkpoints(path, service):
    """The two checkpoints in a file of evidence, their signatures verified."""
    return Contradiction.parse(Path(path).read_bytes()).verify([VerifierKey.parse(service.vkey)])


def test_a_history_that_goes_back(own, monkeypatch, tmp_path):
    service = own.service
    service.stop()
    shutil.copy(service.database, tmp_path / "old.db")
    service.start()
    monkeypatch.setenv("SUYUAN_SERVER", service.target)
    service.append(service.city.listing(TEA, title="again"))
    assert own("regulator", "audit").status == 0
    service.stop()
    for leftover in service.folder.glob("log.db-*"):
        leftover.unlink()
    shutil.copy(tmp_path / "old.db", service.database)
    service.start()
    monkeypatch.setenv("SUYUAN_SERVER", service.target)
    done = own.json("regulator", "audit")
    assert done.status == 7
    assert findings(done) == [(None, "ROLLBACK")]
    [kept] = done.record["evidence"]
    assert [one.size for one in kept_checkpoints(kept, service)] == [19, 18]
    assert own("platform", "history", TEA).status == 7

    # Another history instead of the one that was seen.
    service.append(service.city.listing(TEA, title="otherwise"), service.city.listing(TEA, title="and more"))
    done = own.json("regulator", "audit")
    assert done.status == 6
    assert findings(done) == [(None, "FORK")]
    assert "history was rewritten" in done.record["findings"][0]["message"]
    assert done.record["entries"] == 20, "it is read to its end all the same"


@pytest.mark.parametrize("origin", [ORIGIN, "ledger.test/other"])
def test_a_log_of_another_key(online, origin):
    other = VerifierKey.of(origin, signing_key("other").public_key.spki[-32:])
    done = online.json("regulator", "audit", "--vkey", str(other))
    assert done.status == 1
    assert findings(done) == [(None, "BAD_NOTE")]
    assert online("platform", "history", "ledger", "--vkey", str(other)).status == 5
    assert online("regulator", "verify", "ledger", "--vkey", str(other)).status == 1


# A service that lies


@pytest.fixture
def liar(suyuan, untouched, monkeypatch):
    """A liar between the command line and a service."""
    with lying_service(untouched.target) as lying:
        monkeypatch.setenv("SUYUAN_VKEY", untouched.vkey)
        monkeypatch.setenv("SUYUAN_SERVER", lying.target)
        lying.line = suyuan
        lying.signer = log_signer(untouched.log_key)
        yield lying


def refused(error):
    return lambda _, __: rpc_status.to_status(status_of(error))


def test_a_service_without_a_checkpoint(liar):
    error = ServiceFault(Reason.STORE_DAMAGED, "checkpoint", given="none", expected="one")
    liar.tell("GetCheckpoint", refused(error))
    done = liar.line("regulator", "audit")
    assert done.status == 1
    assert done.out.splitlines()[0] == "log: checkpoint: given none, expected one [STORE_DAMAGED]"
    assert "TAMPERED  ledger.test/city: 1 finding\n" in done.out
    assert "root" not in done.out


def test_a_service_that_ends_half_way(liar, monkeypatch):
    monkeypatch.setattr(auditing, "_PAGE", 5)
    error = ServiceFault(Reason.STOPPING, "service", given="a call", expected="none any more")
    truth = refused(error)
    liar.tell("ListEntries", lambda request, told: truth(request, told) if request.start >= 5 else None)
    done = liar.line("regulator", "audit")
    assert (done.status, done.out) == (3, "")
    assert done.err.endswith("[STOPPING]\n")


def test_a_service_that_contradicts_itself(liar, monkeypatch):
    monkeypatch.setattr(auditing, "_PAGE", 5)

    def lie(request, told):
        if len(liar.calls("ListEntries")) == 2:
            told.checkpoint.CopyFrom(signed(Checkpoint(ORIGIN, 18, bytes(32)), liar.signer))

    liar.tell("ListEntries", lie)
    done = liar.line.json("regulator", "audit")
    assert done.status == 6
    assert findings(done) == [(None, "FORK")]
    assert done.record["signatures"] == 18, "all was read"
    [kept] = done.record["evidence"]
    assert Contradiction.parse(Path(kept).read_bytes()).reason is Reason.FORK


def test_a_service_that_gives_up(liar, monkeypatch):
    monkeypatch.setattr(auditing, "MAX_MISSING", 4)
    error = Conflict(Reason.NOT_FOUND, "entry", given="x", expected="y")
    truth = refused(error)

    def lie(request, told):
        return truth(request, told) if request.start + request.page_size > 10 else None

    liar.tell("ListEntries", lie)
    done = liar.line.json("regulator", "audit")
    assert done.status == 1
    told = findings(done)
    assert told[:4] == [(index, "NOT_FOUND") for index in range(10, 14)]
    assert told[4] == (None, "BAD_ENTRY")
    assert "number of entries: given 14, expected 18" in done.record["findings"][4]["message"]


def test_an_answer_that_is_no_proof(liar):
    def lie(_, told):
        told.entries[0].entry += b"x"

    liar.tell("GetHistory", lie)
    liar.tell("GetTrace", lie)
    for command in (("verify", TEA), ("verify", "SF1234567890123")):
        done = liar.line("regulator", *command)
        assert done.status == 1
        assert done.out.startswith("NOT VERIFIED  ")
        assert "[BAD_INCLUSION_PROOF]" in done.out
    assert liar.line("platform", "history", TEA).status == 5


@pytest.fixture
def speaking_liar(online, service, monkeypatch):
    """The same, where something may be recorded."""
    with lying_service(service.target) as lying:
        monkeypatch.setenv("SUYUAN_SERVER", lying.target)
        lying.line = online
        yield lying


def test_a_receipt_that_is_no_proof(speaking_liar, keys):
    def lie(_, told):
        told.results[0].receipt.index += 1

    speaking_liar.tell("AppendEvents", lie)
    done = speaking_liar.line(
        "courier", "scan", "arrived", "SF1234567890123", "--place", "DE", "--key", keys["member"]
    )
    assert (done.status, done.out) == (5, "")
    assert done.err.startswith("It is not known whether this was recorded: arrived, ")


def test_a_service_that_is_busy(speaking_liar, keys, monkeypatch):
    monkeypatch.setattr(errors, "RETRY_AFTER_MS", 1)
    monkeypatch.setattr(patience, "LEAST_S", 0.001)
    busy = refused(ServiceFault(Reason.OVERLOADED, "queue", given="a full one", expected="room"))
    speaking_liar.tell(
        "AppendEvents",
        lambda request, told: busy(request, told) if len(speaking_liar.calls("AppendEvents")) < 3 else None,
    )
    command = ("courier", "scan", "arrived", "SF1234567890123", "--place", "DE", "--key", keys["member"])
    done = speaking_liar.line.json(*command)
    assert done.status == 0, done.err
    assert done.record["already_recorded"] is True, "the first try got through, and its answer was lost"
    sent = {bytes(request.envelopes[0]) for request in speaking_liar.calls("AppendEvents")}
    assert len(sent) == 1
    speaking_liar.tell("AppendEvents", busy)
    done = speaking_liar.line(*command)
    assert done.status == 3
    assert done.err.endswith("[OVERLOADED]\n")
    assert len(speaking_liar.calls("AppendEvents")) == 3 + 5


def test_a_damaged_store_is_not_asked_again(speaking_liar, keys):
    speaking_liar.tell(
        "AppendEvents", refused(ServiceFault(Reason.STORE_DAMAGED, "x", given="y", expected="z"))
    )
    done = speaking_liar.line(
        "courier", "scan", "arrived", "SF1234567890123", "--place", "DE", "--key", keys["member"]
    )
    assert done.status == 5
    assert len(speaking_liar.calls("AppendEvents")) == 1


def test_what_this_version_cannot_judge(suyuan):
    report = AuditReport(ORIGIN, size=9, root=bytes(32), unknown_kinds=2, unjudged=3, more_findings=5)
    report.findings = [Finding(4, Reason.BAD_ENTRY, "x\x1b")]
    session = Local(Settings(), Output(Format.TEXT))
    auditing.tell(session, report, [], [])
    out = suyuan.read().out
    assert out.splitlines() == [
        r"entry 4: x\x1b [BAD_ENTRY]",
        "and 5 more findings",
        f"TAMPERED  {ORIGIN}: 6 findings",
        "  9 entries, 0 chains, 0 parties, 0 signatures checked",
        f"  root {'00' * 32}",
        "  2 entries are of kinds unknown to this version: their rules were not checked",
        "  3 entries are under rules unknown to this version: their rules were not checked",
    ]
