"""Summarise a meter's state for `status`, `meter list` and metrics: the last reading, and any fault.

Decides the words for the state. Never reads a meter.
"""

from edgegw.common.units import SECOND_NS
from edgegw.core.metering import MeterAccount

NEVER, OK, STALE, DOUBTED, FAULT, REPLACED = "never read", "ok", "stale", "doubted", "fault", "replaced"


def state_of(account: MeterAccount, now_ns: int, stale_ns: int) -> str:
    """Return the state as one word; `doubted` means that readings were discarded, but too few for a fault."""
    if account.stranger is not None:
        return REPLACED
    if account.trouble is not None and account.trouble.is_fault:
        return FAULT
    if account.last is None:
        return NEVER
    if now_ns - account.last.at_ns > stale_ns:
        return STALE
    return OK if account.trouble is None else DOUBTED


def present(account: MeterAccount, now_ns: int, stale_ns: int) -> dict[str, object]:
    """Return the state as JSON values; None where nothing is measured."""
    last, trouble = account.last, account.trouble
    return {
        "state": state_of(account, now_ns, stale_ns),
        "serial": account.serial,
        "stranger": account.stranger,
        "epoch": account.epoch,
        "import_wh": None if last is None else last.import_mwh // 1000,
        "export_wh": None if last is None else last.export_mwh // 1000,
        "power_w": None if last is None else account.power_w,
        "read_ns": None if last is None else last.at_ns,
        "age_s": None if last is None else max(0, now_ns - last.at_ns) // SECOND_NS,
        "accepted": account.accepted,
        "quarantined": account.quarantined,
        "code": None if trouble is None else trouble.code,
        "detail": None if trouble is None else trouble.detail,
        "since_ns": None if trouble is None else trouble.since_ns,
    }
