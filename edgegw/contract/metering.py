"""Check that a meter's register advances without overlap and within the meter's rated power.

Source: docs/contract.md, A line of RecordTrades.
"""

from edgegw.contract import keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import Direction
from edgegw.contract.codes import Code, Refusal
from edgegw.contract.intervals import require_metered
from edgegw.contract.records import Meter, Register


def meter_of(ledger: CallState, meter_ref: str, epoch: int) -> Meter:
    """Return the meter of this epoch; refuse with `METER_UNKNOWN` if there is none."""
    return ledger.need(Meter, keys.key("met", meter_ref, epoch), Code.METER_UNKNOWN)


def traded_key(meter: Meter, direction: Direction) -> str:
    """Return the key of the register value up to which energy is traded."""
    return keys.key("reg", meter.meter_ref, meter.epoch, direction)


def generated_key(meter: Meter) -> str:
    """Return the key of the register value up to which a plant's generation is registered."""
    return keys.key("gen", meter.meter_ref, meter.epoch)


def advance(ledger: CallState, meter: Meter, key: str, *, interval: int, span: tuple[int, int]) -> Register:
    """Return the register at `key` after it counted from `span[0]` to `span[1]` Wh in `interval`.

    Refuses a range that is empty, overlaps the last recorded one, or exceeds 1.1 times the meter's rated power.
    """
    start_wh, end_wh = span
    require_metered(ledger, interval)
    if end_wh <= start_wh:
        raise Refusal(Code.BAD_ARGUMENT, "no energy between the registers")
    last = ledger.need(Register, key, Code.METER_UNKNOWN)
    if start_wh < last.wh or interval < last.interval:
        raise Refusal(Code.METER_OVERLAP, f"the register is at {last.wh} in {last.interval}")
    interval_wh = end_wh - start_wh + (last.interval_wh if interval == last.interval else 0)
    if interval_wh * 40 > meter.rated_w * 11:  # a quarter of an hour at 1.1 times the rating
        raise Refusal(Code.METER_IMPLAUSIBLE, f"{interval_wh} Wh in a quarter hour at {meter.rated_w} W")
    return Register(wh=end_wh, interval=interval, interval_wh=interval_wh)
