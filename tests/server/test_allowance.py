"""Token buckets of keys: what they let through, and that they do not pile up."""

import pytest

from ledger.errors import BadInput, Reason
from server.allowance import Allowances, KeyAllowance
from server.grpc.errors import status_of

KEY, OTHER = bytes(32), bytes([1]) * 32


class Hands:
    now_s = 1_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture
def buckets(hands):
    return Allowances(KeyAllowance(rate=10, burst=20), clock=hands)


def test_a_burst_and_then_the_rate(buckets, hands):
    assert buckets.take(KEY, 15) == 15
    assert buckets.take(KEY, 15) == 5
    assert buckets.take(KEY, 1) == 0
    hands.now_s += 0.5
    assert buckets.take(KEY, 9) == 5
    hands.now_s += 3_600
    assert buckets.take(KEY, 100) == 20


def test_one_key_takes_nothing_from_another(buckets):
    assert buckets.take(KEY, 50) == 20
    assert buckets.take(OTHER, 50) == 20


def test_what_is_told_is_when_there_is_room_for_what_was_refused(buckets, hands):
    buckets.take(KEY, 25)
    assert buckets.refusal(KEY, 5).retry_after_s == pytest.approx(0.5)
    assert buckets.refusal(KEY, 1_000).retry_after_s == pytest.approx(2.0)
    refusal = buckets.refusal(KEY, 5)
    assert refusal.reason is Reason.RATE_LIMITED
    assert str(refusal) == (
        f"events of key {'00' * 32}: given more than 20 at once, expected at most 10 a second, and 20 at once"
    )
    status = status_of(refusal)
    assert (status.code, len(status.details)) == (8, 2)
    hands.now_s += 0.5
    assert buckets.take(KEY, 5) == 5


def test_buckets_that_are_full_again_are_dropped(buckets, hands):
    for number in range(100):
        buckets.take(number.to_bytes(32, "big"), 1)
    assert len(buckets) == 100
    hands.now_s += 2.0
    buckets.take(KEY, 1)
    assert len(buckets) == 1


def test_there_are_never_more_than_may_be(hands):
    buckets = Allowances(KeyAllowance(rate=1, burst=1_000), clock=hands, max_keys=10)
    for number in range(1_000):
        buckets.take(number.to_bytes(32, "big"), 1)
        assert len(buckets) <= 10


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0), (1e7, 1), (float("nan"), 1)])
def test_an_allowance_that_allows_nothing_is_refused(rate, burst):
    with pytest.raises(BadInput) as caught:
        KeyAllowance(rate=rate, burst=burst)
    assert caught.value.reason is Reason.INVALID_REQUEST
