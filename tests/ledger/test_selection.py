from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import COURIER, CUP, MERCHANT, MERCHANT_MEMBER, OTHER_MERCHANT, PARCEL, TEA, example

from ledger.errors import BadInput, Reason
from ledger.event import Kind
from ledger.selection import MAX_VALUES, Selection
from suyuan.v1 import event_pb2 as pb

CHAINS = (TEA, CUP, PARCEL, MERCHANT, MERCHANT_MEMBER, OTHER_MERCHANT)
SIGNERS = ("", MERCHANT, MERCHANT_MEMBER, OTHER_MERCHANT, COURIER)
KINDS = (Kind.SALE, Kind.SHIPMENT, Kind.PARTY_REGISTRATION)


def event(chain, kind):
    message = pb.Event(chain=chain)
    getattr(message, kind).CopyFrom(example(kind))
    return message


def test_without_a_filter_everything_is_wanted():
    assert Selection.parse().is_everything
    assert Selection.parse().holds(event(TEA, Kind.SALE), "")


def test_a_company_includes_its_members_and_a_member_is_only_itself():
    company, member = Selection.parse(parties=[MERCHANT]), Selection.parse(parties=[MERCHANT_MEMBER])
    sale = event(TEA, Kind.SALE)
    assert company.holds(sale, MERCHANT)
    assert company.holds(sale, MERCHANT_MEMBER)
    assert not company.holds(sale, OTHER_MERCHANT)
    assert member.holds(sale, MERCHANT_MEMBER)
    assert not member.holds(sale, MERCHANT)
    assert not company.holds(sale, "")


def test_what_stands_on_a_partys_chain_is_its_own_whoever_signed():
    registration = event(MERCHANT_MEMBER, Kind.PARTY_REGISTRATION)
    assert Selection.parse(parties=[MERCHANT]).holds(registration, OTHER_MERCHANT)
    assert not Selection.parse(parties=[COURIER]).holds(registration, OTHER_MERCHANT)


def test_the_kind_of_a_body_with_more_in_it_than_this_version_knows():
    newer = pb.Event.FromString(event(TEA, Kind.SALE).SerializeToString() + b"\xfa\x3f\x01x")
    assert Selection.parse(kinds=["sale"]).holds(newer, MERCHANT)
    assert not Selection.parse(kinds=["sale"]).holds(pb.Event(chain=TEA), MERCHANT)


some = st.frozensets


@given(
    chains=some(st.sampled_from(CHAINS)),
    parties=some(st.sampled_from([MERCHANT, MERCHANT_MEMBER, OTHER_MERCHANT, COURIER])),
    kinds=some(st.sampled_from(KINDS)),
    chain=st.sampled_from(CHAINS),
    kind=st.sampled_from(KINDS),
    signer=st.sampled_from(SIGNERS),
)
def test_all_filters_have_to_hold_and_any_value_of_one_will_do(
    *, chains, parties, kinds, chain, kind, signer
):
    def concerned(party):
        return any(who == party or who.startswith(f"{party}/") for who in (chain, signer))

    expected = (
        (not chains or chain in chains)
        and (not kinds or kind in kinds)
        and (not parties or any(map(concerned, parties)))
    )
    assert Selection.parse(chains, parties, kinds).holds(event(chain, kind), signer) is expected


@pytest.mark.parametrize(
    ("given_", "reason", "message"),
    [
        ({"chains": ["tea"]}, Reason.BAD_CHAIN_KEY, "chain key"),
        ({"parties": [TEA]}, Reason.INVALID_REQUEST, f"party: given {TEA}, expected party/<USCC> or party/<USCC>/<member>"),
        ({"kinds": ["gift"]}, Reason.INVALID_REQUEST, "kind: given gift, expected one of complaint, "),
        ({"kinds": ["sale"] * (MAX_VALUES + 1)}, Reason.INVALID_REQUEST, "kinds: given 101, expected at most 100"),
    ],
)  # fmt: skip
def test_what_is_no_filter(given_, reason, message):
    with pytest.raises(BadInput) as caught:
        Selection.parse(**given_)
    assert caught.value.reason is reason
    assert str(caught.value).startswith(message)
