from __future__ import annotations

import errno
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib.metadata import version

import pytest

from clients.cli import main as main_module
from clients.cli.main import main
from clients.cli.status import Status, status_of
from ledger.errors import BadInput, BrokenProof, Conflict, NotAuthorized, Reason, ServiceFault

COMMANDS = {
    (): ["merchant", "courier", "consumer", "platform", "regulator", "operator", "scan", "label", "keygen"],
    ("merchant",): ["register", "add-key", "list", "sell", "dispatch", "reply", "recall"],
    ("courier",): ["register", "add-key", "scan", "receive"],
    ("consumer",): ["receive", "review", "follow-up", "complain"],
    ("platform",): ["register", "add-key", "history"],
    ("regulator",): ["genesis", "register", "status", "add-key", "revoke", "recall", "verify", "audit"],
    ("operator",): ["init", "serve", "rebuild", "check", "vkey"],
}
LEAVES = [
    (*group, name) for group, names in COMMANDS.items() for name in names if (*group, name) not in COMMANDS
]


# Help


@pytest.mark.parametrize("group", COMMANDS)
def test_the_help_of_a_group_names_its_commands(suyuan, group):
    done = suyuan(*group, "--help")
    assert (done.status, done.err) == (0, "")
    listed = re.findall(r"^  ([a-z][a-z-]*)  +\S", done.out, re.MULTILINE)
    assert [name for name in listed if name in COMMANDS[group]] == COMMANDS[group]


@pytest.mark.parametrize("command", LEAVES, ids=" ".join)
def test_the_help_of_a_command_has_an_example(suyuan, command):
    done = suyuan(*command, "--help")
    assert (done.status, done.err) == (0, "")
    assert f"Usage: suyuan {' '.join(command)} " in done.out
    assert re.search(rf"Example:.*suyuan {' '.join(command)}\b", " ".join(done.out.split()))
    # Lines that are kept as they are may be longer; all else fits a terminal of 80 columns.
    assert max(len(line) for line in done.out.splitlines() if "suyuan" not in line and "--" not in line) <= 80


@pytest.mark.parametrize("command", [leaf for leaf in LEAVES if leaf[0] != "operator"], ids=" ".join)
def test_every_command_takes_a_format(suyuan, command):
    out = suyuan(*command, "-h").out
    assert "--format text|json" in out
    assert "[env var: SUYUAN_FORMAT]" in " ".join(out.split())


def test_the_help_tells_the_exit_statuses(suyuan):
    out = suyuan("--help").out
    for status in range(6):
        assert re.search(rf"^    {status}  \S", out, re.MULTILINE)


def test_shared_options_have_sections_of_their_own(suyuan):
    out = suyuan("merchant", "sell", "--help").out
    sections = re.findall(r"^(\S.*):$", out, re.MULTILINE)
    assert sections == ["Arguments", "Options", "Signing options", "Service options"]


def test_version(suyuan):
    assert suyuan("--version").out == f"suyuan {version('suyuan')}\n"


@pytest.mark.parametrize("arguments", [(), ("merchant",), ("merchant", "list"), ("consumer", "--frobnicate")])
def test_usage(suyuan, arguments):
    done = suyuan(*arguments)
    assert (done.status, done.out) == (2, "")
    assert "Usage: suyuan" in done.err


def test_a_slip_of_the_hand(suyuan):
    done = suyuan("regulater")
    assert done.status == 2
    assert done.err.endswith("Error: No such command 'regulater'. Did you mean 'regulator'?\n")


@pytest.mark.parametrize(
    ("arguments", "reason", "message"),
    [
        (
            ("keygen", "--out", "key.pem", "--algorithm", "foo"),
            "INVALID_REQUEST",
            "Invalid value for '--algorithm': 'foo' is not one of 'ed25519', 'p256'.",
        ),
        (("regulater",), "INVALID_REQUEST", "No such command 'regulater'. Did you mean 'regulator'?"),
        (("regulator", "verify"), "INVALID_REQUEST", "Invalid value: name BARCODE, or a sale by --sale"),
        (
            ("operator", "check", "--database", "none.db"),
            "NOT_FOUND",
            "database: given no file none.db, expected a database made by operator init",
        ),
    ],
)
def test_errors_as_json(suyuan, arguments, reason, message):
    for done in (
        suyuan(*arguments, "--format", "json"),
        suyuan(*arguments, "--format=json"),
        suyuan(*arguments, SUYUAN_FORMAT="json"),
    ):
        assert (done.status, done.out) == (2, "")
        [line] = done.err.splitlines()
        error = json.loads(line)["error"]
        assert (error["reason"], error["message"]) == (reason, message)
        assert set(error) == {"reason", "message", "subject", "given", "expected"}


def test_a_wrong_word_is_told_without_the_checkers_own_words(suyuan):
    done = suyuan("keygen", "--out", "key.pem", "--algorithm", "foo")
    assert done.err.endswith(
        "Error: Invalid value for '--algorithm': 'foo' is not one of 'ed25519', 'p256'.\n"
    )


@pytest.mark.parametrize("server", ["nonsense", "127.0.0.1:99999", "127.0.0.1:0", "https://x:1", "::1:7443"])
def test_a_server_that_is_no_address(suyuan, server):
    done = suyuan("platform", "history", "6901234567892", "--server", server, "--vkey", "x")
    assert done.status == 2
    assert done.err.startswith(
        f"Error: server: given {server}, expected HOST:PORT, such as ledger.example:7443"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("merchant", "sell", "6901234567892", "--token", "t", "--quantity"),
        ("merchant", "list", "6901234567892", "--title", "t", "--category", "food", "--weight"),
        ("courier", "scan", "picked-up", "SF1234567890123", "--weight"),
        ("merchant", "dispatch", "00" * 32, "SF1234567890123", "--weight"),
    ],
    ids=" ".join,
)
def test_numbers_that_an_event_has_no_room_for(suyuan, arguments):
    done = suyuan(*arguments, 2**32)
    assert (done.status, done.out) == (2, "")
    assert "4294967295" in done.err
    assert "x<=4294967295" in " ".join(suyuan(*arguments[:2], "--help").out.split())


# Laziness


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (("--help",), "grpc google.protobuf cryptography rich numpy pydantic scanner ledger.event"),
        (("--version",), "grpc google.protobuf cryptography rich numpy pydantic scanner ledger.event"),
        (("courier", "--help"), "grpc rich numpy pydantic scanner server"),
        (("courier", "scan", "--help"), "grpc rich numpy pydantic scanner server"),
        (("regulator", "--help"), "grpc rich numpy pydantic scanner server"),
        (("scan", "nothing.png"), "grpc rich pydantic server"),
        (("label", "6901234567892", "--out", "x.png"), "grpc rich pydantic server"),
        (("keygen", "--out", "key.pem", "--no-passphrase"), "grpc rich numpy pydantic scanner server biip"),
        (
            ("courier", "scan", "arrived", "SF1234567890123", "--place", "350102"),
            "rich numpy pydantic scanner server",
        ),
    ],
)
def test_what_is_not_needed_is_not_loaded(suyuan, arguments, absent):
    code = (
        "import sys; from clients.cli.main import main; main(sys.argv[1:]);"
        f"print('LOADED', [name for name in {absent.split()!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "LOADED []"


# Errors


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInput(Reason.BAD_IDENTIFIER, "x"), 2),
        (NotAuthorized(Reason.WRONG_ROLE, "x"), 4),
        (Conflict(Reason.PARTY_EXISTS, "x"), 4),
        (Conflict(Reason.NOT_FOUND, "x"), 1),
        (BrokenProof(Reason.BAD_ENTRY, "x"), 5),
        (BrokenProof(Reason.FORK, "x"), 6),
        (BrokenProof(Reason.ROLLBACK, "x"), 7),
        (BrokenProof(Reason.UNWITNESSED, "x"), 8),
        (ServiceFault(Reason.NO_QUORUM, "x"), 8),
        (ServiceFault(Reason.STORE_DAMAGED, "x"), 5),
        (ServiceFault(Reason.UNREACHABLE, "x"), 3),
        (ServiceFault(Reason.OVERLOADED, "x"), 3),
    ],
)
def test_the_status_of_an_error(error, status):
    assert status_of(error) == status


def failing(monkeypatch, error):
    def app(*_, **__):
        raise error

    monkeypatch.setattr(main_module, "app", app)


def test_an_error_that_the_system_makes(suyuan, monkeypatch):
    failing(monkeypatch, PermissionError(errno.EACCES, "Permission denied", "/etc/\x1bshadow"))
    done = suyuan("x")
    assert done.status == 2
    assert done.err == "Error: [Errno 13] Permission denied: '/etc/\\x1bshadow'\n"


def test_an_error_that_nobody_foresaw(suyuan, monkeypatch):
    failing(monkeypatch, ZeroDivisionError("division by zero"))
    done = suyuan("x")
    assert done.status == Status.INTERNAL == 70
    assert done.err == (
        "Internal error: ZeroDivisionError: division by zero\nSet SUYUAN_DEBUG=1 to see where.\n"
    )
    monkeypatch.setenv("SUYUAN_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["x"])


def test_ctrl_c_before_a_command_runs(suyuan, monkeypatch):
    failing(monkeypatch, KeyboardInterrupt())
    assert suyuan("x").status == 130


def test_no_key_to_verify_with(suyuan):
    done = suyuan("platform", "history", "6901234567892")
    assert done.status == 2
    assert done.err.startswith(
        "Error: verifier key of the log: given none, expected --vkey, $SUYUAN_VKEY or `vkey`"
    )
    assert "`suyuan operator vkey`" in done.err


def test_a_key_that_verifies_nothing(suyuan):
    done = suyuan("platform", "history", "6901234567892", "--vkey", "nonsense")
    assert done.status == 2
    assert done.err.endswith("[BAD_KEY]\n")


@pytest.mark.parametrize("timeout", ["0", "-1", "soon", "1e3", "nan", "١٥"])
def test_a_timeout_that_is_none(suyuan, timeout):
    done = suyuan("platform", "history", "6901234567892", "--timeout", timeout)
    assert done.status == 2
    assert done.err.startswith("Error: timeout: given ")


def test_an_error_for_programs(suyuan):
    done = suyuan.json("platform", "history", "6901234567892")
    assert done.status == 2
    assert done.err.startswith(
        '{"error": {"reason": "INVALID_REQUEST", "message": "verifier key of the log: '
    )
    # The next command is for people again.
    assert suyuan("platform", "history", "6901234567892").err.startswith("Error: ")


# Processes


@pytest.fixture
def silence():
    """A service that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept = []

        def accept():
            while True:
                try:
                    kept.append(listening.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", kept
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in kept:
            connection.close()


def test_ctrl_c(suyuan, service, silence, monkeypatch):
    target, kept = silence
    monkeypatch.setenv("SUYUAN_VKEY", service.vkey)
    with suyuan.process("regulator", "audit", "--server", target, "--timeout", "600") as process:
        while not kept:
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_a_service_that_says_nothing(suyuan, service, silence):
    done = suyuan("regulator", "audit", "--server", silence[0], "--timeout", "0.3", SUYUAN_VKEY=service.vkey)
    assert done.status == 3
    assert "given DEADLINE_EXCEEDED" in done.err or "given UNAVAILABLE" in done.err


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_reader_that_has_seen_enough(online, service, form):
    process = online.process("platform", "history", "ledger", "--format", form)
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == Status.PIPE_CLOSED == 141
    assert err == ""


def on_a_terminal(online, *arguments, **environment):
    """What a command writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from clients.cli.main import main; sys.exit(main())", *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(theirs)
    written = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    return process.wait(60), written.decode()


def test_colours_on_a_terminal(online):
    status, written = on_a_terminal(online, "platform", "history", "ledger")
    assert status == 0
    assert re.search(r"\x1b\[(1;)?32m", written), "what is verified is green"


def test_no_colours_where_nobody_wants_them(online):
    status, written = on_a_terminal(online, "platform", "history", "ledger", NO_COLOR="1")
    assert status == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", written)
    assert "\x1b" not in online("platform", "history", "ledger").out
    assert "\x1b" not in online("regulator", "audit", SUYUAN_SERVER="127.0.0.1:1").err


def test_a_bar_for_long_work(online):
    status, written = on_a_terminal(online, "regulator", "audit")
    assert status == 0
    assert "Auditing" in written
    assert "VERIFIED" in written


def test_another_character_set(online, monkeypatch):
    for form in ("text", "json"):
        process = online.process(
            "platform", "history", "ledger", "--format", form,
            env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        )  # fmt: skip
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        assert r"\u798f\u5dde" in out


def test_two_runs_at_once(online, keys, goods):
    arguments = ("merchant", "list", goods, "--title", "茶", "--category", "food", "--key", keys["merchant"])
    runs = [online.process(*arguments, "--format", "json") for _ in range(2)]
    for run in runs:
        out, err = run.communicate(timeout=120)
        assert (run.returncode, err) == (0, ""), out
    assert len(online.json("platform", "history", goods).record["entries"]) == 2
