"""Check a quarter-hour interval against ledger time: aligned, not yet begun, recent enough.

Source: docs/contract.md, Time.
"""

from edgegw.contract.call_state import CallState
from edgegw.contract.codec import INTERVAL_S
from edgegw.contract.codes import Code, Refusal


def require_aligned(interval: int) -> None:
    """Refuse unless `interval`, the UTC epoch second of an interval's start, is a multiple of 900."""
    if interval % INTERVAL_S:
        raise Refusal(Code.INTERVAL_MISALIGNED, f"{interval} is no quarter hour")


def require_before(ledger: CallState, interval: int) -> None:
    """Refuse unless the interval is aligned and has not begun in ledger time."""
    require_aligned(interval)
    if ledger.now_ms >= interval * 1000:
        raise Refusal(Code.INTERVAL_STARTED, f"{interval} has begun")


def require_metered(ledger: CallState, interval: int) -> None:
    """Refuse unless energy metered in the interval may be recorded now: it has begun and the late window is open."""
    require_aligned(interval)
    if ledger.now_ms < interval * 1000:
        raise Refusal(Code.INTERVAL_IN_FUTURE, f"{interval} has not begun")
    if ledger.now_ms > (interval + INTERVAL_S + ledger.cfg.late_window_s) * 1000:
        raise Refusal(Code.INTERVAL_TOO_OLD, f"{interval} is outside the late window")


def cut_off_ms(ledger: CallState, start: int) -> int:
    """Return the ledger time from which nothing more may be posted for what starts at epoch second `start`."""
    return (start - ledger.cfg.cutoff_s) * 1000
