"""Records evidence from chargers: flaws of their messages, and registers that contradict themselves.

Decides what is journalled and logged. Never changes what is billed: the Modbus meter bills, and a charger's own registers
are evidence only (docs/ocpp.md, Energy).
"""

from collections.abc import Iterable
from dataclasses import replace

from edgegw.common.error_codes import REMEDIES
from edgegw.core.events import (
    ChargerSample,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
    Violation,
)
from edgegw.core.state import Evse, Session
from edgegw.core.step_context import StepContext

Billing = TransactionStarted | TransactionUpdated | TransactionEnded

UNIT_ASSUMED = "EGW-1207"
WENT_BACK = "EGW-1210"
ANOTHER_CHARGERS = "EGW-1211"
NOT_KNOWN = "EGW-1212"


def store_frame(context: StepContext, event: Billing, *, found: Violation | None) -> None:
    """Journal the frame as received, with its flaws; log each flaw but a missing unit."""
    flaws = event.flaws if found is None else (*event.flaws, found)
    told = [flaw for flaw in flaws if flaw.code != UNIT_ASSUMED]
    remarks: dict[str, object] = {}
    if told:
        remarks["flaws"] = [{"code": flaw.code, "detail": flaw.detail} for flaw in told]
    if len(told) < len(flaws):
        remarks["unit_assumed"] = True
    charger_id = event.call.charger_id
    context.note("frame", charger_id=charger_id, text=event.frame, **remarks)
    for flaw in told:
        context.log(
            "frame.quarantined",
            charger_id=charger_id,
            code=flaw.code,
            detail=flaw.detail,
            remedy=REMEDIES[flaw.code].remedy,
        )


def misplaced(context: StepContext, event: Billing, evse: Evse | None, *, ended: bool) -> Violation | None:
    """Return what is wrong with the transaction of a message; None where it runs at this EVSE or has `ended`."""
    if isinstance(event, TransactionStarted) or not event.transaction_id or ended:
        return None
    if evse is not None and event.transaction_id in _transactions(evse):
        return None
    for other in context.evses.values():
        owner = context.settings.evses[other.evse_id].charger_id
        if owner != event.call.charger_id and event.transaction_id in _transactions(other):
            return Violation(
                code=ANOTHER_CHARGERS, detail=f"transaction {event.transaction_id} runs at {owner}"
            )
    return Violation(code=NOT_KNOWN, detail=f"transaction {event.transaction_id}")


def baseline_wh(event: TransactionStarted) -> int | None:
    """Return the import register at the start; 0 from a charger that was offline is a placeholder, and None."""
    register_wh = None if event.sample is None else event.sample.import_wh
    return None if register_wh == 0 and event.offline else register_wh


def weigh(context: StepContext, session: Session, samples: Iterable[ChargerSample]) -> Session:
    """Compare a charger's import registers with the one at the start; a lower one makes the session disputed."""
    for sample in samples:
        if sample.import_wh is None or session.disputed:
            continue
        if session.baseline_wh is None:
            session = replace(session, baseline_wh=sample.import_wh)
        elif sample.import_wh < session.baseline_wh:
            session = _dispute(context, session, sample.import_wh)
    return session


def _dispute(context: StepContext, session: Session, register_wh: int) -> Session:
    facts = {
        "session_id": session.session_id,
        "code": WENT_BACK,
        "start_wh": session.baseline_wh,
        "register_wh": register_wh,
    }
    context.note("disputed", **facts)
    context.log("session.disputed", **facts, remedy=REMEDIES[WENT_BACK].remedy)
    return replace(session, disputed=True)


def _transactions(evse: Evse) -> list[str]:
    return [session.transaction_id for session in (evse.session, evse.ending) if session is not None]
