"""Regions by name: GB/T 2260 codes of six digits, from the table that python-stdnum brings.

The table knows how long each name was in force ("[-1980]旅大市,[1981-]大连市"), so a code is named as it was called in
the year in question. Names are joined from the province down; what only fills a level of the code is left out.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from stdnum import numdb

_SPELL: Final = re.compile(r"(?:\[(?P<first>[0-9]{4})?-(?P<last>[0-9]{4})?\])?(?P<name>[^,\[\]]+)")

_FILLERS: Final = re.compile(r"市辖区|县|市|.*直辖.*|.*行政单位")


@lru_cache(maxsize=4096)
def place_name(code: str, year: int) -> str:
    """A region's name with its code, such as `福建省福州市鼓楼区 350102`; only the code where no name is known."""
    if not re.fullmatch(r"[0-9]{6}", code):
        return code
    names: list[str] = []
    for part in dict.fromkeys((f"{code[:2]}0000", f"{code[:4]}00", code)):
        name = _name(part, year)
        if name and name not in names and not (part != code and _FILLERS.fullmatch(name)):
            names.append(name)
    # A code whose own name is unknown may be a newer one of a place that is near.
    return f"{''.join(names)} {code}" if _name(code, year) else code


def _name(code: str, year: int) -> str:
    found = numdb.get("cn/loc").info(code)
    spells = found[-1][1].get("county", "") if len(found) == 2 else ""
    names = list(_SPELL.finditer(spells))
    for spell in names:
        if int(spell["first"] or 0) <= year <= int(spell["last"] or 9999):
            return spell["name"]
    return names[-1]["name"] if names else ""
