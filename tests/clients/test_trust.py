from __future__ import annotations

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from lying import CITY_SIGNER
from world import ORIGIN, signing_key

from clients.trust import FileTrust, MemoryTrust
from ledger.checkpoint import Checkpoint, sign_checkpoint
from ledger.errors import BadInput, BrokenProof, Reason
from ledger.note import NoteSigner

OTHER = "elsewhere.test/log"


def note_of(size, root=b"r", origin=ORIGIN):
    signer = CITY_SIGNER if origin == ORIGIN else NoteSigner(origin, signing_key(origin)._key)
    return sign_checkpoint(Checkpoint(origin, size, (root * 32)[:32]), signer)


@pytest.fixture(params=["memory", "file"])
def trust(request, tmp_path):
    return MemoryTrust() if request.param == "memory" else FileTrust(tmp_path / "state" / "trust")


def test_nothing_is_remembered_at_first(trust):
    assert trust.newest(ORIGIN) is None


def test_a_checkpoint_is_remembered_as_it_came(trust):
    assert trust.replace(ORIGIN, None, note_of(1))
    assert trust.newest(ORIGIN) == note_of(1)
    assert trust.replace(ORIGIN, note_of(1), note_of(5))
    assert trust.newest(ORIGIN) == note_of(5)


def test_each_log_has_its_own(trust):
    assert trust.replace(ORIGIN, None, note_of(5))
    assert trust.replace(OTHER, None, note_of(3, origin=OTHER))
    assert (trust.newest(ORIGIN), trust.newest(OTHER)) == (note_of(5), note_of(3, origin=OTHER))


@pytest.mark.parametrize("old", [None, note_of(2), note_of(3, b"x")])
def test_who_has_missed_a_step_does_not_replace(trust, old):
    assert trust.replace(ORIGIN, None, note_of(3))
    assert not trust.replace(ORIGIN, old, note_of(9))
    assert trust.newest(ORIGIN) == note_of(3)


def test_nothing_is_there_to_be_replaced(trust):
    assert not trust.replace(ORIGIN, note_of(3), note_of(9))
    assert trust.newest(ORIGIN) is None


@pytest.mark.parametrize("new", [note_of(2), note_of(3), note_of(3, b"x")])
def test_it_never_goes_back(trust, new):
    assert trust.replace(ORIGIN, None, note_of(3))
    with pytest.raises(BrokenProof) as caught:
        trust.replace(ORIGIN, note_of(3), new)
    size = 2 if new == note_of(2) else 3
    assert caught.value.reason is Reason.ROLLBACK
    assert str(caught.value) == (
        f"checkpoint to remember of ledger.test/city: given {size} entries, "
        "expected more than the 3 of the one remembered"
    )
    assert trust.newest(ORIGIN) == note_of(3)


def climb(trust, steps):
    """Remember one entry more, again and again; how often it was this one who did."""
    done = 0
    while done < steps:
        old = trust.newest(ORIGIN)
        size = 0 if old is None else int(old.split(b"\n")[1])
        done += trust.replace(ORIGIN, old, note_of(size + 1))
    return done


def test_threads_share_it(trust):
    threads = [threading.Thread(target=climb, args=(trust, 20)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert trust.newest(ORIGIN) == note_of(80)


def test_processes_share_a_folder(tmp_path):
    program = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from test_trust import FileTrust, climb\n"
        "print(climb(FileTrust(sys.argv[1]), 25))"
    )
    here = Path(__file__).resolve()
    paths = [str(here.parent), str(here.parents[1]), str(here.parents[2])]
    command = [sys.executable, "-c", program, str(tmp_path), *paths]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [one.communicate(timeout=120)[0] for one in running] == ["25\n", "25\n"]
    assert FileTrust(tmp_path).newest(ORIGIN) == note_of(50)


# Files


@pytest.fixture
def files(tmp_path):
    return FileTrust(tmp_path / "trust")


def test_another_process_finds_what_was_remembered(files, tmp_path):
    assert files.replace(ORIGIN, None, note_of(3))
    assert FileTrust(tmp_path / "trust").newest(ORIGIN) == note_of(3)
    assert FileTrust(str(tmp_path / "trust")).newest(ORIGIN) == note_of(3)


def test_the_file_is_the_note(files):
    assert files.replace(ORIGIN, None, note_of(3))
    path = files.path(ORIGIN)
    assert path.name.startswith("ledger.test_city-")
    assert path.read_bytes() == note_of(3)


def test_only_the_user_sees_it(files):
    assert files.replace(ORIGIN, None, note_of(3))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in files.path(ORIGIN).parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(files.path(ORIGIN).parent.stat().st_mode) == 0o700


def test_no_two_logs_have_the_same_file(files):
    origins = ["a/b", "a_b", "a b", "../a", "..", "/", "日志", "日誌", "x" * 128, "x" * 127 + "y", "A/B"]
    names = {files.path(origin).name.lower() for origin in origins}
    assert len(names) == len(origins)
    assert all(len(name) < 120 and name not in (".", "..") for name in names)
    assert {files.path(origin).parent for origin in origins} == {files.path(ORIGIN).parent}


def test_a_write_that_was_cut_off_leaves_the_old_note(files):
    """A crash between writing and renaming leaves a temporary file behind, which nobody reads."""
    assert files.replace(ORIGIN, None, note_of(3))
    path = files.path(ORIGIN)
    path.with_name(path.name + "abcd").write_bytes(note_of(4)[:20])
    assert files.newest(ORIGIN) == note_of(3)
    assert files.replace(ORIGIN, note_of(3), note_of(4))


@pytest.mark.parametrize(
    ("content", "given"),
    [
        (b"", "form of a note: given ''"),
        (note_of(3)[:-5], "form of a note: given "),
        (note_of(3, origin=OTHER), "origin: given 'elsewhere.test/log', expected 'ledger.test/city'"),
    ],
)
def test_a_file_that_holds_something_else(files, content, given):
    assert files.replace(ORIGIN, None, note_of(3))
    path = files.path(ORIGIN)
    path.write_bytes(content)
    for attempt in (lambda: files.newest(ORIGIN), lambda: files.replace(ORIGIN, None, note_of(9))):
        with pytest.raises(BrokenProof) as caught:
            attempt()
        assert caught.value.reason is Reason.BAD_NOTE
        assert str(caught.value).startswith(f"remembered checkpoint in {path}: {given}")
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    trust = FileTrust(tmp_path / "file" / "trust")
    with pytest.raises(BadInput) as caught:
        trust.replace(ORIGIN, None, note_of(3))
    assert caught.value.reason is Reason.INVALID_REQUEST
    assert str(caught.value) == (
        f"folder of remembered checkpoints {tmp_path / 'file' / 'trust'}: given Not a directory, "
        "expected a folder that this user may read and write"
    )


def test_a_file_that_cannot_be_read(files):
    files.path(ORIGIN).mkdir(parents=True)
    with pytest.raises(BadInput) as caught:
        files.newest(ORIGIN)
    assert str(caught.value) == (
        f"folder of remembered checkpoints {files.path(ORIGIN).parent}: given Is a directory, "
        "expected a folder that this user may read and write"
    )


def test_a_note_that_cannot_be_written_leaves_the_old_one(files):
    resource = pytest.importorskip("resource", reason="a system without limits")
    assert files.replace(ORIGIN, None, note_of(3))
    folder = files.path(ORIGIN).parent
    before = sorted(path.name for path in folder.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))  # as good as a full disk
    try:
        with pytest.raises(BadInput) as caught:
            files.replace(ORIGIN, note_of(3), note_of(4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "given File too large" in str(caught.value)
    assert sorted(path.name for path in folder.iterdir()) == before
    assert files.newest(ORIGIN) == note_of(3)
