"""Names beside the ends of curves: cut to the room there is, and never on top of each other."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Final

__all__ = ["LINE_HEIGHT", "label_width", "shorten", "spread"]

LINE_HEIGHT: Final = 14.0
_CHARACTER: Final = 6.6  # units that a letter of a label takes at most, on average
_MAX_WIDTH: Final = 15 * _CHARACTER


def label_width(label: str) -> float:
    """An upper estimate of a label's width in units, whatever the page's font is."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in label)
    return _CHARACTER * (len(label) + 0.8 * wide)


def shorten(label: str) -> str:
    """The label, cut with an ellipsis where it is longer than a panel has room for.

    Args:
        label: Any text.

    Example:
        >>> shorten("image"), shorten("electroencephalogram")
        ('image', 'electroencepha…')
    """
    if label_width(label) <= _MAX_WIDTH:
        return label
    while label_width(label + "…") > _MAX_WIDTH:
        label = label[:-1]
    return label + "…"


def spread(places: Sequence[float], top: float, gap: float = LINE_HEIGHT) -> list[float]:
    """Moves places apart as little as it takes for neighbours to stand `gap` from each other.

    Labels that would touch form a block around the mean of the places they ask for.

    Args:
        places: N places in [0, `top`].
        top: The upper end of the room; where it is too small for N labels, `gap` shrinks to fit.
        gap: The distance to keep, in the unit of `places`.

    Returns:
        N places in [0, `top`], in the order of `places` and, among each other, of their sizes.

    Example:
        >>> spread([50.0, 50.0, 90.0], top=100.0, gap=10.0)
        [45.0, 55.0, 90.0]
    """
    gap = min(gap, top / max(len(places) - 1, 1))
    blocks: list[tuple[float, list[int]]] = []
    for index in sorted(range(len(places)), key=places.__getitem__):
        centre, members = _within([index], places, top, gap)
        while blocks and centre - blocks[-1][0] < gap * (len(members) + len(blocks[-1][1])) / 2:
            centre, members = _within(blocks.pop()[1] + members, places, top, gap)
        blocks.append((centre, members))
    result = [0.0] * len(places)
    for centre, members in blocks:
        for rank, member in enumerate(members):
            result[member] = centre + gap * (rank - (len(members) - 1) / 2)
    return result


def _within(
    members: list[int], places: Sequence[float], top: float, gap: float
) -> tuple[float, list[int]]:
    half = gap * (len(members) - 1) / 2
    wanted = sum(places[member] for member in members) / len(members)
    return max(half, min(wanted, top - half)), members
