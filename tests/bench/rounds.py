"""Rounds: two or more sides measured in turn, A B A B, so that a machine that slows down slows all of them.

Decides that a figure is the median over the rounds, and a ratio the median of the rounds' own ratios. The first round
warms up and does not count.
"""

from collections.abc import Callable, Mapping
from statistics import median


def interleaved(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each side measured in each round but the first."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            measured = side()
            if number:
                found[name].append(measured)
    return found


def compared(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """(our median, the baseline that makes value / baseline the median of the rounds' ratios)."""
    value = median(ours)
    return value, value / median(a / b for a, b in zip(ours, theirs, strict=True))
