from __future__ import annotations

import json
import signal
import socket
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from misbehaving import eventually
from tiled import VKEY, files_for, long_log, serving
from world import ORIGIN

from clients.cli import watching


@pytest.fixture
def server():
    with serving(files_for(long_log(300))) as server:
        yield server


@pytest.fixture
def watch(suyuan, server, monkeypatch):
    """Watches in a process of its own; gives the process."""
    monkeypatch.setenv("SUYUAN_VKEY", VKEY)

    @contextmanager
    def run(*options):
        with suyuan.process(
            "regulator", "watch", server.url, "--interval", "1", "--format", "json", *options
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    return run


def tampered(size):
    """A log whose last entry is not what its tree holds."""
    files = files_for(long_log(size))
    path = next(path for path in files if path.startswith("tile/entries/001"))
    files[path] = files[path][:-1] + bytes([files[path][-1] ^ 1])
    return files


def test_each_new_checkpoint_is_a_line(watch, server):
    with watch() as process:
        first = json.loads(process.stdout.readline())
        assert first == {
            "verified": True, "at": first["at"], "origin": ORIGIN, "entries": 300, "new_entries": 300,
            "root": first["root"],
        }  # fmt: skip
        server.files = files_for(long_log(310))
        second = json.loads(process.stdout.readline())
        assert (second["entries"], second["new_entries"]) == (310, 10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""


def test_ctrl_c(watch):
    with watch() as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read() == ""


def test_the_first_violation_ends_it(watch, server, tmp_path):
    told = tmp_path / "told.json"
    command = f"{sys.executable} -c \"import sys; open('{told}', 'wb').write(sys.stdin.buffer.read())\""
    with watch("--command", command) as process:
        process.stdout.readline()
        server.files = tampered(310)
        assert process.wait(60) == 1
        report = json.loads(process.stdout.readline())
    assert report["verified"] is False
    alert = json.loads(told.read_text())
    assert (alert["origin"], alert["url"], alert["status"]) == (ORIGIN, server.url, 1)
    assert alert["report"] == report


def test_a_fork_is_told_with_its_evidence(watch, server, tmp_path):
    told = tmp_path / "told.json"
    command = f"{sys.executable} -c \"import sys; open('{told}', 'wb').write(sys.stdin.buffer.read())\""
    with watch("--command", command) as process:
        process.stdout.readline()
        server.files = files_for(long_log(300)[::-1])
        assert process.wait(60) == 6
        assert json.loads(process.stderr.readline())["error"]["reason"] == "FORK"
    alert = json.loads(told.read_text())
    assert (alert["status"], alert["error"]["reason"]) == (6, "FORK")
    assert alert["error"]["evidence"]


def test_a_log_that_does_not_answer_is_asked_again(watch, server):
    server.tricks["checkpoint"] = lambda handler: handler.send_error(403)
    with watch() as process:
        assert "asking again in 1 s" in process.stderr.readline()
        assert "asking again in 2 s" in process.stderr.readline()
        server.tricks.clear()
        assert json.loads(process.stdout.readline())["entries"] == 300
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_file_that_comes_late_is_no_violation(watch, server):
    server.files = files_for(long_log(600))
    late = server.files.pop("tile/entries/001")
    with watch() as process:
        assert "tile/entries/001" in process.stderr.readline()
        server.files["tile/entries/001"] = late
        assert json.loads(process.stdout.readline())["entries"] == 600


def test_a_log_that_falls_silent_is_told_once(watch, server, tmp_path):
    told = tmp_path / "told"
    command = (
        f"{sys.executable} -c \"import sys; open('{told}', 'ab').write(sys.stdin.buffer.read() + b'\\n')\""
    )
    with watch("--max-silence", "2", "--command", command) as process:
        assert json.loads(process.stdout.readline())["entries"] == 300
        said = process.stderr.readline()
        assert "the log's checkpoint: given none that is larger in the last 2 s, expected one" in said
        server.asked.clear()
        eventually(lambda: server.asked.count("checkpoint") >= 3)
        assert len(told.read_text().splitlines()) == 1
        server.files = files_for(long_log(310))
        assert json.loads(process.stdout.readline())["entries"] == 310
        assert "in the last 2 s" in process.stderr.readline(), "another silence is told again"
        eventually(lambda: len(told.read_text().splitlines()) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, "it is no violation"
    alert = json.loads(told.read_text().splitlines()[0])
    assert (alert["origin"], alert["url"], alert["status"]) == (ORIGIN, server.url, 3)
    assert alert["error"]["reason"] == "UNREACHABLE"


@contextmanager
def webhook(*statuses):
    """A server that answers so, one after the other; what was posted to it."""
    posted, left = [], list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(
                (self.headers["Content-Type"], self.rfile.read(int(self.headers["Content-Length"])))
            )
            self.send_response(left.pop(0))
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/secret", posted
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("statuses", "said"), [
    ((200,), ""), ((204,), ""), ((503, 429, 200), ""),
    ((302,), "The alert could not be posted to the webhook: HTTP status 302\n"),
    ((404,), "The alert could not be posted to the webhook: HTTP status 404\n"),
    ((500,) * 4, "The alert could not be posted to the webhook: HTTP status 500\n"),
])  # fmt: skip
def test_the_webhook(monkeypatch, capsys, statuses, said):
    monkeypatch.setattr(watching, "_FIRST_PAUSE_S", 0.01)
    with webhook(*statuses) as (url, posted):
        watching.Alarm(url, None, timeout_s=5).raise_({"origin": ORIGIN})
    assert posted == [("application/json", json.dumps({"origin": ORIGIN}).encode())] * len(statuses)
    assert capsys.readouterr().err == said
    assert "secret" not in said


def test_a_webhook_that_hangs(monkeypatch, capsys):
    monkeypatch.setattr(watching, "_FIRST_PAUSE_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/secret"
        started = time.monotonic()
        watching.Alarm(url, None, timeout_s=0.1).raise_({})
    assert time.monotonic() - started < 30, "and not for ever"
    assert capsys.readouterr().err == "The alert could not be posted to the webhook: ReadTimeoutError\n"


def test_a_command_that_fails(capfd):
    watching.Alarm(None, f'{sys.executable} -c "print(1); raise SystemExit(3)"', timeout_s=1).raise_({})
    watching.Alarm(None, "/no/such/command", timeout_s=1).raise_({})
    captured = capfd.readouterr()
    assert captured.out == "", "results go there, and this is none"
    assert "ended with status 3" in captured.err
    assert "could not be told of the alert: " in captured.err


@pytest.mark.parametrize("options", [["--webhook", "mailto:a"], ["--command", "'a"], ["--interval", "0"]])
def test_wrong_usage(suyuan, server, options):
    done = suyuan("regulator", "watch", server.url, *options, SUYUAN_VKEY=VKEY)
    assert done.status == 2
