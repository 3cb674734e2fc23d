"""A database that cannot be written to, on a real service: clear refusals, reads as ever, and no restart to recover."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from fetching import fetch
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from misbehaving import eventually
from running import new_log, operator
from soaking import times
from world import COURIER, START

from suyuan.v1 import event_pb2 as ev
from suyuan.v1 import ledger_service_pb2 as pb

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and mounts are set as Linux has it")

DISK_BYTES = 6 * 1024 * 1024
POINTS = times(24, 400)
"""At how many points of its writing a disk fails."""


def scans(service, count):
    return [service.city.scan(ev.SHIPMENT_STAGE_IN_TRANSIT, at=START) for _ in range(count)]


def refusal(service, envelopes):
    """Why a request is refused: status code, reason, message; or None if it is answered."""
    try:
        answer = service.append(*envelopes)
    except grpc.RpcError as error:
        info = error_details_pb2.ErrorInfo()
        for detail in rpc_status.from_call(error).details:
            detail.Unpack(info)
        return error.code(), info.reason, error.details()
    assert all(result.HasField("receipt") for result in answer.results), answer
    return None


def require_reads(service):
    """Everything is read as ever."""
    assert service.ledger.GetHistory(pb.GetHistoryRequest(chain=COURIER), timeout=30).chain_length
    assert service.ledger.ListEntries(pb.ListEntriesRequest(), timeout=30).entries
    assert service.ledger.GetCheckpoint(pb.GetCheckpointRequest(), timeout=30).checkpoint.note
    for path in ("/checkpoint", "/"):
        assert fetch(service.http, path).status == 200


def require_sound(service, events):
    """The service ends as it should, and what it leaves behind is a whole log of so many scans."""
    assert service.stop() == 0
    size = 1 + len(service.founding) + events
    told = operator("check", "--database", service.database, "--log-key", service.log_key).stdout
    assert f"OK: {size} entries" in told


@contextmanager
def served(service):
    service.flags = ("--http", "127.0.0.1:0")
    try:
        service.start()
        assert refusal(service, service.founding) is None
        yield service
    finally:
        service.stop(signal.SIGKILL)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a few MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(file):
    """Leave no byte free."""
    with file.open("ab", buffering=0) as filling:
        for size in (65_536, 512, 1):
            with suppress(OSError):
                while True:
                    filling.write(b"x" * size)


def test_a_full_disk(small_disk):
    """Its log is on the same disk: that nothing can be logged any more ends nothing either."""
    service, filling = new_log(small_disk), small_disk / "filling"
    with served(service):
        assert refusal(service, scans(service, 3)) is None
        fill(filling)
        recorded, refused = 3, None
        for _ in range(200):
            batch = scans(service, 50)
            refused = refusal(service, batch)
            if refused is not None:
                break
            recorded += 50
            fill(filling)
        expected = "database: given database or disk is full, expected an answer"
        assert refused == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", expected)
        for _ in range(40):  # enough for the log to want more room too
            assert refusal(service, batch) == refused
            require_reads(service)
        filling.unlink()
        # On a busy machine the room comes back a moment after the file has gone.
        eventually(lambda: refusal(service, batch) is None, "recording where there is room again")
        require_reads(service)
        require_sound(service, recorded + 50)


def limit(service, size):
    """How large a file the service may write from now on; None: any."""
    most = resource.RLIM_INFINITY if size is None else size
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def test_a_disk_that_fails_at_any_point_of_writing(tmp_path):
    service = new_log(tmp_path)
    wal = Path(f"{service.database}-wal")
    refused = 0
    with served(service):
        for point in range(POINTS):
            batch = scans(service, 20)
            limit(service, wal.stat().st_size + point * 65_536 // POINTS)
            told = refusal(service, batch)
            if told is not None:
                assert told[:2] == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"), told
                assert "disk" in told[2]
                refused += 1
            limit(service, None)
            assert refusal(service, batch) is None
        assert refused > POINTS // 10
        require_reads(service)
        require_sound(service, 20 * POINTS)


def bound_by_modes():
    """What runs a process that may open what the modes of files allow, and no more: root may open anything."""
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("without setpriv root cannot be kept from writing")
    return (setpriv, "--bounding-set", "-dac_override")


def test_a_file_that_may_only_be_read(tmp_path):
    service = new_log(tmp_path)
    service.under = bound_by_modes()
    with served(service):
        assert service.stop() == 0
        service.database.chmod(0o444)
        service.start()
        batch = scans(service, 3)
        expected = "database: given attempt to write a readonly database, expected an answer"
        for _ in range(3):
            told = refusal(service, batch)
            assert told == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", expected)
            require_reads(service)
        service.database.chmod(0o600)
        # The service tries again by itself, every other second.
        deadline = time.monotonic() + 60
        while (told := refusal(service, batch)) is not None:
            assert told[1] == "STORE_UNAVAILABLE"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        require_reads(service)
        require_sound(service, 3)
