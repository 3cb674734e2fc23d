"""What the rules know of the past: records that events leave behind.

Each record is a fact that some event of the log established; together they are a function of the log. A `Reader`
finds a record by its type and key. `State` is a reader that remembers what the batch at hand has put, in front of
another reader that knows the rest: a database, or nothing at all, in which case it is the whole state in memory.

Replaying the log from entry 0 gives the same records in any implementation: this is how a database is rebuilt and
how an auditor judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Protocol, TypeAlias, TypeVar

from ledger.value import value
from suyuan.v1 import event_pb2

Key: TypeAlias = "str | bytes | tuple[str, str] | tuple[str, bytes]"
"""What finds a record among those of its type."""


@value(frozen=True, slots=True)
class Charter:
    """What the chain `ledger` has laid down; there is one."""

    chain: str
    """`ledger`."""
    origin: str
    """The log's identity."""
    format_version: int
    rules_version: int
    """The version of the rules by which the next entry is judged."""
    regulator: str
    """Chain key of the root regulator."""

    key_fields: ClassVar[tuple[str, ...]] = ("chain",)

    @property
    def key(self) -> str:
        """`ledger`."""
        return self.chain


@value(frozen=True, slots=True)
class Party:
    """A registered company, authority or member, as of now."""

    party: str
    """Chain key, `party/<USCC>` or `party/<USCC>/<member>`."""
    role: int
    """A value of `suyuan.v1.PartyRole`."""
    name: str
    status: int
    """A value of `suyuan.v1.PartyStatus`."""
    licence_until: str
    """Last day of the licence (ISO 8601, civil date in China), or empty."""
    accreditor: str
    """Chain key of the party that registered it."""
    registered_index: int

    key_fields: ClassVar[tuple[str, ...]] = ("party",)

    @property
    def key(self) -> str:
        """Its chain key."""
        return self.party

    @property
    def active(self) -> bool:
        """Whether it is not suspended; its licence is another question."""
        return self.status == event_pb2.PARTY_STATUS_ACTIVE


@value(frozen=True, slots=True)
class PartyKey:
    """A key that a party signs with."""

    key_id: bytes
    public_key: bytes
    """DER SubjectPublicKeyInfo."""
    party: str
    added_index: int
    revoked_at_us: int
    """When its revocation was recorded; 0: not revoked."""

    key_fields: ClassVar[tuple[str, ...]] = ("key_id",)

    @property
    def key(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo."""
        return self.key_id


@value(frozen=True, slots=True)
class PurchaseKey:
    """A one-time key of a buyer, named by a sale."""

    key_id: bytes
    public_key: bytes
    """DER SubjectPublicKeyInfo."""
    sale: bytes
    """Event id of the sale."""
    added_index: int

    key_fields: ClassVar[tuple[str, ...]] = ("key_id",)

    @property
    def key(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo."""
        return self.key_id


@value(frozen=True, slots=True)
class ChainHead:
    """Where a chain stands."""

    chain: str
    length: int
    head: bytes
    """Leaf hash of its last entry."""
    latest_occurred_us: int
    """The latest `occurred_at` on it."""

    key_fields: ClassVar[tuple[str, ...]] = ("chain",)

    @property
    def key(self) -> str:
        """The chain key."""
        return self.chain


@value(frozen=True, slots=True)
class Recorded:
    """That an event is recorded, and where."""

    event_id: bytes
    index: int
    """Place in the log."""
    chain: str
    chain_seq: int
    kind: str
    """Name of its kind; empty if unknown to this version."""
    signer: str
    """Chain key of the party that signed; empty for a purchase key."""
    key_id: bytes
    """The key that signed."""
    sale: bytes
    """Event id of the sale that it is part of, or empty."""
    recorded_at_us: int
    flags: tuple[int, ...]
    """Values of `suyuan.v1.EventFlag`, ascending."""

    key_fields: ClassVar[tuple[str, ...]] = ("event_id",)

    @property
    def key(self) -> bytes:
        """The event's id."""
        return self.event_id


@value(frozen=True, slots=True)
class Listed:
    """That a merchant offers a product."""

    merchant: str
    """Chain key of the company."""
    chain: str
    """Chain key of the product, lot, serial or drug unit."""
    event_id: bytes
    """The newest listing."""
    index: int
    title: str

    key_fields: ClassVar[tuple[str, ...]] = ("merchant", "chain")

    @property
    def key(self) -> tuple[str, str]:
        """Merchant and product."""
        return (self.merchant, self.chain)


@value(frozen=True, slots=True)
class Sold:
    """A sale, and what became of it; event ids are empty until there is one."""

    event_id: bytes
    index: int
    chain: str
    merchant: str
    """Chain key of the company."""
    listing_index: int
    """Place of the merchant's listing that it rests on, which was the newest at the time."""
    buyer_key_id: bytes
    quantity: int
    occurred_us: int
    """When it happened, by the merchant's clock."""
    receipt: bytes
    buyer_review: bytes
    merchant_review: bytes

    key_fields: ClassVar[tuple[str, ...]] = ("event_id",)

    @property
    def key(self) -> bytes:
        """Event id of the sale."""
        return self.event_id


@value(frozen=True, slots=True)
class Dispatched:
    """That a sale's goods went off in a parcel."""

    parcel: str
    """Chain key of the waybill or SSCC."""
    sale: bytes
    """Event id of the sale."""
    index: int

    key_fields: ClassVar[tuple[str, ...]] = ("parcel", "sale")

    @property
    def key(self) -> tuple[str, bytes]:
        """Parcel and sale."""
        return (self.parcel, self.sale)


@value(frozen=True, slots=True)
class Reviewed:
    """A review, to which follow-ups refer."""

    event_id: bytes
    sale: bytes
    """Event id of the sale."""
    by_buyer: bool

    key_fields: ClassVar[tuple[str, ...]] = ("event_id",)

    @property
    def key(self) -> bytes:
        """Event id of the review."""
        return self.event_id


@value(frozen=True, slots=True)
class Complained:
    """A complaint, to which replies and resolutions refer."""

    event_id: bytes
    sale: bytes
    """Event id of the sale."""
    index: int

    key_fields: ClassVar[tuple[str, ...]] = ("event_id",)

    @property
    def key(self) -> bytes:
        """Event id of the complaint."""
        return self.event_id


@value(frozen=True, slots=True)
class Recalled:
    """That a product or lot is called back."""

    chain: str
    """Chain key of the product or lot."""
    event_id: bytes
    """Event id of the recall."""
    index: int

    key_fields: ClassVar[tuple[str, ...]] = ("chain", "event_id")

    @property
    def key(self) -> tuple[str, bytes]:
        """Product or lot, and recall."""
        return (self.chain, self.event_id)


Record: TypeAlias = (
    Charter
    | Party
    | PartyKey
    | PurchaseKey
    | ChainHead
    | Recorded
    | Listed
    | Sold
    | Dispatched
    | Reviewed
    | Complained
    | Recalled
)
R = TypeVar("R", bound=Record)


class Reader(Protocol):
    """Finds records."""

    def get(self, record_type: type[R], key: Key) -> R | None:
        """The record of this type with this key, or None."""


class Nothing:
    """The state before the genesis: no records."""

    def get(self, record_type: type[R], key: Key) -> R | None:  # noqa: ARG002 - the answer is the same for all
        """None."""
        return None


class State:
    """Records put by the batch at hand, in front of a reader that knows the rest."""

    __slots__ = ("_base", "_put")

    def __init__(self, base: Reader | None = None) -> None:
        self._base: Reader = base or Nothing()
        self._put: dict[tuple[type, Key], Record] = {}

    def get(self, record_type: type[R], key: Key) -> R | None:
        """The record of this type with this key, or None."""
        record = self._put.get((record_type, key))
        if record is not None:
            return record  # type: ignore[return-value]  # the key holds the type
        return self._base.get(record_type, key)

    def put(self, record: Record) -> None:
        """Remember a record, in place of an older one with its key."""
        self._put[type(record), record.key] = record

    def changes(self) -> Iterator[Record]:
        """The newest version of every record that was put, in the order in which keys were first put."""
        return iter(self._put.values())
