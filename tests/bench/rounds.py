"""Measure two or more sides in turn (A B A B), so that a change of the machine's speed affects all of them.

A figure is the median over the rounds, and a ratio is the median of the rounds' ratios. The first round warms up and does
not count.
"""

from collections.abc import Callable, Mapping
from statistics import median


def interleaved(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return each side's values in all rounds but the first."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            measured = side()
            if number:
                found[name].append(measured)
    return found


def compared(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """Return (median of `ours`, baseline), where their ratio is the median of the rounds' ratios."""
    value = median(ours)
    return value, value / median(a / b for a, b in zip(ours, theirs, strict=True))
