"""What else a number that was read may have been: the identifiers that a slip of the eye, hand or reader makes of it.

A check digit finds every wrong digit and most swapped neighbours, so what passes it is rarely wrong; but when it is,
nothing in the number shows it. Digits two places apart have one weight, so that swapping them never shows at all, and
neighbours that differ by five change places unseen (GS1 General Specifications §7.9). Where a number that nobody has
ever listed is such a slip away from one that is listed, it was probably misread.

Only numbers of goods have such neighbours here. Serial numbers, waybills, SSCCs and drug trace codes are given out one
after the other, so that the neighbour of each is another one that is as real.

    >>> near = near_products(ChainKey("01/06901234567892"))
    >>> len(near)
    129
    >>> ChainKey("01/06901234657890") in near  # 56 became 65, and 2 the check digit 0
    True
    >>> ChainKey("01/06903214567892") in near  # 123 became 321, which the check digit does not show
    True
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.chain_key import ChainKey, ChainKind
from ledger.identifiers import gs1_check_digit

MOST_NEAR: Final = 140
"""No number has more: of 13 digits each may be nine others, 12 pairs stand next to each other, and 11 two apart."""

_PRINTED: Final = (8, 13, 14)
"""How many digits EAN-8, EAN-13 (a UPC-A is one that begins with 0) and ITF-14 print; the zeros before them are not read."""

_OF_A_GTIN: Final = frozenset({ChainKind.PRODUCT, ChainKind.LOT, ChainKind.SERIAL})


def near_products(chain: ChainKey) -> tuple[ChainKey, ...]:
    """The products that are one slip away from that of `chain`, in the order of their keys; none where it has no GTIN.

    A slip is one wrong digit, or two that changed places, next to each other or with one between. The check digit
    follows from the others, as it does for a number that was given out.
    """
    if chain.kind not in _OF_A_GTIN:
        return ()
    gtin = chain.gtin
    printed = next(length for length in _PRINTED if gtin.startswith("0" * (14 - length)))
    bodies = set(_slips(gtin[14 - printed : -1]))
    return tuple(sorted(ChainKey.product(f"{body}{gs1_check_digit(body)}".zfill(14)) for body in bodies))


def _slips(digits: str) -> Iterator[str]:
    """What one slip makes of `digits`, each of which differs from them."""
    for place, digit in enumerate(digits):
        for other in "0123456789":
            if other != digit:
                yield digits[:place] + other + digits[place + 1 :]
    for apart in (1, 2):
        for place in range(len(digits) - apart):
            first, second = digits[place], digits[place + apart]
            if first != second:
                between = digits[place + 1 : place + apart]
                yield f"{digits[:place]}{second}{between}{first}{digits[place + apart + 1 :]}"
