"""The price formulas, pure: bounds and posted energy in, a price or an empty window out.

Decides `sdr-share/1` (the scarcer side gets the larger part of the saving) and `mmr/1` (halves).
Integers only; price in milli-token per kWh. Source: docs/ledger.md, Price; golden vectors in tests/golden.
"""

from dataclasses import dataclass

PPM = 1_000_000
HALF_PPM = PPM // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What either side gets elsewhere, the fee, the least gain (all milli-token per kWh) and the clamp."""

    floor: int
    ceiling: int
    net_fee: int = 0
    gain: int = 1000
    w_min_ppm: int = 200_000
    w_max_ppm: int = 800_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The formula's result; `price` is None where the window is empty."""

    raw_ppm: int
    w_ppm: int
    price: int | None


def quote(formula: str, window: Window, *, supply_wh: int, demand_wh: int) -> Quote:
    """The price of an interval by `formula`, `sdr-share/1` or `mmr/1`."""
    assert formula in {"sdr-share/1", "mmr/1"}
    posted_wh = supply_wh + demand_wh
    raw_ppm = HALF_PPM if formula == "mmr/1" or posted_wh == 0 else PPM * demand_wh // posted_wh
    w_ppm = min(max(raw_ppm, window.w_min_ppm), window.w_max_ppm)
    low = window.floor + window.gain
    high = window.ceiling - window.net_fee - window.gain
    price = None if low > high else low + (high - low) * w_ppm // PPM
    return Quote(raw_ppm=raw_ppm, w_ppm=w_ppm, price=price)
