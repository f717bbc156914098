"""Integer arithmetic of energy, price and time, with the allowed divisions and their rounding.

Decides how prices become amounts and power becomes energy. Never uses a float.
Source: docs/ledger.md, Units and rounding.
"""

INTERVAL_S = 900
SECOND_NS = 1_000_000_000
INTERVAL_NS = INTERVAL_S * SECOND_NS


def interval_of(at_ns: int) -> int:
    """Return the start (UTC epoch seconds) of the quarter hour that contains the instant `at_ns`."""
    return at_ns // INTERVAL_NS * INTERVAL_S


def amount_mtok(price_mtok_per_kwh: int, energy_wh: int) -> int:
    """Return the amount for `energy_wh`, rounded half up to the milli-token."""
    assert energy_wh >= 0
    return (price_mtok_per_kwh * energy_wh + 500) // 1000


def affordable_wh(amount_mtok_max: int, price_mtok_per_kwh: int) -> int:
    """Return the most watt-hours whose `amount_mtok` does not exceed `amount_mtok_max`."""
    assert price_mtok_per_kwh > 0
    if amount_mtok_max < 0:
        return 0
    return max(0, (amount_mtok_max * 1000 + 499) // price_mtok_per_kwh)


def gross_wh(energy_wh: int, loss_bp: int) -> int:
    """Return the energy that the seller delivers so that `energy_wh` arrives after `loss_bp` basis points of loss, rounded up."""
    assert 0 <= loss_bp < 10_000
    return -(-energy_wh * 10_000 // (10_000 - loss_bp))


def energy_mwh(power_w: int, duration_ns: int) -> int:
    """Return the energy in mWh of constant power over a duration, rounded down."""
    return power_w * duration_ns // (3_600 * 1_000_000)
