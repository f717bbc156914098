"""Register continuity: what a meter may have counted since it was last recorded.

Decides that a register never passes a value twice and never faster than the meter's rating allows.
Source: docs/contract.md, A line of RecordTrades.
"""

from edgegw.contract import keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import Direction
from edgegw.contract.codes import Code, Refusal
from edgegw.contract.intervals import require_metered
from edgegw.contract.records import Meter, Register


def meter_of(ledger: CallState, meter_ref: str, epoch: int) -> Meter:
    """The metering point; `METER_UNKNOWN`."""
    return ledger.need(Meter, keys.key("met", meter_ref, epoch), Code.METER_UNKNOWN)


def traded_key(meter: Meter, direction: Direction) -> str:
    """Key of the register up to which energy was traded."""
    return keys.key("reg", meter.meter_ref, meter.epoch, direction)


def generated_key(meter: Meter) -> str:
    """Key of the register up to which a plant's generation was registered."""
    return keys.key("gen", meter.meter_ref, meter.epoch)


def advance(ledger: CallState, meter: Meter, key: str, *, interval: int, span: tuple[int, int]) -> Register:
    """The register at `key` after it counted from `span[0]` to `span[1]` Wh in `interval`; refuses what cannot be."""
    start_wh, end_wh = span
    require_metered(ledger, interval)
    if end_wh <= start_wh:
        raise Refusal(Code.BAD_ARGUMENT, "no energy between the registers")
    last = ledger.need(Register, key, Code.METER_UNKNOWN)
    if start_wh < last.wh or interval < last.interval:
        raise Refusal(Code.METER_OVERLAP, f"the register stands at {last.wh} in {last.interval}")
    interval_wh = end_wh - start_wh + (last.interval_wh if interval == last.interval else 0)
    if interval_wh * 40 > meter.rated_w * 11:  # a quarter of an hour at 1.1 times the rating
        raise Refusal(Code.METER_IMPLAUSIBLE, f"{interval_wh} Wh in a quarter hour at {meter.rated_w} W")
    return Register(wh=end_wh, interval=interval, interval_wh=interval_wh)
