"""Compute an interval's price from its bounds and the posted energy, by `sdr-share/1` or `mmr/1`.

`sdr-share/1` gives the scarcer side the larger part of the saving, `mmr/1` half to each. Integers only; prices are
milli-token per kWh. Source: docs/ledger.md, Price; golden vectors in tests/golden.
"""

from dataclasses import dataclass

PPM = 1_000_000
HALF_PPM = PPM // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Floor and ceiling (prices elsewhere), fee and least gain, milli-token per kWh; clamp of the share in ppm."""

    floor: int
    ceiling: int
    net_fee: int = 0
    gain: int = 1000
    w_min_ppm: int = 200_000
    w_max_ppm: int = 800_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The formula's result: the demand share before and after the clamp; `price` is None if the window is empty."""

    raw_ppm: int
    w_ppm: int
    price: int | None


def quote(formula: str, window: Window, *, supply_wh: int, demand_wh: int) -> Quote:
    """Return the price of an interval by `formula`, which is `sdr-share/1` or `mmr/1`."""
    assert formula in {"sdr-share/1", "mmr/1"}
    posted_wh = supply_wh + demand_wh
    raw_ppm = HALF_PPM if formula == "mmr/1" or posted_wh == 0 else PPM * demand_wh // posted_wh
    w_ppm = min(max(raw_ppm, window.w_min_ppm), window.w_max_ppm)
    low = window.floor + window.gain
    high = window.ceiling - window.net_fee - window.gain
    price = None if low > high else low + (high - low) * w_ppm // PPM
    return Quote(raw_ppm=raw_ppm, w_ppm=w_ppm, price=price)
