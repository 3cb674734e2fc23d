"""The demo comes out as told, and leaves nothing running."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tell(*arguments, **environment):
    """Run the demo without its set-up, in a session of its own."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "story.py", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    output, errors = process.communicate(timeout=300)
    return process, output, errors


def still_running(session):
    """Command lines of the processes of a session."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append((status.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_it_comes_out_as_told_and_leaves_nothing_behind(tmp_path):
    process, output, errors = tell(TMPDIR=str(tmp_path))
    assert process.returncode == 0, f"{output}\n{errors}"
    assert output.count("TAMPERED") == 4
    for reason in ("UNKNOWN_KEY", "WRONG_ROLE", "LISTING_MISSING", "RECEIPT_MISSING"):
        assert output.count(f"[{reason}]") == 1
    assert "flags late, out-of-order" in output
    assert "All of it came out as told" in output
    commands = Counter(re.findall(r"\$ suyuan ([a-z]+(?: [a-z]+)?)(?= )", output))
    assert {name: count for name, count in commands.items() if name.startswith(("keygen", "label", "operator"))} == {
        "keygen": 5, "label": 3, "operator init": 1, "operator vkey": 1, "operator serve": 5,
    }  # fmt: skip
    assert output.count("$ suyuan regulator audit\n") == 5
    assert commands["merchant sell"] == 4
    # What has been told to end may be a moment in ending; what has not is there for ever.
    deadline = time.monotonic() + 30
    while still_running(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert still_running(process.pid) == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("suyuan-demo-")] == []


def test_a_folder_that_exists_is_not_touched(tmp_path):
    process, output, errors = tell("--keep", str(tmp_path))
    assert process.returncode == 2
    assert errors == f"--keep {tmp_path}: given a folder that exists, expected a new one\n"
    assert output == ""
    assert list(tmp_path.iterdir()) == []
