"""Which entries somebody wants to be told of: by chain, by party, by kind.

The service picks by it what it delivers, and the client holds against it what was delivered, so both ask here. It looks
at three facts of an entry: its chain and the name of its body, which stand in the event, and the party that signed,
which follows from the key. A filter that names nothing lets everything through; one that names several lets each of
them through; and an entry has to pass all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ledger.chain_key import ChainKey, ChainKind
from ledger.errors import BadInput, Reason
from ledger.event import Kind
from ledger.identifiers import printable
from suyuan.v1 import event_pb2

MAX_VALUES = 100
"""Values of one filter."""

_PARTIES = frozenset({ChainKind.PARTY, ChainKind.MEMBER})
_KINDS = frozenset(map(str, Kind))


@dataclass(frozen=True, slots=True)
class Selection:
    """Three filters; each may be empty."""

    chains: frozenset[str] = frozenset()
    """Chain keys."""
    parties: frozenset[str] = frozenset()
    """Chain keys of parties: what these have signed, and what stands on their own chains. A company includes its
    members; a member is only itself."""
    kinds: frozenset[str] = frozenset()
    """Names of the body fields of `suyuan.v1.Event`."""

    @classmethod
    def parse(
        cls, chains: Iterable[str] = (), parties: Iterable[str] = (), kinds: Iterable[str] = ()
    ) -> Selection:
        """What a caller asks for.

        Raises:
            BadInput: `BAD_CHAIN_KEY`; `INVALID_REQUEST` if a party is none, a kind is unknown to this version, or a
                filter has more than 100 values.
        """
        return cls(
            frozenset(str(ChainKey.parse(chain)) for chain in _few("chains", chains)),
            frozenset(_party(party) for party in _few("parties", parties)),
            frozenset(_kind(kind) for kind in _few("kinds", kinds)),
        )

    @property
    def is_everything(self) -> bool:
        """Whether nothing is filtered out."""
        return not (self.chains or self.parties or self.kinds)

    def holds(self, event: event_pb2.Event, signer: str) -> bool:
        """Whether an entry is wanted.

        Args:
            event: the message in it; of a body with fields unknown to this version the name is known, and counts.
            signer: chain key of the party that signed; empty for a buyer. Looked at only where there are `parties`.
        """
        if self.chains and event.chain not in self.chains:
            return False
        if self.kinds and (event.WhichOneof("body") or "") not in self.kinds:
            return False
        return not self.parties or self._names(event.chain) or self._names(signer)

    def _names(self, chain: str) -> bool:
        """Whether a chain is a wanted party's, or of a member of one."""
        if chain in self.parties:
            return True
        company, _, member = chain.removeprefix("party/").partition("/")
        return chain.startswith("party/") and bool(member) and f"party/{company}" in self.parties


def _few(subject: str, values: Iterable[str]) -> list[str]:
    listed = list(values)
    if len(listed) > MAX_VALUES:
        raise BadInput(Reason.INVALID_REQUEST, subject, given=len(listed), expected=f"at most {MAX_VALUES}")
    return listed


def _party(text: str) -> str:
    chain = ChainKey.parse(text)
    if chain.kind not in _PARTIES:
        raise BadInput(
            Reason.INVALID_REQUEST, "party", given=chain, expected="party/<USCC> or party/<USCC>/<member>"
        )
    return str(chain)


def _kind(text: str) -> str:
    if text not in _KINDS:
        expected = f"one of {', '.join(sorted(_KINDS))}"
        raise BadInput(Reason.INVALID_REQUEST, "kind", given=printable(text), expected=expected)
    return text
