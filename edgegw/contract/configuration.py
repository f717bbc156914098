"""Write the channel's constants: once, before anything else, endorsed by all three organisations.

Decides the defaults and which values may be combined. Source: docs/contract.md, Time.
"""

from dataclasses import dataclass
from typing import Literal

from edgegw.contract import keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import Ident, LossBp, Ppm, Price, Span, values
from edgegw.contract.codes import MSPS, Code, Refusal
from edgegw.contract.records import Config, TimeMapping

DAY_S = 86_400
LEAST_GAIN_MTOK = 500
"""The least gain, milli-token per kWh: half the rounding unit, so that rounding never exceeds a side's gain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure:
    """Arguments of `Configure`, with their defaults."""

    channel: Ident
    formula: Literal["sdr-share/1", "mmr/1"] = "sdr-share/1"
    cutoff_s: Span = 300
    hold_expiry_s: Span = 21 * DAY_S
    late_window_s: Span = 14 * DAY_S
    gain_mtok: Price = 1000
    w_min_ppm: Ppm = 200_000
    w_max_ppm: Ppm = 800_000
    net_fee_mtok: Price = 0
    loss_bp: LossBp = 0
    discharge_loss_bp: LossBp = 0
    time: TimeMapping | None = None


def configure(ledger: CallState, args: Configure) -> Config:
    """Write the constants and the guard keys; a repeated identical request returns the stored constants."""
    stored = ledger.read(Config, keys.CONFIG)
    if stored is not None:
        ledger.repeated(stored, Code.ID_CONFLICT)
        return stored
    if args.hold_expiry_s <= args.late_window_s:
        raise Refusal(Code.BAD_ARGUMENT, "holds must outlive the late window")
    if args.w_min_ppm > args.w_max_ppm:
        raise Refusal(Code.BAD_ARGUMENT, "wMinPpm is above wMaxPpm")
    if args.gain_mtok < LEAST_GAIN_MTOK:
        raise Refusal(Code.BAD_ARGUMENT, f"gainMtok is below {LEAST_GAIN_MTOK}")
    cfg = Config(**values(args), request=ledger.request)
    ledger.write(keys.CONFIG, cfg)
    ledger.protect(keys.CONFIG, MSPS)
    for name in keys.GUARDS:
        ledger.guard(name)
        ledger.protect(keys.guard(name), MSPS)
    return cfg
