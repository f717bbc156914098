"""Handles meter readings, failed readings and replaced meters.

Decides which session a closed segment belongs to, and when a meter's failure and recovery are logged. Never decides
whether a reading is plausible (`metering`) or how its energy is traded (`line_allocation`).
"""

from dataclasses import replace

from edgegw.common.error_codes import REMEDIES
from edgegw.common.units import SECOND_NS
from edgegw.core import control, session
from edgegw.core.effects import ReadMeter
from edgegw.core.events import MeterAdopted, MeterReadFailed, MeterRerated, RegisterRead
from edgegw.core.internal_events import ReadingAccepted
from edgegw.core.line_allocation import register_meter, settle_segment
from edgegw.core.meter_condition import after
from edgegw.core.metering import Measured, MeterAccount, measure, rerate
from edgegw.core.state import Evse
from edgegw.core.step_context import StepContext


def on_read(context: StepContext, event: RegisterRead) -> None:
    """Measure a reading, settle the segments it closes, then let the session begin, end or prepare a sale with it."""
    account = context.meters[event.meter_id]
    measured = measure(account, event)
    context.meters.put(event.meter_id, measured.account)
    if measured.quarantined is not None:
        _on_quarantined(context, measured, reason=measured.quarantined)
        return
    _recover(context, measured.account)
    evse = context.evse_of(event.meter_id)
    _settle(context, measured, evse)
    if evse is not None:
        session.move(context, context.evses[evse.evse_id], ReadingAccepted(t0_ns=event.t0_ns))
        running = context.evses[evse.evse_id].session
        if account.stranger is not None or (running is not None and running.order_id is not None):
            # The meter counts an order's energy, so a reading decides whether the order goes on.
            control.replan(context, context.evses[evse.evse_id])


def on_read_failed(context: StepContext, event: MeterReadFailed) -> None:
    """Record a failed reading, and plan again: energy may flow as long as the last reading is fresh enough."""
    account = context.meters.get(event.meter_id)
    if account is not None:
        _trouble(context, account, code=event.code, detail=event.detail or event.reason)
    evse = context.evse_of(event.meter_id)
    if evse is not None:
        control.replan(context, evse)


def on_adopted(context: StepContext, event: MeterAdopted) -> None:
    """Accept a replacement: its next reading opens an epoch; until then nothing of it counts."""
    account = context.meters.get(event.meter_id)
    if account is None or account.serial == event.serial:
        return
    context.meters.put(event.meter_id, replace(account, adopted=event.serial))
    context.note("meter_adopted", meter_id=event.meter_id, was=account.serial, serial=event.serial)
    context.log("meter.adopted", meter_id=event.meter_id, was=account.serial, serial=event.serial)
    context.emit(ReadMeter(meter_id=event.meter_id))


def on_rerated(context: StepContext, event: MeterRerated) -> None:
    """Apply another limit from the last reading on; do nothing where it is the present one."""
    account = context.meters.get(event.meter_id)
    if account is None or (account.power_w_max, account.step_mwh) == (event.power_w_max, event.step_mwh):
        return
    measured = rerate(account, power_w_max=event.power_w_max, step_mwh=event.step_mwh)
    context.meters.put(event.meter_id, measured.account)
    _settle(context, measured, context.evse_of(event.meter_id))


def _settle(context: StepContext, measured: Measured, evse: Evse | None) -> None:
    """Settle closed segments for their session, then submit a new epoch to the ledger."""
    owner = None
    if evse is not None:
        owner = evse.ending or (evse.session if evse.session is not None and evse.session.began else None)
    for segment in measured.segments:
        settle_segment(context, segment, evse=evse, session=owner)
    if measured.epoch_opened:
        _open_epoch(context, context.meters[measured.account.meter_id])


def _on_quarantined(context: StepContext, measured: Measured, *, reason: str) -> None:
    account = measured.account
    if measured.code is None:
        context.log("reading.quarantined", meter_id=account.meter_id, reason=reason)
        return
    _trouble(context, account, code=measured.code, detail=measured.detail)
    if measured.ask_again:
        context.emit(ReadMeter(meter_id=account.meter_id))
    evse = context.evse_of(account.meter_id)
    if evse is not None:
        control.replan(context, evse)


def _trouble(context: StepContext, account: MeterAccount, *, code: str, detail: str) -> None:
    """Store the condition; log the first discarded reading and the fault, not every poll."""
    before = account.trouble
    now = after(before, code=code, detail=detail, now_ns=context.now_ns)
    if now == before:
        return
    context.meters.put(account.meter_id, replace(account, trouble=now))
    if before is not None and before.code == code and before.is_fault == now.is_fault:
        return
    context.log(
        "meter.read_failed" if now.is_fault else "reading.quarantined",
        meter_id=account.meter_id,
        code=code,
        detail=detail,
        remedy=REMEDIES[code].remedy,
    )


def _recover(context: StepContext, account: MeterAccount) -> None:
    trouble = account.trouble
    if trouble is None:
        return
    context.meters.put(account.meter_id, replace(account, trouble=None))
    if trouble.is_fault:
        after_s = (context.now_ns - trouble.since_ns) // SECOND_NS
        context.log("meter.recovered", meter_id=account.meter_id, code=trouble.code, after_s=after_s)


def _open_epoch(context: StepContext, account: MeterAccount) -> None:
    """Submit a new epoch's starting registers to the ledger; its lines wait for that."""
    first = account.first
    assert first is not None
    context.note(
        "epoch",
        meter_id=account.meter_id,
        epoch=account.epoch,
        serial=account.serial,
        import_mwh=first.import_mwh,
        export_mwh=first.export_mwh,
    )
    context.log("epoch.opened", meter_id=account.meter_id, epoch=account.epoch)
    register_meter(context, account)
