"""Values of which millions are made: frozen to the type checker, and cheap to make.

`@value(frozen=True, slots=True)` reads to mypy as `@dataclass` does, which refuses whatever would change such a value.
When the program runs nothing watches it: a frozen dataclass sets each field through a function that first has to find
out that it may, and for the ten values or so that judging an entry takes, that costs as much as all the rules do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:
    from collections.abc import Callable
    from dataclasses import dataclass

    def value(*, frozen: bool, slots: bool) -> Callable[[type], type]:
        """As `dataclass`; a frozen value compares and hashes by its fields, and is not guarded."""
        return dataclass(slots=slots, unsafe_hash=frozen)


__all__ = ["value"]
