"""Invented words that fakes are made of: put together from syllables, so that none is anybody's name."""

from __future__ import annotations

from itertools import product


def _joined(first: str, second: str) -> tuple[str, ...]:
    return tuple(one + other for one, other in product(first.split(), second.split()))


# 256 of each, two hexadecimal digits of a digest
FIRST_NAMES = _joined(
    "Bral Dren Fyol Gorv Hesk Jund Krev Luvr Mork Nelv Pruk Quav Rusk Skev Tolv Vrix",
    "abo edu ilo omu ura yno ako efi igo onu ubi yma aru eko izo otu",
)
LAST_NAMES = _joined(
    "Ostr Plom Wexl Yarv Zulm Agdr Bimp Cruv Dolf Emkr Fluz Gwim Hruv Ivlo Jokr Kvam",
    "adorn ebrik iquell ovant umber ysto askel endur ingor osmund ustrel yndar arvik eldoz ixbur ombal",
)
CITIES = _joined(
    "Bral Dresk Fyol Gorven Hesk Jund Krev Lovr Morv Nelm Prusk Quarv Rusk Skel Tolm Vrix",
    "und ow by au ville ton stad mark hafen field ora ensk igny ura holm wick",
)
LONGEST_NAME = max(map(len, (*FIRST_NAMES, *LAST_NAMES, *CITIES)))
