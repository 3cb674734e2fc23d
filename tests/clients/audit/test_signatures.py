from __future__ import annotations

import os
import signal

import pytest
from world import signing_key

from clients.audit.signatures import LAG, MOST_BYTES, WORTH_STARTING, Verifiers, processors
from ledger.envelope import signed_bytes
from ledger.errors import Reason, ServiceFault

KEYS = [signing_key(f"signer {number}") for number in range(3)]


def batch(start, size, wrong=()):
    """Signatures of entries from `start` on, of which some do not hold."""
    made = []
    for index in range(start, start + size):
        key, payload = KEYS[index % 3], b"event %d" % index
        signature = key.sign(signed_bytes(payload if index not in wrong else b"another"))
        made.append((index, key.public_key.spki, signature, payload))
    return made


def reasons(found):
    return [(index, error.reason) for index, error in found]


@pytest.fixture(params=[False, True], ids=["here", "processes"])
def verifiers(request):
    with Verifiers(2) as verifiers:
        if request.param:
            verifiers.expect(WORTH_STARTING)
            assert len(verifiers.processes) == 2
        yield verifiers
    assert verifiers.processes == []


def test_what_does_not_hold_is_told_in_order(verifiers):
    wrong = {3, 7, 8, 21}
    for start in range(0, 25, 5):
        verifiers.submit(batch(start, 5, wrong))
    assert reasons(verifiers.collect(5)) == []
    assert reasons(verifiers.collect(3)) == [(index, Reason.BAD_SIGNATURE) for index in (3, 7, 8)]
    assert [one[0] for one in verifiers.owed()] == list(range(10, 25))
    assert reasons(verifiers.collect()) == [(21, Reason.BAD_SIGNATURE)]
    assert verifiers.owed() == []


def test_nothing_to_check(verifiers):
    verifiers.submit([])
    assert list(verifiers.collect()) == []


def test_batches_larger_than_a_pipe(verifiers):
    large = [(index, spki, signature, bytes(48_000)) for index, spki, signature, _ in batch(0, 256)]
    for _ in range(4):
        verifiers.submit(large)
    assert len(list(verifiers.collect())) == 4 * 256


def test_few_batches_are_under_way_where_they_are_large(verifiers):
    size = MOST_BYTES // 3
    for start in range(6):
        verifiers.submit(
            [(index, spki, signature, bytes(size)) for index, spki, signature, _ in batch(start, 1)]
        )
    assert len(list(verifiers.collect(LAG))) == 3
    assert [index for index, *_ in verifiers.owed()] == [3, 4, 5]
    verifiers.submit([(6, *batch(6, 1)[0][1:3], bytes(4 * size))])
    assert len(list(verifiers.collect(LAG))) == 3, "all but the newest, however large"


def test_few_signatures_are_checked_here():
    with Verifiers(2) as verifiers:
        verifiers.expect(WORTH_STARTING - 1)
        assert verifiers.processes == []


def test_a_process_that_dies():
    def go_on(verifiers):
        for _ in range(10):
            verifiers.submit(batch(0, 256))
            list(verifiers.collect())

    with Verifiers(2) as verifiers:
        verifiers.expect(WORTH_STARTING)
        for process in verifiers.processes:
            os.kill(process, signal.SIGKILL)
        with pytest.raises(ServiceFault) as caught:
            go_on(verifiers)
    assert str(caught.value).startswith("process that checks signatures: given one that has ended")


def test_processors():
    assert 1 <= processors() <= (os.cpu_count() or 1)
