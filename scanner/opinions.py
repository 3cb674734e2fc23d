"""What several readers say of the symbols on one picture, made into one answer that tells how sure it is.

Bars in one place say one thing. Where readers agree, that is told once, with all their names; where they differ, all
that was said is told as disputed, and nobody here chooses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from scanner.symbol import Confidence, Reader, Symbol, Symbology


def combined(seen: Iterable[Symbol]) -> list[Symbol]:
    """The symbols of a picture, from all that any reader saw of them, in the order in which they were first seen.

    One text printed twice is one symbol, at the place where it was seen first.
    """
    groups: list[list[Symbol]] = []
    for one in seen:
        for group in groups:
            if is_same(group[0], one):
                group.append(one)
                break
        else:
            groups.append([one])
    return [_judged(group, groups) for group in groups]


def is_same(known: Symbol, seen: Symbol) -> bool:
    """Whether two readings are of one printed symbol, and alike.

    Two codes with error correction in one place are the same bytes, whatever character set a reader guessed.
    """
    if known.symbology.family is not seen.symbology.family:
        return False
    if known.text == seen.text:
        return True
    if seen.symbology.corrects_errors:
        return is_over(known, seen)
    return _is_without_fnc4(known, seen) and is_over(known, seen)


def is_over(known: Symbol, seen: Symbol) -> bool:
    """Whether the middle of one lies within the upright box around the other."""
    return _surrounds(known, seen) or _surrounds(seen, known)


def _judged(group: list[Symbol], groups: list[list[Symbol]]) -> Symbol:
    """What is told of one text, of which the group is all that was seen."""
    # zxing-cpp's word stands: it tells the mark, and knows more character sets.
    told = next((one for one in group if Reader.ZXING in one.readers), group[0])
    readers = tuple(reader for reader in Reader if any(reader in one.readers for one in group))
    add_on = next((one.add_on for one in group if one.add_on is not None), None)
    others = (other for against in groups if against is not group for other in against)
    if any(_contradicts(one, other) for other in others for one in group):
        confidence = Confidence.DISPUTED
    else:
        confidence = Confidence.AGREED if len(readers) > 1 else Confidence.SINGLE
    return replace(told, readers=readers, add_on=add_on, confidence=confidence)


def _contradicts(one: Symbol, other: Symbol) -> bool:
    """Whether two readings cannot both be right: lines of bars in one place that say different things."""
    if one.symbology.corrects_errors or other.symbology.corrects_errors:
        return False
    return is_over(one, other)


def _is_without_fnc4(known: Symbol, seen: Symbol) -> bool:
    """Whether one is the other as zbar reads a Code 128: it leaves out FNC4, which adds 128 to a character."""
    if known.symbology.family is not Symbology.CODE_128:
        return False
    return _folded(known.text) == seen.text or known.text == _folded(seen.text)


def _folded(text: str) -> str:
    return "".join(
        chr(ord(character) - 128) if 128 <= ord(character) < 256 else character for character in text
    )


def _surrounds(known: Symbol, seen: Symbol) -> bool:
    """Whether the middle of `seen` lies within the upright box around `known`."""
    middle_x = sum(corner.x for corner in seen.position) / 4
    middle_y = sum(corner.y for corner in seen.position) / 4
    xs = [corner.x for corner in known.position]
    ys = [corner.y for corner in known.position]
    return min(xs) <= middle_x <= max(xs) and min(ys) <= middle_y <= max(ys)
