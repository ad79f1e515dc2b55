"""When a run has ended collapsed: by its end and that of its siblings alone; nothing that the watch reads enters it."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from infomax.training.watch.monitor import COLLAPSED_STD

LEFT = 0.25
"""Share of its siblings' spread or effective rank at the end, below which a run has collapsed."""


def collapsed(end: Mapping[str, Any], siblings: Sequence[Mapping[str, Any]]) -> bool:
    """Whether `std` is below 0.1, or `std` or `effective_rank` below a quarter of the siblings' median.

    Example:
        >>> whole = [{"std": 1.0, "effective_rank": 31.0}]
        >>> collapsed({"std": 0.84, "effective_rank": 4.8}, whole), collapsed({"std": 0.84, "effective_rank": 9.0}, whole)
        (True, False)
    """

    def lost(key: str) -> bool:
        return bool(siblings) and end[key] < LEFT * statistics.median(one[key] for one in siblings)

    return bool(end["std"] < COLLAPSED_STD or lost("std") or lost("effective_rank"))
