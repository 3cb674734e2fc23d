"""The command line in tests: run in this process, or as a process of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO

import pytest
from running import running_service
from world import CARRIER_MEMBER, COURIER, MERCHANT, OTHER_MERCHANT, PLATFORM, REGULATOR, signing_key

from clients.cli.main import main
from clients.keyfile import write_key
from ledger.identifiers import gs1_check_digit

PARTIES = {
    "regulator": REGULATOR,
    "platform": PLATFORM,
    "merchant": MERCHANT,
    "other": OTHER_MERCHANT,
    "courier": COURIER,
    "member": CARRIER_MEMBER,
}


@dataclass
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def records(self):
        """The results, each a line of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def record(self):
        """The only result."""
        [record] = self.records
        return record


class Input(io.TextIOWrapper):
    """Standard input that holds a text, and may pretend to be a terminal."""

    def __init__(self, text: str, terminal: bool = False):
        super().__init__(io.BytesIO(text.encode()), encoding="utf-8")
        self.terminal = terminal

    def isatty(self):
        return self.terminal


class CommandLine:
    """Runs `suyuan`."""

    def __init__(self, folder: Path, monkeypatch, capsys):
        self.folder = folder
        self.state = folder / "state"
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments, stdin: str | IO = "", terminal: bool = False, **environment) -> Done:
        """Run in this process; results are read as text. Standard input is a text, or a stream."""
        self._capsys.readouterr()
        with self._monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", Input(stdin, terminal) if isinstance(stdin, str) else stdin)
            for name, value in environment.items():
                patch.setenv(name, str(value))
            status = main([str(argument) for argument in arguments])
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.err
        return Done(int(status), captured.out, captured.err)

    def read(self) -> Done:
        """What was printed since the last command, by other means."""
        captured = self._capsys.readouterr()
        return Done(0, captured.out, captured.err)

    def json(self, *arguments, **more) -> Done:
        """Run in this process; results are read as JSON."""
        return self(*arguments, "--format", "json", **more)

    def process(self, *arguments, stdin=subprocess.DEVNULL, **more) -> subprocess.Popen[str]:
        """Start a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", "import sys; from clients.cli.main import main; sys.exit(main())",
             *map(str, arguments)],
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more,
        )  # fmt: skip


@pytest.fixture
def suyuan(tmp_path, monkeypatch, capsys):
    """The command line, with nothing set and the user's folders in a temporary place."""
    for name in list(os.environ):
        if name.startswith("SUYUAN_") or name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    monkeypatch.chdir(tmp_path)
    time.tzset()
    yield CommandLine(tmp_path, monkeypatch, capsys)
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """A service with the city's founding; all tests share it, each with goods and parcels of its own."""
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """Key files of the city's parties, by what they are."""
    folder = tmp_path_factory.mktemp("keys")
    for name, party in PARTIES.items():
        write_key(folder / name, signing_key(party), None)
    return {name: folder / name for name in PARTIES}


@pytest.fixture
def online(suyuan, service, monkeypatch):
    """The command line, told of the service and where it is."""
    monkeypatch.setenv("SUYUAN_SERVER", service.target)
    monkeypatch.setenv("SUYUAN_VKEY", service.vkey)
    monkeypatch.setenv("SUYUAN_PLACE", "350102")
    return suyuan


def number_of(request, digits: int) -> str:
    """Digits of a test's own."""
    return f"{int.from_bytes(sha256(request.node.nodeid.encode()).digest()) % 10**digits:0{digits}d}"


@pytest.fixture
def goods(request):
    """A product of this test's own."""
    body = f"690{number_of(request, 9)}"
    return body + gs1_check_digit(body)


@pytest.fixture
def waybill(request):
    """A parcel of this test's own."""
    return f"SF{number_of(request, 13)}"


@pytest.fixture
def sell(online, keys, goods):
    """Lists this test's product, sells one, and gives the sale's event id and the token's file."""

    def sold(token: str = "sold.token"):
        listed = online("merchant", "list", goods, "--title", "茉莉花茶 250 g", "--category", "food",
                        "--key", keys["merchant"])  # fmt: skip
        assert listed.status == 0, listed.err
        done = online.json("merchant", "sell", goods, "--token", token, "--key", keys["merchant"])
        assert done.status == 0, done.err
        return done.record["event"], Path(token).resolve()

    return sold
