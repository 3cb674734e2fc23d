"""A forked process behaves as one that was started."""

import os
import signal
import sys
import time

import preloaded
import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="processes are started, not forked, elsewhere"
)

_WRITES = "import os, sys; print(sys.argv[1:], os.getcwd(), os.environ['MARK']); print('e', file=sys.stderr)"
_WAITS = "import sys, time; print('begun', flush=True); time.sleep(60)"


@pytest.fixture(params=["forked", "started"])
def way(request, monkeypatch):
    """Both ways to make a process."""
    monkeypatch.setenv("SUYUAN_TEST_FORK", str(int(request.param == "forked")))
    return request.param


def begun(folder, program):
    """A process that has written its first line, and the file it writes to."""
    path = folder / "log"
    with path.open("wb") as log:
        process = preloaded.start("-c", program, log=log)
    deadline = time.monotonic() + 60
    while not path.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert path.read_bytes() == b"begun\n"
    return process, path


def test_it_has_its_own_arguments_folder_environment_and_streams(way, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARK", "here")
    done = preloaded.run("-c", _WRITES, "a", "b c")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"['a', 'b c'] {tmp_path} here\n", "e\n")


@pytest.mark.parametrize(
    ("program", "status", "said"),
    [
        ("raise SystemExit(7)", 7, ""),
        ("raise SystemExit('why')", 1, "why\n"),
        ("import os; os._exit(9)", 9, ""),
        ("import atexit, sys; atexit.register(print, 'last', file=sys.stderr); sys.exit(3)", 3, "last\n"),
    ],
)
def test_its_exit_status_is_its_own(way, program, status, said):
    done = preloaded.run("-c", program)
    assert (done.returncode, done.stderr) == (status, said)


def test_an_exception_is_told_of(way):
    done = preloaded.run("-c", "raise ValueError('what was wrong')")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert done.stderr.endswith("ValueError: what was wrong\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_signal_meets_it(way, tmp_path, number):
    process, path = begun(tmp_path, _WAITS)
    assert process.poll() is None
    process.send_signal(number)
    assert process.wait(30) == -number
    assert ("KeyboardInterrupt" in path.read_text()) == (number == signal.SIGINT)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_several_at_once_end_each_by_itself(way):
    running = [preloaded.start("-c", f"raise SystemExit({status})") for status in range(5)]
    assert [process.communicate(timeout=30) for process in running] == [("", "")] * 5
    assert [process.returncode for process in running] == list(range(5))


def test_an_operators_command_says_the_same_both_ways(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    forked = preloaded.run("-m", "server", "check", "--database", "missing.db")
    monkeypatch.setenv("SUYUAN_TEST_FORK", "0")
    started = preloaded.run("-m", "server", "check", "--database", "missing.db")
    assert forked.stderr.startswith("error: ")
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        started.returncode,
        started.stdout,
        started.stderr,
    )
